//! A whole life of a one-machine lab on this host: boot, commands, containers, faults, and nothing left after it.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helper functions too")]

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use flota_lab::{ContainerRecipe, Lab, LabConfig, LabError, MachineState, Silent};

/// Stands for the daemon: all that the unit file asks of it is to say that it is ready.
const DAEMON: &str = "#!/bin/sh\nexec systemd-notify --ready --exec ';' sleep infinity\n";

/// Takes the lab away also when an assertion failed.
struct Guard {
    lab: Lab,
    dir: PathBuf,
}

impl Drop for Guard {
    fn drop(&mut self) {
        // A failure here can't be told from a destructor; the next run's `down` would meet it again.
        let _ = self.lab.down(&mut Silent);
    }
}

#[test]
#[ignore = "needs root and systemd-nspawn; run by cargo xtask test"]
fn a_lab_lives_and_leaves_nothing() {
    let scratch = tempfile::tempdir().unwrap();
    let binary = scratch.path().join("flota");
    fs::write(&binary, DAEMON).unwrap();
    fs::set_permissions(&binary, fs::Permissions::from_mode(0o755)).unwrap();
    let config = LabConfig {
        name: "it".parse().unwrap(),
        subnet: "10.78.250.0/24".parse().unwrap(),
        machines: 1,
        binary: Some(binary.clone()),
        ..LabConfig::default()
    };
    let guard = Guard { dir: config.state_dir.join("it"), lab: Lab::open(config).unwrap() };
    let lab = &guard.lab;
    lab.down(&mut Silent).unwrap();

    let machines = lab.up(&mut Silent).unwrap();
    assert_eq!(machines.len(), 1);
    assert_eq!(machines[0].state, MachineState::Running);
    assert_eq!(machines[0].address.to_string(), "10.78.250.11");
    commands(lab);
    containers(lab);
    pauses_and_cuts(lab);
    power_cut(lab);
    new_program(lab, &binary);

    // `down` must not need the state file.
    fs::write(guard.dir.join("lab.json"), "{\"format\": 1,").unwrap();
    assert!(matches!(lab.list(), Err(LabError::StateDamaged { .. })));
    lab.down(&mut Silent).unwrap();
    nothing_left(&guard.dir);
    lab.down(&mut Silent).unwrap();
}

fn commands(lab: &Lab) {
    assert_eq!(stdout(lab, &["hostname"]), "m1");
    assert_eq!(stdout(lab, &["pwd"]), "/root");
    assert_eq!(stdout(lab, &["systemctl", "is-system-running"]), "running");
    assert_eq!(stdout(lab, &["systemctl", "is-active", "flota.service"]), "active");
    assert_eq!(stdout(lab, &["ssh", "m1", "cat", "/etc/hostname"]), "m1");
    assert_eq!(stdout(lab, &["stat", "-c", "%a", "/etc/flota/pki/machine-key.pem"]), "600");
    assert_eq!(stdout(lab, &["stat", "-c", "%a %F", "/run/fleet.sock"]), "660 socket");
    let output = lab.exec_captured("m1", &["sh", "-c", "exit 7"]).unwrap();
    assert_eq!(output.status.code(), Some(7));
    let error = lab.exec_captured("m2", &["true"]).unwrap_err();
    assert!(matches!(error, LabError::UnknownMachine { .. }), "{error}");
}

fn containers(lab: &Lab) {
    lab.build_container_image("flota/web:1", &ContainerRecipe::web(), &mut Silent).unwrap();
    stdout(lab, &["docker", "run", "-d", "--name=web", "-eMACHINE=m1", "-p8080:80", "flota/web:1"]);
    let page = wait_for("the page", || page(lab));
    assert!(page.contains("on machine m1"), "{page}");
    let began = Instant::now();
    stdout(lab, &["docker", "stop", "web"]);
    assert!(began.elapsed() < Duration::from_secs(5), "the container ignored SIGTERM");
    stdout(lab, &["docker", "start", "web"]);
    wait_for("the page again", || self::page(lab));
}

fn pauses_and_cuts(lab: &Lab) {
    lab.freeze("m1").unwrap();
    assert_eq!(lab.list().unwrap()[0].state, MachineState::Frozen);
    assert!(matches!(lab.exec_captured("m1", &["true"]), Err(LabError::Frozen(_))));
    assert_eq!(page(lab), None);
    lab.thaw("m1").unwrap();
    wait_for("the page after the thaw", || page(lab));

    lab.cut("m1").unwrap();
    lab.cut("m1").unwrap();
    assert_eq!(page(lab), None);
    lab.heal("m1").unwrap();
    lab.heal("m1").unwrap();
    wait_for("the page after the cut", || page(lab));
}

fn power_cut(lab: &Lab) {
    let id = stdout(lab, &["cat", "/etc/machine-id"]);
    let boot = stdout(lab, &["cat", "/proc/sys/kernel/random/boot_id"]);
    stdout(lab, &["sh", "-c", "echo kept > /root/note; sync"]);
    lab.kill("m1").unwrap();
    assert_eq!(lab.list().unwrap()[0].state, MachineState::Stopped);
    assert!(matches!(lab.exec_captured("m1", &["true"]), Err(LabError::Stopped(_))));
    lab.start("m1", &mut Silent).unwrap();
    assert_eq!(stdout(lab, &["cat", "/root/note"]), "kept");
    assert_eq!(stdout(lab, &["cat", "/etc/machine-id"]), id);
    assert_eq!(stdout(lab, &["docker", "inspect", "-f={{.State.Status}}", "web"]), "exited");

    let leader = lab.list().unwrap()[0].leader;
    lab.reboot("m1", &mut Silent).unwrap();
    assert_ne!(lab.list().unwrap()[0].leader, leader);
    assert_eq!(stdout(lab, &["cat", "/root/note"]), "kept");
    // Stores and agents tell boots apart by this.
    assert_ne!(stdout(lab, &["cat", "/proc/sys/kernel/random/boot_id"]), boot);
}

fn new_program(lab: &Lab, binary: &Path) {
    let before = stdout(lab, &["systemctl", "show", "-PMainPID", "flota.service"]);
    let leader = lab.list().unwrap()[0].leader;
    lab.up(&mut Silent).unwrap();
    assert_eq!(stdout(lab, &["systemctl", "show", "-PMainPID", "flota.service"]), before);
    fs::write(binary, format!("{DAEMON}# newer\n")).unwrap();
    lab.up(&mut Silent).unwrap();
    assert_eq!(stdout(lab, &["tail", "-n1", "/usr/bin/flota"]), "# newer");
    wait_for("the new daemon", || {
        let now = stdout(lab, &["systemctl", "show", "-PMainPID", "flota.service"]);
        (now != before && now != "0").then_some(())
    });
    assert_eq!(lab.list().unwrap()[0].leader, leader);
}

fn nothing_left(dir: &Path) {
    assert!(!dir.exists());
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(!mounts.contains(dir.to_str().unwrap()), "{mounts}");
    assert!(!Path::new("/sys/class/net/flab-it").exists());
    for hierarchy in ["", "unified", "memory", "systemd"] {
        assert!(!Path::new("/sys/fs/cgroup").join(hierarchy).join("flota-lab-it").exists());
    }
    let commands = fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter_map(|process| fs::read_to_string(process.path().join("cmdline")).ok());
    let left: Vec<String> = commands.filter(|line| line.contains(dir.to_str().unwrap())).collect();
    assert!(left.is_empty(), "{left:?}");
}

/// What a command in the machine writes; it must succeed.
#[track_caller]
fn stdout(lab: &Lab, argv: &[&str]) -> String {
    let output = lab.exec_captured("m1", argv).unwrap();
    assert!(output.status.success(), "{argv:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// The container's page, asked from the host.
fn page(lab: &Lab) -> Option<String> {
    let address = SocketAddr::from((lab.list().unwrap()[0].address, 8080));
    let limit = Duration::from_millis(500);
    let mut stream = TcpStream::connect_timeout(&address, limit).ok()?;
    stream.set_read_timeout(Some(limit)).unwrap();
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n").ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    text.starts_with("HTTP/1.").then_some(text)
}

#[track_caller]
fn wait_for<T>(what: &str, mut probe: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        if let Some(found) = probe() {
            return found;
        }
        assert!(Instant::now() < deadline, "no sign of {what}");
        std::thread::sleep(Duration::from_millis(100));
    }
}
