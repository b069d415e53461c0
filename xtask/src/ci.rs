//! `cargo xtask ci`: all tests, those of others too, after a few lines on what they ran with.

use anyhow::Result;

use crate::{packages, shell, test};

/// Packages whose versions explain a build log.
const TOLD: &[&str] =
    &["gcc", "protobuf-compiler", "systemd-container", "mmdebstrap", "etcd-client", "golang-etcd-server-dev"];

/// Tells versions, then tests everything.
pub fn run() -> Result<()> {
    for (program, args) in [("rustc", ["-V"]), ("cargo", ["-V"]), ("uname", ["-srm"])] {
        print!("{}", shell::capture(&mut shell::command(program, args))?);
    }
    println!("processors: {}", std::thread::available_parallelism()?);
    for name in TOLD {
        println!("{name}: {}", packages::version(name).unwrap_or_else(|| "not installed yet".to_owned()));
    }
    test::run(test::Scope::Ci)
}
