//! The `flota` binary: the command line, the daemon behind `flota daemon`, and the store behind `flota store serve`.
//!
//! Also answers to the names `fleetctl`, `confd`, and `etcd` for the store.

mod store;

use std::ffi::OsString;
use std::process::ExitCode;

use flota_cli::{DaemonArgs, Outcome};
use flota_daemon::Options;
use mimalloc::MiMalloc;

/// What a request is made of is allocated on one thread and freed on another. With the C library's allocator a put of the embedded store
/// takes a fifth more time on the processors, and a start on much data half as long again (docs/benchmarks.md).
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// The daemon or the store could not start or had to give up.
const FAILED: u8 = 1;

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    // The guard lies in memory beside the daemon: what reads the other verbs would be most of it.
    if let [_, verb, file] = &arguments[..]
        && verb == "fence-guard"
    {
        return told("flota fence-guard", flota_daemon::guard::run(file.into()));
    }
    match flota_cli::run(arguments) {
        Outcome::Exit(code) => ExitCode::from(code),
        Outcome::Daemon(arguments) => told("flota daemon", daemon(*arguments)),
        Outcome::Conf(start) => flota_confd::run(*start),
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
        join_listen: arguments.join_listen,
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
