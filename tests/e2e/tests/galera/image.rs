//! The image of examples/galera, made of the same files as its Dockerfile makes it of.

use flota_lab::ContainerRecipe;

/// Its name in the unit file.
pub const NAME: &str = "flota/galera:1";

/// What the Dockerfile installs, and what of Debian's base its programs are used to.
const PACKAGES: &[&str] = &[
    "mariadb-server",
    "mariadb-backup",
    "galera-4",
    "socat",
    "bash",
    "coreutils",
    "dash",
    "findutils",
    "grep",
    "libc-bin",
    "sed",
    "tar",
    "util-linux",
];

/// The files of examples/galera/image, with their modes.
const FILES: &[(&str, u32, &str)] = &[
    ("/usr/bin/galera", 0o755, include_str!("../../../../examples/galera/image/usr/bin/galera")),
    (
        "/etc/confd/conf.d/galera.toml",
        0o644,
        include_str!("../../../../examples/galera/image/etc/confd/conf.d/galera.toml"),
    ),
    (
        "/etc/confd/templates/galera.cnf.tmpl",
        0o644,
        include_str!("../../../../examples/galera/image/etc/confd/templates/galera.cnf.tmpl"),
    ),
    (
        "/etc/confd/templates/waiting.tmpl",
        0o644,
        include_str!("../../../../examples/galera/image/etc/confd/templates/waiting.tmpl"),
    ),
    // The lab unpacks packages and configures none.
    ("/etc/passwd", 0o644, "root:x:0:0:root:/root:/bin/sh\nmysql:x:100:100::/var/lib/galera:/bin/sh\n"),
    ("/etc/group", 0o644, "root:x:0:\nmysql:x:100:\n"),
];

/// The Dockerfile's link to the machine's Flota, and Debian's alternatives.
const LINKS: &[(&str, &str)] =
    &[("/usr/bin/confd", "flota"), ("/usr/bin/awk", "gawk"), ("/usr/bin/which", "which.debianutils")];

/// How the lab builds it.
pub fn recipe() -> ContainerRecipe {
    ContainerRecipe {
        packages: PACKAGES.iter().map(|&name| name.to_owned()).collect(),
        files: FILES.iter().map(|&(path, mode, text)| (path.to_owned(), mode, text.to_owned())).collect(),
        links: LINKS.iter().map(|&(path, target)| (path.to_owned(), target.to_owned())).collect(),
        command: vec!["/usr/bin/galera".to_owned()],
        ports: vec![3306, 4444, 4567, 4568],
    }
}
