//! A disk boots from both firmwares, as qcow2 and raw, into a node that does what NoCloud or a ConfigDrive tells it.

use std::fs;
use std::path::Path;

use super::qemu::{Firmware, Vm};
use super::seed::{Seed, run};
use super::{must, there_is_time};

const SPEC: &str = "size = \"2G\"\nkernel_arguments = [\"console=ttyS0\", \"mitigations=off\", \"panic=-1\"]\n";
const NOCLOUD: &str = "#cloud-config
hostname: first
hostnam: typo
write_files: [{path: /etc/written, content: \"yes\"}]
flota:
  metadata: {rack: r7}
";
/// Nobody lets machines in there.
const CONFIG_DRIVE: &str = "#cloud-config
write_files: [{path: /etc/written, content: \"by a drive\"}]
flota:
  join: {address: 127.0.0.1, token: wrong}
";
const MEMBER: &str = "flota list-machines --no-legend | grep ready";

/// The disk that the machine gets is larger than the one that was built.
const LARGER: &str = "4G";

#[test]
#[ignore = "needs root, and many minutes"]
fn disks_boot_from_bios_and_uefi_to_a_daemon_that_answers() {
    if !there_is_time() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    fs::write(dir.join("spec.toml"), SPEC).unwrap();
    must(dir, &["image", "build", "--spec", "spec.toml", "--format", "qcow2", "--output", "disk.qcow2"]);
    run(dir, "qemu-img", &["resize", "-q", "disk.qcow2", LARGER]);
    run(dir, "qemu-img", &["convert", "-O", "raw", "disk.qcow2", "disk.raw"]);
    Seed::NoCloud.make(dir, NOCLOUD, "local-ipv4: 192.0.2.7\n");
    Seed::ConfigDrive.make(dir, CONFIG_DRIVE, r#", "hostname": "drive.example.org""#);
    qcow2_by_bios(dir);
    raw_by_uefi(dir);
}

fn qcow2_by_bios(dir: &Path) {
    let vm = Vm::start(dir, Firmware::Bios, "disk.qcow2", Seed::NoCloud.file());
    assert!(vm.eventually(MEMBER).contains("rack=r7"));
    assert_eq!(vm.eventually("cat /etc/written /etc/hostname"), "yesfirst\n");
    assert_eq!(vm.eventually("grep COREOS /etc/environment"), "COREOS_PRIVATE_IPV4=\"192.0.2.7\"\n");
    assert_eq!(vm.eventually("findmnt -no FSTYPE /"), "ext4\n");
    let root_mib: u64 = vm.eventually("df --output=size -m / | tail -1").trim().parse().unwrap();
    assert!(root_mib > 3000, "the root did not grow: {root_mib} MiB");
    assert!(vm.console().contains("user-data:3:1: #cloud-config knows no `hostnam`, did you mean `hostname`?"));
    assert!(vm.eventually("docker version --format '{{.Server.Version}}'").contains('.'));
    let boot = vm.eventually("cat /proc/sys/kernel/random/boot_id");
    vm.eventually("systemctl --no-block reboot");
    vm.eventually(&format!("! grep -q {} /proc/sys/kernel/random/boot_id", boot.trim()));
    assert!(vm.eventually(MEMBER).contains("rack=r7"));
    // The boot before is in the journal still.
    let boots = vm.eventually("journalctl --list-boots --no-pager | grep -c .");
    assert!(boots.trim().parse::<u32>().unwrap() >= 2, "{boots}");
}

fn raw_by_uefi(dir: &Path) {
    let vm = Vm::start(dir, Firmware::Uefi, "disk.raw", Seed::ConfigDrive.file());
    assert_eq!(vm.eventually("cat /etc/written"), "by a drive");
    assert_eq!(vm.eventually("cat /etc/hostname; hostname --fqdn"), "drive\ndrive.example.org\n");
    assert!(vm.eventually("ls /sys/firmware/efi | head -1").len() > 1);
    // Its token is none: it says so to all who look, tries on, and is no cluster of its own.
    let outside = vm.eventually("! flota list-machines 2>&1");
    assert!(outside.contains("this machine is in no cluster"), "{outside}");
    vm.eventually("test $(systemctl show --value -p NRestarts flota-firstboot-join) -gt 1");
    assert!(vm.eventually("cat /run/motd.d/flota").contains("has not joined the cluster at 127.0.0.1"));
    assert!(vm.console().contains("this is not a token"));
}
