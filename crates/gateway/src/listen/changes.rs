//! Word from the kernel that the machine's addresses have changed.

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType, bind, recv, socket_with};
use tokio::io::unix::AsyncFd;
use tracing::warn;

/// rtnetlink's group of changes of IPv4 addresses (`RTMGRP_IPV4_IFADDR`).
const IPV4_ADDRESSES: u32 = 0x10;

/// Changes come in bursts; after the first one, the others are waited for.
const SETTLE: Duration = Duration::from_millis(50);

/// How often to look where the kernel gives no word.
const LOOK_EVERY: Duration = Duration::from_secs(30);

/// Messages taken at once, in bytes. They are not read: what counts is what the interfaces have afterwards.
const BUFFER_BYTES: usize = 8 << 10;

/// The changes of the machine's addresses.
pub(super) struct AddressChanges {
    socket: Option<AsyncFd<OwnedFd>>,
}

impl AddressChanges {
    /// Listens for changes, from now on.
    pub(super) fn subscribe() -> AddressChanges {
        let socket = open().map_err(|error| {
            warn!("no word of address changes, looking every {} s instead: {error}", LOOK_EVERY.as_secs());
        });
        AddressChanges { socket: socket.ok() }
    }

    /// Waits until addresses may have changed.
    pub(super) async fn next(&mut self) {
        let Some(socket) = &self.socket else {
            tokio::time::sleep(LOOK_EVERY).await;
            return;
        };
        if let Err(error) = drained(socket).await {
            warn!("word of address changes broke off: {error}");
            self.socket = None;
            return;
        }
        tokio::time::sleep(SETTLE).await;
    }
}

#[expect(
    deprecated,
    reason = "sound for an OwnedFd, which stays open and the same; its successor is an unsafe function"
)]
fn open() -> io::Result<AsyncFd<OwnedFd>> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    // No protocol means the first one, which is rtnetlink.
    let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, None)?;
    bind(&socket, &SocketAddrNetlink::new(0, IPV4_ADDRESSES))?;
    AsyncFd::new(socket)
}

/// Waits for messages and takes them all.
async fn drained(socket: &AsyncFd<OwnedFd>) -> io::Result<()> {
    let mut guard = socket.readable().await?;
    let mut buffer = [0_u8; BUFFER_BYTES];
    loop {
        let received = guard.try_io(|socket| Ok(recv(socket.get_ref(), &mut buffer[..], RecvFlags::empty())?));
        match received {
            Ok(Ok(_)) => {}
            // More changes than the socket holds: that there were some is all that counts.
            Ok(Err(error)) if error.raw_os_error() == Some(Errno::NOBUFS.raw_os_error()) => {}
            Ok(Err(error)) => return Err(error),
            Err(_would_block) => return Ok(()),
        }
    }
}

/// The IPv4 addresses that the interfaces have now.
pub(super) fn interfaces() -> io::Result<Vec<(String, Ipv4Addr)>> {
    let all = if_addrs::get_if_addrs()?;
    let ipv4 = all.into_iter().filter_map(|interface| match interface.ip() {
        IpAddr::V4(address) => Some((interface.name, address)),
        IpAddr::V6(_) => None,
    });
    Ok(ipv4.collect())
}
