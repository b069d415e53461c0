//! Standard input and output, and the names that the program answers to.

use std::{
    io::{Read, Write},
    os::unix::net::UnixListener,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

const FLOTA: &str = env!("CARGO_BIN_EXE_flota");

#[test]
fn fd_forward_connects_stdin_and_stdout_to_a_socket() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("x.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    // Answers while the other end still writes, then turns all that it got around.
    let echo = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.write_all(b"hello\n").unwrap();
        let mut text = Vec::new();
        stream.read_to_end(&mut text).unwrap();
        text.reverse();
        stream.write_all(&text).unwrap();
    });
    let mut child = Command::new(FLOTA)
        .arg("fd-forward")
        .arg(&socket)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut out = child.stdout.take().unwrap();
    let mut greeting = [0; 6];
    out.read_exact(&mut greeting).unwrap();
    assert_eq!(&greeting, b"hello\n");
    child.stdin.take().unwrap().write_all(b"\x00\xffabc").unwrap();
    let mut rest = Vec::new();
    out.read_to_end(&mut rest).unwrap();
    assert_eq!(rest, b"cba\xff\x00");
    assert!(child.wait().unwrap().success());
    echo.join().unwrap();
}

/// fleetctl's ended with 0.
#[test]
fn fd_forward_to_nowhere_is_an_error() {
    let run = |program: &Path| Command::new(program).args(["fd-forward", "/nonexistent/x.sock"]).output().unwrap();
    let output = run(Path::new(FLOTA));
    assert_eq!(output.status.code(), Some(69));
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(error, "cannot connect to /nonexistent/x.sock: No such file or directory (os error 2)\n");
    let directory = tempfile::tempdir().unwrap();
    let fleetctl = directory.path().join("fleetctl");
    std::os::unix::fs::symlink(FLOTA, &fleetctl).unwrap();
    assert_eq!(run(&fleetctl).status.code(), Some(1));
}

#[test]
fn the_name_decides_the_layout() {
    let directory = tempfile::tempdir().unwrap();
    let fleetctl = directory.path().join("fleetctl");
    std::os::unix::fs::symlink(FLOTA, &fleetctl).unwrap();
    let output = Command::new(&fleetctl).arg("--version").output().unwrap();
    assert_eq!(output.stdout, format!("fleetctl version {}\n", env!("CARGO_PKG_VERSION")).as_bytes());
    let output = Command::new(FLOTA).arg("--version").output().unwrap();
    assert_eq!(output.stdout, format!("flota {}\n", env!("CARGO_PKG_VERSION")).as_bytes());
}

/// Runs `flota --tunnel` until its ssh is there, interrupts it, and returns its exit code.
fn interrupted(directory: &Path, script: &str) -> Option<i32> {
    use std::os::unix::fs::PermissionsExt;
    let (ssh, ready, scratch) = (directory.join("ssh"), directory.join("ready"), directory.join("tmp"));
    std::fs::write(&ssh, format!("#!/bin/sh\nPATH=/usr/bin:/bin\n{script}\n")).unwrap();
    std::fs::set_permissions(&ssh, std::fs::Permissions::from_mode(0o755)).unwrap();
    std::fs::create_dir(&scratch).unwrap();
    let arguments = ["--tunnel=gate", "--endpoint=unix:///nonexistent/api.sock", "list-units"];
    let mut command = Command::new(FLOTA);
    command.args(arguments).env("PATH", directory).env("READY", &ready).env("TMPDIR", &scratch);
    let mut child = command.stdin(Stdio::null()).spawn().unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    while !ready.exists() {
        assert!(Instant::now() < deadline, "ssh was not called");
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(std::fs::read_dir(&scratch).unwrap().count(), 1);
    Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    let code = child.wait().unwrap().code();
    assert_eq!(std::fs::read_dir(&scratch).unwrap().count(), 0, "left behind");
    code
}

#[test]
fn an_interrupted_tunnel_leaves_nothing_behind() {
    let directory = tempfile::tempdir().unwrap();
    assert_eq!(interrupted(directory.path(), "echo $$ > $READY; exec sleep 60"), Some(130));
    // ssh has been ended too.
    let pid = std::fs::read_to_string(directory.path().join("ready")).unwrap();
    let deadline = Instant::now() + Duration::from_secs(5);
    loop {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
        // Nobody may have asked yet how it ended.
        if stat.is_empty() || stat.contains("(sleep) Z") {
            return;
        }
        assert!(Instant::now() < deadline, "still there: {stat}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
