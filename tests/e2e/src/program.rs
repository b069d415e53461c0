//! The `flota` program under test.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// `$FLOTA_BIN`, or the one that cargo builds from this workspace. `confd` lies beside it.
pub fn flota() -> PathBuf {
    if let Some(path) = std::env::var_os("FLOTA_BIN") {
        return path.into();
    }
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    // With the features of the whole workspace: nothing is compiled again that `cargo xtask test` has built.
    let mut build = Command::new("cargo");
    build
        .args(["build", "--workspace", "--bin", "flota", "--bin", "confd"])
        .current_dir(workspace)
        .stdin(Stdio::null());
    assert!(build.status().expect("cargo runs").success(), "{build:?} failed");
    // Test programs are in target/debug/deps.
    let own = std::env::current_exe().expect("a program knows its path");
    let path = own.ancestors().nth(2).expect("cargo's layout").join("flota");
    assert!(path.exists(), "no {}: name the program in FLOTA_BIN", path.display());
    path
}
