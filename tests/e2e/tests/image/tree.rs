//! The same spec twice is the same archive, and lab machines boot from trees of all releases.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::{flota, must, there_is_time};

const SPEC: &str = r##"
hostname = "node"
without = ["linux-image-cloud-amd64"]

[[users]]
name = "core"
groups = ["docker"]
sudo = true

[[files]]
path = "/var/lib/cloud/seed/nocloud/user-data"
content = "#cloud-config\nwrite_files: [{path: /etc/written, content: \"yes\"}]\n"
mode = "0600"

[units]
enable = ["etcd.service"]
"##;

/// A lab of its own beside those of the other tests.
const LAB: [&str; 2] = ["--name", "image"];

struct Down<'a>(&'a Path);

impl Down<'_> {
    /// Runs a command on its first machine; its standard output.
    #[track_caller]
    fn on_m1(&self, line: &[&str]) -> String {
        must(self.0, &[&["lab", "exec"], &LAB[..], &["m1", "--"], line].concat())
    }
}

impl Drop for Down<'_> {
    fn drop(&mut self) {
        let output = flota(self.0, &[&["lab", "down"], &LAB[..]].concat());
        if !output.status.success() {
            eprintln!("lab down: {}", String::from_utf8_lossy(&output.stderr));
        }
    }
}

#[test]
#[ignore = "needs root, and minutes"]
fn two_builds_of_a_spec_are_the_same_archive_and_a_lab_boots_from_it() {
    if !there_is_time() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    fs::write(dir.join("spec.toml"), SPEC).unwrap();
    let build = ["image", "build", "--spec", "spec.toml", "--format", "tar"];
    must(dir, &[&build[..], &["--output", "one.tar"]].concat());
    // The second is held to the first one's packages, and so has its epoch, too.
    must(dir, &[&build[..], &["--packages", "one.tar.packages", "--output", "two.tar"]].concat());
    let same = Command::new("cmp").args(["one.tar", "two.tar"]).current_dir(dir).output().unwrap();
    assert!(same.status.success(), "{}", String::from_utf8_lossy(&same.stdout));
    let same = |ending: &str| {
        let [one, two] = ["one.tar", "two.tar"].map(|name| fs::read(dir.join(format!("{name}.{ending}"))).unwrap());
        assert!(one == two, "{ending} differs");
    };
    same("packages");
    same("cdx.json");
    fs::remove_file(dir.join("two.tar")).unwrap();

    let lab = up(dir, "one.tar");
    // Docker starts when somebody asks it something.
    let inactive =
        flota(dir, &[&["lab", "exec"], &LAB[..], &["m1", "--", "systemctl", "is-active", "docker"]].concat());
    assert_eq!(String::from_utf8_lossy(&inactive.stdout), "inactive\n");
    is_a_node(&lab);
    assert_eq!(lab.on_m1(&["cat", "/etc/written"]), "yes");
    assert!(lab.on_m1(&["id", "core"]).contains("docker"));
}

/// A lab of one machine.
fn up<'a>(dir: &'a Path, image: &str) -> Down<'a> {
    // From now on there is something to take down, whatever fails.
    let lab = Down(dir);
    let up = ["lab", "up", "-n", "1", "--subnet", "10.78.246.0/24", "--image", image];
    must(dir, &[&up[..], &LAB[..]].concat());
    lab
}

/// What every image promises, whatever the release.
fn is_a_node(lab: &Down<'_>) {
    assert!(lab.on_m1(&["flota", "list-machines", "--no-legend"]).contains("ready"));
    assert_eq!(lab.on_m1(&["systemctl", "is-active", "docker.socket"]), "active\n");
    assert!(lab.on_m1(&["docker", "version", "--format", "{{.Server.Version}}"]).contains('.'));
    let unit = "printf '[Service]\\nExecStart=/bin/sleep infinity\\n' > /root/a.service && flota start /root/a.service";
    lab.on_m1(&["sh", "-c", unit]);
    assert_eq!(lab.on_m1(&["systemctl", "is-active", "a.service"]), "active\n");
}

#[test]
#[ignore = "needs root, and minutes"]
fn images_of_the_releases_before_and_after_boot_in_the_lab() {
    if !there_is_time() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    fs::write(dir.join("spec.toml"), SPEC).unwrap();
    for (suite, version) in [("bookworm", "VERSION_ID=\"12\""), ("forky", "VERSION_CODENAME=forky")] {
        let build = ["image", "build", "--suite", suite, "--spec", "spec.toml", "--format", "dir"];
        must(dir, &[&build[..], &["--output", suite]].concat());
        let lab = up(dir, suite);
        assert!(lab.on_m1(&["cat", "/etc/os-release"]).contains(version));
        is_a_node(&lab);
    }
}
