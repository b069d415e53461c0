//! What cannot be built is told in clear words, and leaves nothing behind.

use std::fs;
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::flota;

#[track_caller]
fn check(dir: &Path, arguments: &[&str], code: i32, expect: &str) {
    let before = names(dir);
    let output = flota(dir, &[&["image", "build"], arguments].concat());
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {said}");
    assert!(said.contains(expect), "{arguments:?}: {said}");
    assert_eq!(names(dir), before, "{arguments:?}");
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// A small file system, for as long as this lives.
struct Small<'a>(&'a Path);

impl Small<'_> {
    fn at(dir: &Path) -> Small<'_> {
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=8m", "small"]).arg(dir).status().unwrap();
        assert!(mounted.success());
        Small(dir)
    }
}

impl Drop for Small<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0).status();
    }
}

#[test]
#[ignore = "needs root"]
fn what_cannot_be_built_is_told_and_leaves_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    check(dir, &["--suite", "woody"], 2, "suite `woody`: must be bookworm, trixie, forky or sid");
    check(dir, &["--format", "iso"], 2, "format `iso`: must be qcow2, raw, tar or dir");
    check(dir, &["--flota", "/etc/hostname"], 2, "must be a Debian package or the program");
    check(dir, &["--format", "tar", "--output", "no/such/dir.tar"], 1, "no/such");

    fs::write(dir.join("broken.toml"), "hostname = \"n\"\npakages = []\nsize = \"1\"\n").unwrap();
    check(
        dir,
        &["--spec", "broken.toml"],
        65,
        "broken.toml:2:1: the spec knows no `pakages`, did you mean `packages`?",
    );
    check(dir, &["--spec", "broken.toml"], 65, "broken.toml:3:8: size `1` is none from");
    fs::write(dir.join("no-kernel.toml"), "without = [\"linux-image-cloud-amd64\"]\n").unwrap();
    check(dir, &["--spec", "no-kernel.toml", "--format", "raw"], 2, "a disk needs linux-image-cloud-amd64");
    fs::write(dir.join("no-file.toml"), "[[files]]\npath = \"/a\"\nsource = \"absent\"\n").unwrap();
    check(dir, &["--spec", "no-file.toml", "--format", "tar"], 1, "can't find absent");
    fs::write(dir.join("old.packages"), "bash 5.2\n").unwrap();
    check(dir, &["--packages", "old.packages", "--format", "tar"], 1, "old.packages:1: is not the record");
}

#[test]
#[ignore = "needs root"]
fn a_full_disk_and_a_silent_mirror_are_told_and_leave_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    fs::create_dir(dir.join("small")).unwrap();
    let small = dir.join("small");
    {
        let _small = Small::at(&small);
        check(&small, &["--format", "tar", "--output", "a.tar"], 1, "MiB free, ");
    }
    // A port at which nobody listens any more.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    fs::write(dir.join("away.toml"), format!("mirror = \"http://127.0.0.1:{port}/debian\"\n")).unwrap();
    let expect = format!("can't build from deb http://127.0.0.1:{port}/debian trixie main");
    check(dir, &["--spec", "away.toml", "--format", "dir"], 1, &expect);
}

/// How long a build may take to begin with the tree, and to end when it is told to.
const WITHIN: Duration = Duration::from_secs(120);

#[track_caller]
fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let started = Instant::now();
    while !done() {
        assert!(started.elapsed() < WITHIN, "not within {} s: {what}", WITHIN.as_secs());
        sleep(Duration::from_millis(100));
    }
}

#[test]
#[ignore = "needs root"]
fn a_build_that_ctrl_c_ends_leaves_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let mut command = Command::new(flota_e2e::flota());
    command.args(["image", "build", "--format", "dir", "--output", "node"]).current_dir(dir);
    // A group of its own, as a shell gives it: Ctrl-C goes to all of it.
    let mut build = command.process_group(0).stdin(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    wait_until("the tree has files", || names(dir).len() == 2 && dir.join(".node.building/tree/etc").exists());
    let group = format!("-{}", build.id());
    assert!(Command::new("kill").args(["-INT", "--", &group]).status().unwrap().success());
    let mut status = None;
    wait_until("the build ends", || {
        status = build.try_wait().unwrap();
        status.is_some()
    });
    let said = build.wait_with_output().unwrap();
    assert!(!status.unwrap().success(), "{said:?}");
    assert!(names(dir).is_empty(), "{:?}: {said:?}", names(dir));
    assert!(!Command::new("pgrep").args(["--pgroup", &group[1..]]).status().unwrap().success(), "programs run on");
}
