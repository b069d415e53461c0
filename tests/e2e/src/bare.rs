//! One machine without Flota on it, and the package that tests install there.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use flota_lab::{Lab, LabConfig, Plain, Suite};
use tempfile::TempDir;

use crate::node::{Facts, Node};
use crate::program;
use crate::undertaker::Undertaker;

const LAB: &str = "e2edeb";
const SUBNET: &str = "10.78.242.0/24";

/// A fresh machine; it goes when this is dropped.
#[derive(Debug)]
pub struct Bare {
    lab: Lab,
    machine: Facts,
    _undertaker: Undertaker,
}

impl Bare {
    /// Boots a machine of that Debian. The first one of a suite takes minutes, for its image is made then.
    pub fn boot(suite: Suite) -> Bare {
        let undertaker = Undertaker::hire(&program::flota(), LAB);
        let config = LabConfig {
            name: LAB.parse().unwrap(),
            subnet: SUBNET.parse().unwrap(),
            machines: 1,
            suite,
            binary: None,
            ..LabConfig::default()
        };
        let lab = Lab::open(config).unwrap_or_else(|error| panic!("{error}"));
        let progress = &mut Plain(std::io::stderr());
        lab.down(progress).unwrap_or_else(|error| panic!("{error}"));
        let mut machines = lab.up(progress).unwrap_or_else(|error| panic!("{error}"));
        let machine = Facts::of(&lab, machines.remove(0));
        Bare { lab, machine, _undertaker: undertaker }
    }

    /// The machine.
    pub fn node(&self) -> Node<'_> {
        self.machine.node(&self.lab)
    }

    /// The lab that the machine is of.
    pub fn lab(&self) -> &Lab {
        &self.lab
    }

    /// Copies a file of the host into `/root`, under that name.
    #[track_caller]
    pub fn put(&self, file: &Path, name: &str) {
        let target = self.lab.disk(self.node().name).join("root").join(name);
        fs::copy(file, &target).unwrap_or_else(|error| panic!("{}: {error}", target.display()));
    }
}

/// The package of the program under test, and one of the same program with a higher version.
#[derive(Debug)]
pub struct Packages {
    /// The package.
    pub own: PathBuf,
    /// The other one.
    pub newer: PathBuf,
    _dir: TempDir,
}

/// How much higher its version is.
pub const NEWER: &str = "+1";

/// Both packages, made by `cargo xtask deb` at the first call.
pub fn packages() -> &'static Packages {
    static MADE: OnceLock<Packages> = OnceLock::new();
    MADE.get_or_init(|| {
        let dir = tempfile::tempdir().unwrap();
        let mut make = Command::new("cargo");
        make.args(["xtask", "deb", "--quick", "--program"]).arg(program::flota()).arg("--output").arg(dir.path());
        make.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("../.."));
        done(&mut make);
        let is_package = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "deb");
        let own = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().path()).find(is_package).unwrap();
        let newer = dir.path().join("newer.deb");
        raise(&own, &newer, &dir.path().join("tree"));
        Packages { own, newer, _dir: dir }
    })
}

/// Packs the same files again with a higher version.
fn raise(package: &Path, into: &Path, tree: &Path) {
    done(Command::new("dpkg-deb").arg("--raw-extract").args([package, tree]));
    let control = tree.join("DEBIAN/control");
    let text = fs::read_to_string(&control).unwrap();
    let version =
        |line: &str| if line.starts_with("Version:") { format!("{line}{NEWER}\n") } else { format!("{line}\n") };
    fs::write(&control, text.lines().map(version).collect::<String>()).unwrap();
    done(Command::new("dpkg-deb").args(["-Zgzip", "-z1", "--root-owner-group", "--build"]).args([tree, into]));
}

fn done(command: &mut Command) {
    let output = command.stdin(Stdio::null()).output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}
