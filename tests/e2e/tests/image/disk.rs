//! A disk boots from both firmwares into a node whose daemon answers, and takes what NoCloud tells it.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::qemu::{Firmware, Vm};
use super::{must, there_is_time};

const SPEC: &str = "size = \"2G\"\nkernel_arguments = [\"console=ttyS0\", \"mitigations=off\", \"panic=-1\"]\n";
const USER_DATA: &str = "#cloud-config
hostname: first
hostnam: typo
write_files: [{path: /etc/written, content: \"yes\"}]
flota:
  metadata: {rack: r7}
  join: {address: 127.0.0.1, token: wrong}
";
/// The disk that the machine gets is larger than the one that was built.
const LARGER: u64 = 4 << 30;

#[track_caller]
fn run(dir: &Path, program: &str, arguments: &[&str]) {
    let output = Command::new(program).args(arguments).current_dir(dir).output().unwrap();
    assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// What clouds bring: a small disk with two files.
fn seed(dir: &Path) {
    run(dir, "ssh-keygen", &["-q", "-t", "ed25519", "-N", "", "-f", "key"]);
    let key = fs::read_to_string(dir.join("key.pub")).unwrap();
    fs::write(dir.join("user-data"), USER_DATA).unwrap();
    fs::write(dir.join("meta-data"), format!("instance-id: i-1\npublic-keys: [{}]\n", key.trim())).unwrap();
    run(dir, "mkfs.vfat", &["-C", "-n", "CIDATA", "seed.img", "1024"]);
    run(dir, "mcopy", &["-i", "seed.img", "user-data", "meta-data", "::"]);
}

#[test]
#[ignore = "needs root, and many minutes"]
fn a_disk_boots_from_bios_and_uefi_to_a_daemon_that_answers() {
    if !there_is_time() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    fs::write(dir.join("spec.toml"), SPEC).unwrap();
    must(dir, &["image", "build", "--spec", "spec.toml", "--format", "qcow2", "--output", "disk.qcow2"]);
    run(dir, "qemu-img", &["convert", "-O", "raw", "disk.qcow2", "disk.raw"]);
    fs::File::options().write(true).open(dir.join("disk.raw")).unwrap().set_len(LARGER).unwrap();
    seed(dir);

    let vm = Vm::start(dir, Firmware::Bios);
    assert!(vm.eventually("flota list-machines --no-legend | grep ready").contains("rack=r7"));
    assert_eq!(vm.eventually("cat /etc/written /etc/hostname"), "yesfirst\n");
    assert_eq!(vm.eventually("findmnt -no FSTYPE /"), "ext4\n");
    let root_mib: u64 = vm.eventually("df --output=size -m / | tail -1").trim().parse().unwrap();
    assert!(root_mib > 3000, "the root did not grow: {root_mib} MiB");
    assert!(vm.console().contains("user-data:3:1: #cloud-config knows no `hostnam`, did you mean `hostname`?"));
    let joining = vm.eventually("journalctl -u flota-firstboot-join --no-pager -o cat | grep -i token");
    assert!(joining.contains("token"), "{joining}");
    assert!(vm.eventually("docker version --format '{{.Server.Version}}'").contains('.'));
    vm.eventually("sync; systemctl --no-block poweroff");
    drop(vm);

    let vm = Vm::start(dir, Firmware::Uefi);
    assert!(vm.eventually("flota list-machines --no-legend | grep ready").contains("rack=r7"));
    assert!(vm.eventually("ls /sys/firmware/efi | head -1").len() > 1);
}
