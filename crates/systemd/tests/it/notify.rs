//! sd_notify over real sockets.

use std::{
    ffi::OsString,
    os::{
        linux::net::SocketAddrExt,
        unix::net::{SocketAddr, UnixDatagram},
    },
};

use flota_systemd::Notifier;

#[track_caller]
fn check(manager: &UnixDatagram, expected: &str) {
    let mut buffer = [0; 256];
    let length = manager.recv(&mut buffer).unwrap();
    assert_eq!(std::str::from_utf8(&buffer[..length]).unwrap(), expected);
}

#[test]
fn messages_reach_a_path() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("notify");
    let manager = UnixDatagram::bind(&path).unwrap();
    let notifier = Notifier::for_socket(Some(path.into()));
    notifier.ready();
    check(&manager, "READY=1");
    notifier.status("3 units\nREADY=0");
    check(&manager, "STATUS=3 units READY=0");
    notifier.stopping();
    check(&manager, "STOPPING=1");
    notifier.reloading();
    let mut buffer = [0; 256];
    let length = manager.recv(&mut buffer).unwrap();
    let message = std::str::from_utf8(&buffer[..length]).unwrap();
    let micros = message.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").unwrap();
    assert!(micros.parse::<u64>().unwrap() > 0);
}

#[test]
fn messages_reach_an_abstract_name() {
    let name = format!("flota-notify-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(&name).unwrap();
    let manager = UnixDatagram::bind_addr(&address).unwrap();
    Notifier::for_socket(Some(format!("@{name}").into())).ready();
    check(&manager, "READY=1");
}

#[test]
fn no_usable_socket_is_silence() {
    for address in [None, Some(""), Some("vsock:2:1234"), Some("/nonexistent/notify")] {
        Notifier::for_socket(address.map(OsString::from)).ready();
    }
}
