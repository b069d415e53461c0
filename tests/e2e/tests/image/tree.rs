//! The same spec twice is the same archive, and a lab machine boots from it.

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

    let _down = Down(dir);
    let up = ["lab", "up", "-n", "1", "--subnet", "10.78.246.0/24", "--image", "one.tar"];
    must(dir, &[&up[..], &LAB[..]].concat());
    let on_m1 = |line: &[&str]| must(dir, &[&["lab", "exec"], &LAB[..], &["m1", "--"], line].concat());
    assert!(on_m1(&["flota", "list-machines", "--no-legend"]).contains("ready"));
    assert_eq!(on_m1(&["cat", "/etc/written"]), "yes");
    assert_eq!(on_m1(&["systemctl", "is-active", "docker.socket"]), "active\n");
    // Docker starts when somebody asks it something.
    let inactive =
        flota(dir, &[&["lab", "exec"], &LAB[..], &["m1", "--", "systemctl", "is-active", "docker.service"]].concat());
    assert_eq!(String::from_utf8_lossy(&inactive.stdout), "inactive\n");
    assert!(on_m1(&["docker", "version", "--format", "{{.Server.Version}}"]).contains('.'));
    assert!(on_m1(&["id", "core"]).contains("docker"));
}
