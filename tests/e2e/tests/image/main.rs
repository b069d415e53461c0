//! Images of nodes: what cannot be built, the same tree twice, and machines that boot from them.
//!
//! But for the first they take many minutes, and run where there is time for that (`cargo xtask test --e2e`).
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helper functions too")]
#![expect(clippy::print_stderr, reason = "people who wait see why")]

mod disk;
mod input;
mod memory;
mod qemu;
mod seed;
mod tree;

use std::path::Path;
use std::process::{Command, Output, Stdio};

/// Runs the program under test in a directory.
fn flota(dir: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(flota_e2e::flota());
    command.args(arguments).current_dir(dir).env_remove("SOURCE_DATE_EPOCH").stdin(Stdio::null());
    command.output().unwrap()
}

/// The same, where only success will do; its standard output.
#[track_caller]
fn must(dir: &Path, arguments: &[&str]) -> String {
    let output = flota(dir, arguments);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "flota {}: {}\n{said}", arguments.join(" "), output.status);
    String::from_utf8(output.stdout).unwrap()
}

/// Whether there is time for the tests that take minutes; says so where there is none.
fn there_is_time() -> bool {
    let time = flota_e2e::full_length();
    if !time {
        eprintln!("not run: it takes minutes (cargo xtask test --e2e)");
    }
    time
}
