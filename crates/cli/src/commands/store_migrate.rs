//! `store migrate`: moves the living cluster to another store.

use flota_etcd::{ClientConfig, Migration, MigrationError, Moved, abort_migration, chain};

use super::stores::{configured, store_at};
use crate::{cli::StoreMigrateArgs, exit::Exit, failure::Failure, output::printer::Printer, run::interrupted};

/// Runs the verb.
pub async fn run(printer: &mut Printer<'_>, arguments: &StoreMigrateArgs) -> Result<Exit, Failure> {
    let own = configured()?.client;
    let from = if arguments.from.is_empty() {
        own
    } else {
        ClientConfig { tls: own.tls, ..store_at(&arguments.from, &arguments.tls)? }
    };
    if arguments.abort {
        abort_migration(&from).await.map_err(|error| failed("cannot take the move back", &error))?;
        printer.say("the move is taken back: the store takes writes, and all machines stay");
        return Ok(Exit::SUCCESS);
    }
    let to = store_at(&arguments.to, &arguments.tls)?;
    let moved = {
        let mut tell = |line: &str| printer.say(line);
        let migration = Box::pin(async { Migration::new(&from, &to).await?.run(&mut tell).await });
        tokio::select! {
            moved = migration => Some(moved),
            () = interrupted() => None,
        }
    };
    match moved {
        Some(Ok(moved)) => Ok(told(printer, &moved, &to)),
        Some(Err(error)) => Err(failed("the cluster has not moved", &error)),
        None => match abort_migration(&from).await {
            Ok(()) => Err(Failure::new(Exit::INTERRUPTED, "interrupted: the cluster has not moved")),
            Err(MigrationError::NotUnderWay) => {
                Err(Failure::new(Exit::INTERRUPTED, "interrupted: the cluster has moved, or had not begun to"))
            }
            Err(error) => Err(failed("interrupted, and the move cannot be taken back", &error)
                .with_hint("when the store answers: flota store migrate --abort")),
        },
    }
}

fn told(printer: &mut Printer<'_>, moved: &Moved, to: &ClientConfig) -> Exit {
    let (keys, arrived) = (moved.keys, moved.arrived.len());
    printer.say(&format!("the cluster has moved to {}: {keys} keys, {arrived} machines", to.endpoints.join(",")));
    if moved.missing.is_empty() {
        return Exit::SUCCESS;
    }
    for machine in &moved.missing {
        printer.say(&format!("machine {machine} has not arrived yet; it goes when it reads the old store"));
    }
    Exit::FAILURE
}

fn failed(what: &str, error: &MigrationError) -> Failure {
    Failure::new(Exit::FAILURE, format!("{what}: {}", chain(error)))
}
