//! Who this machine is: ids, address, capacity.

use std::net::{Ipv4Addr, UdpSocket};

use anyhow::{Context, bail};
use flota_registry::{Capacity, MachineId};

/// The machine id from `/etc/machine-id`.
pub fn machine_id() -> anyhow::Result<MachineId> {
    const PATH: &str = "/etc/machine-id";
    let text = std::fs::read_to_string(PATH).with_context(|| format!("cannot read {PATH}"))?;
    text.trim().parse().with_context(|| format!("{PATH} (run `systemd-machine-id-setup`)"))
}

/// The kernel's boot id.
pub fn boot_id() -> anyhow::Result<String> {
    const PATH: &str = "/proc/sys/kernel/random/boot_id";
    let text = std::fs::read_to_string(PATH).with_context(|| format!("cannot read {PATH}"))?;
    Ok(text.trim().to_owned())
}

/// The address of the interface that the default route leaves by. No packet is sent: connecting a UDP socket only
/// asks the kernel for the route.
pub fn default_address() -> anyhow::Result<String> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).context("cannot open a socket")?;
    let reached = socket.connect((Ipv4Addr::new(192, 0, 2, 1), 9)).and_then(|()| socket.local_addr());
    match reached {
        Ok(address) => Ok(address.ip().to_string()),
        // Without any route the machine is alone, and reaches itself.
        Err(error) if error.kind() == std::io::ErrorKind::NetworkUnreachable => Ok(Ipv4Addr::LOCALHOST.to_string()),
        Err(error) => bail!("cannot find this machine's address: {error}; set [machine] address"),
    }
}

/// Processors and memory as the kernel counts them.
pub fn capacity() -> Capacity {
    let cpus = std::thread::available_parallelism().map_or(1, |count| u32::try_from(count.get()).unwrap_or(u32::MAX));
    let info = rustix::system::sysinfo();
    #[expect(clippy::useless_conversion, reason = "the field's width differs between architectures")]
    let memory_bytes = u64::from(info.totalram) * u64::from(info.mem_unit);
    Capacity { cpus, memory_bytes }
}
