//! Socket activation with a real descriptor in a real child: this test program runs itself again.

use std::{
    net::TcpListener,
    os::{
        fd::OwnedFd,
        unix::net::{UnixListener, UnixStream},
    },
    process::{Command, Output},
};

use flota_systemd::inherited_listeners;

/// Runs `child` in a new process that has this descriptor as number 3.
fn run_child(descriptor: OwnedFd, pid: &str) -> Output {
    let script = format!("export LISTEN_PID={pid} LISTEN_FDS=1 FLOTA_TEST_CHILD=1; exec \"$0\" \"$@\" 3<&0");
    Command::new("sh")
        .args(["-c", &script])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "activation::child", "--nocapture", "--test-threads=1"])
        .stdin(descriptor)
        .output()
        .unwrap()
}

/// What the child does; in the parent's own run there is nothing handed over.
#[test]
fn child() {
    if std::env::var_os("FLOTA_TEST_CHILD").is_none() {
        return;
    }
    match inherited_listeners() {
        Ok(listeners) => {
            println!("got {}", listeners.len());
            for listener in listeners {
                listener.accept().unwrap();
                println!("accepted");
            }
            println!("again {}", inherited_listeners().unwrap().len());
        }
        Err(error) => println!("{error}: {}", std::error::Error::source(&error).unwrap()),
    }
}

#[track_caller]
fn check(output: &Output, expected: &str) {
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains(expected), "{text}");
}

#[test]
fn a_unix_listener_is_taken_over() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("api.sock");
    let listener = UnixListener::bind(&path).unwrap();
    // Waits in the backlog, as the first client of an activated daemon does.
    let _client = UnixStream::connect(&path).unwrap();
    check(&run_child(listener.into(), "$$"), "got 1\naccepted\nagain 0");
}

#[test]
fn sockets_for_another_process_are_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let listener = UnixListener::bind(dir.path().join("api.sock")).unwrap();
    check(&run_child(listener.into(), "1"), "got 0");
}

#[test]
fn another_kind_of_socket_is_an_error_that_names_it() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    check(
        &run_child(listener.into(), "$$"),
        "socket number 0 handed over by the service manager is not usable: fd 3 is not a valid unix stream socket",
    );
}
