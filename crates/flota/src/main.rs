//! The `flota` binary: hands the command line to the CLI, and `flota daemon` to the daemon.

fn main() {}
