//! A node uses less memory than what people have without an image, measured the same way.

use std::fs;
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use flota_image::Suite;
use flota_image::debian::{Tree, make_tree};
use flota_image::host::Plain;

use super::qemu::{Firmware, Vm};
use super::seed::{Seed, run};
use super::{must, there_is_time};

const SPEC: &str =
    "size = \"2G\"\nkernel_arguments = [\"console=ttyS0\", \"mitigations=off\", \"panic=-1\", \"quiet\"]\n";
/// Without the first line cloud-init would let nobody in as root.
const USER_DATA: &str = "#cloud-config\ndisable_root: false\nhostname: measured\n";

/// Beside `--variant=important`: what Debian puts into its cloud images, as far as it may use memory, then Docker and etcd.
const CLOUD: &[&str] = &[
    "apparmor",
    "apt-listchanges",
    "apt-utils",
    "bash-completion",
    "bind9-host",
    "ca-certificates",
    "cloud-guest-utils",
    "cloud-init",
    "cloud-initramfs-growroot",
    "curl",
    "dbus",
    "dmidecode",
    "dosfstools",
    "ethtool",
    "fdisk",
    "file",
    "gdisk",
    "initramfs-tools",
    "less",
    "libpam-systemd",
    "linux-image-cloud-amd64",
    "locales",
    "logrotate",
    "lsof",
    "man-db",
    "netplan.io",
    "openssh-server",
    "pciutils",
    "polkitd",
    "psmisc",
    "python3-apt",
    "reportbug",
    "screen",
    "socat",
    "ssh-import-id",
    "sudo",
    "systemd-resolved",
    "systemd-sysv",
    "systemd-timesyncd",
    "tcpdump",
    "traceroute",
    "udev",
    "unattended-upgrades",
    "uuid-runtime",
    "vim",
    "wget",
    "docker.io",
    "docker-cli",
    "etcd-server",
    "etcd-client",
];

/// The network as Debian's cloud images have it: netplan and networkd.
const HOOKS: [&str; 2] = ["dpkg --purge ifupdown", "systemctl enable systemd-networkd.service"];

/// How often each boots; its median counts.
const BOOTS: usize = 3;
/// How long after the boot it is asked.
const SETTLED: Duration = Duration::from_secs(25);
/// How much less it shall be, in percent.
const LESS: u64 = 40;

#[test]
#[ignore = "needs root, and the better part of an hour"]
fn a_node_uses_two_fifths_less_memory_than_debians_cloud_packages_with_docker_and_etcd() {
    if !there_is_time() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    Seed::NoCloud.make(dir, USER_DATA, "");
    fs::write(dir.join("spec.toml"), SPEC).unwrap();
    must(dir, &["image", "build", "--spec", "spec.toml", "--format", "raw", "--output", "node.raw"]);
    cloud_disk(dir);
    let node = median("image", || measure(&Vm::start(dir, Firmware::Bios, "node.raw", Seed::NoCloud.file())));
    let cloud = median("cloud", || measure(&Vm::start(dir, Firmware::Kernel, "cloud.raw", Seed::NoCloud.file())));
    assert!(node * 100 <= cloud * (100 - LESS), "{node} kB are not {LESS} % less than {cloud} kB");
}

/// The other side, with the kernel beside it.
fn cloud_disk(dir: &Path) {
    let tree = dir.join("cloud");
    let options = HOOKS.map(|hook| format!("--customize-hook=chroot \"$1\" {hook}"));
    let packages = Tree { options: &options, ..Tree::new(Suite::Trixie, "important", CLOUD) };
    make_tree(packages, &tree, &mut Plain(std::io::stderr())).unwrap();
    fs::write(tree.join("etc/fstab"), "/dev/vda / ext4 errors=remount-ro 0 1\n").unwrap();
    fs::write(tree.join("etc/machine-id"), "").unwrap();
    for name in ["vmlinuz", "initrd"] {
        let link = if name == "initrd" { "initrd.img" } else { name };
        fs::copy(tree.join(fs::read_link(tree.join(link)).unwrap()), dir.join(name)).unwrap();
    }
    run(dir, "mke2fs", &["-q", "-t", "ext4", "-d", "cloud", "cloud.raw", "4G"]);
}

/// What is used, in kB: what the kernel says is not available.
fn measure(vm: &Vm) -> u64 {
    vm.eventually("systemctl is-system-running --wait | grep -E 'running|degraded'");
    sleep(SETTLED);
    let running = "systemctl list-units --type=service --state=running --no-legend | wc -l";
    let told = vm.eventually(&format!("cat /proc/meminfo; echo Services: $({running}); systemd-analyze time"));
    let kb = |name: &str| {
        let line = told.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).unwrap()
    };
    let used = kb("MemTotal") - kb("MemAvailable");
    let boot = told.lines().find(|line| line.starts_with("Startup")).unwrap_or_default();
    eprintln!("used {used} kB, AnonPages {} kB, {} services; {boot}", kb("AnonPages"), kb("Services"));
    used
}

fn median(what: &str, mut one: impl FnMut() -> u64) -> u64 {
    let mut all: Vec<u64> = (0..BOOTS).map(|_| one()).collect();
    all.sort_unstable();
    eprintln!("{what}: {all:?} kB");
    all[BOOTS / 2]
}
