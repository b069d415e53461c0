//! The `flota` binary: the command line, and the daemon behind `flota daemon`. Also answers to the name `fleetctl`.

use std::process::ExitCode;

use flota_cli::{DaemonArgs, Outcome};
use flota_daemon::Options;

/// The daemon could not start or had to give up.
const DAEMON_FAILED: u8 = 1;

fn main() -> ExitCode {
    match flota_cli::run(std::env::args_os()) {
        Outcome::Exit(code) => ExitCode::from(code),
        Outcome::Daemon(arguments) => daemon(arguments),
    }
}

fn daemon(arguments: DaemonArgs) -> ExitCode {
    let DaemonArgs { config, data_dir, store_endpoints, store_listen, api_listen, address, metadata, verbose } =
        arguments;
    let options = Options { config, data_dir, store_endpoints, store_listen, api_listen, address, metadata, verbose };
    match flota_daemon::run(options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            report(&error);
            ExitCode::from(DAEMON_FAILED)
        }
    }
}

#[expect(clippy::print_stderr, reason = "the last words of a daemon that has no log any more")]
fn report(error: &anyhow::Error) {
    eprintln!("flota daemon: {error:#}");
}
