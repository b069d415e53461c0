//! The `flota` binary: the command line, the daemon behind `flota daemon`, and the store behind `flota store serve`.
//!
//! Also answers to the names `fleetctl`, and `etcd` for the store.

mod store;

use std::process::ExitCode;

use flota_cli::{DaemonArgs, Outcome};
use flota_daemon::Options;

/// The daemon or the store could not start or had to give up.
const FAILED: u8 = 1;

fn main() -> ExitCode {
    match flota_cli::run(std::env::args_os()) {
        Outcome::Exit(code) => ExitCode::from(code),
        Outcome::Daemon(arguments) => told("flota daemon", daemon(arguments)),
        Outcome::Store(arguments) => told("flota store serve", store::serve(*arguments)),
    }
}

fn daemon(arguments: DaemonArgs) -> anyhow::Result<()> {
    let options = Options {
        config: arguments.config,
        data_dir: arguments.data_dir,
        store_endpoints: arguments.store_endpoints,
        store_listen: arguments.store_listen,
        api_listen: arguments.api_listen,
        gateway_listen: arguments.gateway_listen,
        peer_listen: arguments.peer_listen,
        address: arguments.address,
        metadata: arguments.metadata,
        verbose: arguments.verbose,
    };
    flota_daemon::run(options)
}

#[expect(clippy::print_stderr, reason = "the last words of a server that has no log any more")]
fn told(program: &str, ended: anyhow::Result<()>) -> ExitCode {
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{program}: {error:#}");
            ExitCode::from(FAILED)
        }
    }
}
