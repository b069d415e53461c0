//! The Debian package under test, and the same once more with a higher version.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::program;

/// `$FLOTA_DEB`, or a plain package of the program under test with its units, made in `dir`.
#[track_caller]
pub fn package(dir: &Path) -> PathBuf {
    if let Some(path) = std::env::var_os("FLOTA_DEB") {
        return path.into();
    }
    let tree = dir.join("flota");
    let units = tree.join("usr/lib/systemd/system");
    for folder in [&units, &tree.join("usr/bin"), &tree.join("DEBIAN")] {
        fs::create_dir_all(folder).unwrap();
    }
    run(Command::new("strip").arg(program::flota()).arg("-o").arg(tree.join("usr/bin/flota")));
    let dist = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../dist/systemd");
    for unit in ["flota.service", "flota.socket"] {
        fs::copy(dist.join(unit), units.join(unit)).unwrap();
    }
    fs::write(tree.join("DEBIAN/control"), CONTROL).unwrap();
    for (name, script) in [("postinst", POSTINST), ("prerm", PRERM), ("postrm", POSTRM)] {
        let path = tree.join("DEBIAN").join(name);
        fs::write(&path, script).unwrap();
        run(Command::new("chmod").arg("755").arg(path));
    }
    build(&tree, &dir.join("flota.deb"))
}

/// The package at `deb` once more in `dir`, its version with `+newer` behind it.
#[track_caller]
pub fn newer_package(deb: &Path, dir: &Path) -> PathBuf {
    let tree = dir.join("newer");
    run(Command::new("dpkg-deb").arg("--raw-extract").args([deb, &tree]));
    let path = tree.join("DEBIAN/control");
    let control = fs::read_to_string(&path).unwrap();
    let newer = |line: &str| match line.strip_prefix("Version: ") {
        Some(version) => format!("Version: {version}+newer\n"),
        None => format!("{line}\n"),
    };
    fs::write(&path, control.lines().map(newer).collect::<String>()).unwrap();
    build(&tree, &dir.join("newer.deb"))
}

const CONTROL: &str = "Package: flota
Version: 0.1.0
Architecture: amd64
Maintainer: Nobody <nobody@example.org>
Description: Flota under test
";
const POSTINST: &str = "#!/bin/sh
set -e
systemctl daemon-reload
systemctl --quiet enable flota.socket flota.service
systemctl start flota.socket
systemctl restart flota.service
";
const PRERM: &str = "#!/bin/sh
set -e
[ \"$1\" = upgrade ] || systemctl --quiet disable --now flota.service flota.socket
";
const POSTRM: &str = "#!/bin/sh
set -e
systemctl daemon-reload
[ \"$1\" != purge ] || rm -rf /var/lib/flota /etc/flota
";

fn build(tree: &Path, deb: &Path) -> PathBuf {
    run(Command::new("dpkg-deb").args(["--root-owner-group", "-Zgzip", "-z1", "--build"]).args([tree, deb]));
    deb.to_owned()
}

#[track_caller]
fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}
