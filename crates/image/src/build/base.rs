//! The base of every image, as data: packages, units, and files that make a tree a small node.

use crate::suite::Suite;

/// What every node has.
const PACKAGES: &[&str] = &[
    "systemd",
    "systemd-sysv",
    "systemd-resolved",
    "systemd-timesyncd",
    "dbus",
    "udev",
    "kmod",
    "iproute2",
    "iptables",
    "libnss-myhostname",
    "openssh-server",
    "sudo",
    "ca-certificates",
    "docker.io",
    "etcd-server",
    "etcd-client",
    "e2fsprogs",
    KERNEL,
    INITRD,
];

/// The kernel for virtual machines: half of the usual one's modules, and Debian's name for it at every release.
pub(crate) const KERNEL: &str = "linux-image-cloud-amd64";
/// Makes the kernel's first file system.
pub(crate) const INITRD: &str = "initramfs-tools";

/// Units that Debian's packages would start at boot. Docker starts when somebody speaks to its socket, ssh likewise; etcd
/// is there for who asks for it; the rest would only wake the machine.
pub(crate) const DISABLED: &[&str] = &[
    "docker.service",
    "containerd.service",
    "etcd.service",
    "ssh.service",
    "apt-daily.timer",
    "apt-daily-upgrade.timer",
    "dpkg-db-backup.timer",
    "e2scrub_all.timer",
    "e2scrub_reap.service",
    "systemd-networkd-wait-online.service",
    "remote-fs.target",
];

/// Units that a node starts at boot.
pub(crate) const ENABLED: &[&str] = &[
    "systemd-networkd.service",
    "systemd-resolved.service",
    "systemd-timesyncd.service",
    "docker.socket",
    "ssh.socket",
    "flota.socket",
    "flota.service",
    "flota-firstboot.service",
    "flota-firstboot-join.service",
    "flota-hostkeys.service",
    "flota-small.service",
];

/// A file of the base: path in the tree, mode, content.
pub(crate) type BaseFile = (&'static str, u32, String);

/// All packages of the base but those that the spec leaves out, and those that it adds.
pub(crate) fn packages(suite: Suite, without: &[String], more: &[String]) -> Vec<String> {
    // Since trixie these are packages of their own.
    let split = match suite {
        Suite::Bookworm => &[][..],
        Suite::Trixie | Suite::Forky | Suite::Sid => &["docker-cli", "systemd-repart"],
    };
    let base = PACKAGES.iter().chain(split).map(|name| (*name).to_owned());
    let mut all: Vec<String> = base.filter(|name| !without.contains(name)).chain(more.iter().cloned()).collect();
    all.sort();
    all.dedup();
    all
}

/// The lines of `sources.list`: the release, its updates, and its security fixes where Debian makes them.
pub(crate) fn sources(suite: Suite, mirror: &str, security: &str) -> Vec<String> {
    let name = suite.as_str();
    let mut lines = vec![format!("deb {mirror} {name} main")];
    if matches!(suite, Suite::Bookworm | Suite::Trixie) {
        lines.push(format!("deb {mirror} {name}-updates main"));
        lines.push(format!("deb {security} {name}-security main"));
    }
    lines
}

/// The files of the base. `default_user` is whom user-data means by the default user.
pub(crate) fn files(hostname: &str, default_user: &str) -> Vec<BaseFile> {
    let firstboot = include_str!("../../files/flota-firstboot.service").replace("@USER@", default_user);
    vec![
        ("etc/hostname", 0o644, format!("{hostname}\n")),
        ("etc/hosts", 0o644, "127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n".to_owned()),
        // Empty, not absent: an absent one would make systemd enable every unit there is.
        ("etc/machine-id", 0o444, String::new()),
        ("etc/systemd/network/80-flota.network", 0o644, NETWORK.to_owned()),
        ("etc/systemd/journald.conf.d/flota.conf", 0o644, JOURNAL.to_owned()),
        ("etc/default/locale", 0o644, "LANG=C.UTF-8\n".to_owned()),
        ("etc/dpkg/dpkg.cfg.d/flota-image", 0o644, dpkg_options()),
        ("usr/lib/repart.d/50-root.conf", 0o644, "[Partition]\nType=root\n".to_owned()),
        ("usr/lib/systemd/system/flota-firstboot.service", 0o644, firstboot),
        (
            "usr/lib/systemd/system/flota-firstboot-join.service",
            0o644,
            include_str!("../../files/flota-firstboot-join.service").to_owned(),
        ),
        (
            "usr/lib/systemd/system/flota-hostkeys.service",
            0o644,
            include_str!("../../files/flota-hostkeys.service").to_owned(),
        ),
        (
            "usr/lib/systemd/system/flota-small.service",
            0o644,
            include_str!("../../files/flota-small.service").to_owned(),
        ),
    ]
}

/// Packages that are installed later bring no documentation either, but their licences.
fn dpkg_options() -> String {
    let excluded = crate::debian::EXCLUDED.map(|path| format!("path-exclude={path}\n"));
    format!("{}path-include={LICENCES}\n", excluded.concat())
}

/// What stays of the documentation: the licences, which the bill of materials names, too.
pub(crate) const LICENCES: &str = "/usr/share/doc/*/copyright";

/// Addresses by DHCP on every real cable; not on Docker's.
const NETWORK: &str = "[Match]
Name=en* eth*
Type=ether

[Network]
DHCP=yes

[DHCPv4]
UseDomains=yes
";

const JOURNAL: &str = "[Journal]
SystemMaxUse=256M
RuntimeMaxUse=16M
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spec_adds_and_leaves_out_packages() {
        let all = packages(Suite::Trixie, &["etcd-server".to_owned()], &["htop".to_owned(), "sudo".to_owned()]);
        assert!(all.contains(&"htop".to_owned()) && !all.contains(&"etcd-server".to_owned()));
        assert_eq!(all.iter().filter(|name| *name == "sudo").count(), 1);
        assert!(!packages(Suite::Bookworm, &[], &[]).contains(&"docker-cli".to_owned()));
    }

    #[test]
    fn stable_releases_get_their_security_fixes() {
        assert_eq!(sources(Suite::Trixie, "http://a/debian", "http://s").len(), 3);
        assert_eq!(sources(Suite::Forky, "http://a/debian", "http://s"), ["deb http://a/debian forky main"]);
    }

    #[test]
    fn the_first_boot_knows_the_default_user() {
        let all = files("node", "core");
        let unit = all.iter().find(|(path, ..)| path.ends_with("firstboot.service")).unwrap();
        assert!(unit.2.contains("ExecStart=/usr/bin/flota firstboot apply --user core\n"), "{}", unit.2);
    }
}
