//! `firstboot`: what a machine made from an image does once.

use std::{fs, path::Path};

use flota_etcd::chain;
use flota_image::firstboot::{FirstbootError, check, first_boot, tell_at_login, wanted_join};

use crate::{
    cli::{FirstbootApplyArgs, FirstbootCheckArgs, JoinArgs},
    commands::join,
    context::Context,
    exit::Exit,
    failure::Failure,
    output::printer::Printer,
};

/// The machine itself.
const ROOT: &str = "/";

/// Runs `firstboot apply`.
pub fn apply(printer: &mut Printer<'_>, arguments: &FirstbootApplyArgs) -> Result<Exit, Failure> {
    let done = first_boot(Path::new(ROOT), &arguments.user, &mut |line| printer.say(&format!("flota: {line}")));
    done.map_err(|error| {
        let exit = if matches!(error, FirstbootError::UserData { .. }) { Exit::BAD_UNIT_FILE } else { Exit::FAILURE };
        Failure::new(exit, format!("flota: {}", chain(&error)))
            .with_hint("it is tried again at the next boot, or by: systemctl restart flota-firstboot")
    })?;
    Ok(Exit::SUCCESS)
}

/// Runs `firstboot check`.
pub fn show(printer: &mut Printer<'_>, arguments: &FirstbootCheckArgs) -> Result<Exit, Failure> {
    let cannot = |path: &Path, error| Failure::new(Exit::FAILURE, format!("cannot read {}: {error}", path.display()));
    let file = &arguments.file;
    let user_data = fs::read(file).map_err(|error| cannot(file, error))?;
    let metadata = match &arguments.metadata {
        Some(path) => fs::read_to_string(path).map_err(|error| cannot(path, error))?,
        None => String::new(),
    };
    let (warnings, steps) = check(&user_data, &metadata, &arguments.user)
        .map_err(|finding| Failure::new(Exit::BAD_UNIT_FILE, format!("{}:{finding}", file.display())))?;
    for step in steps {
        printer.line(&step.to_string())?;
    }
    for warning in &warnings {
        printer.say(&format!("{}:{warning}", file.display()));
    }
    Ok(if warnings.is_empty() { Exit::SUCCESS } else { Exit::BAD_UNIT_FILE })
}

/// Runs `firstboot join`.
pub async fn join(context: &mut Context<'_, '_>) -> Result<Exit, Failure> {
    let root = Path::new(ROOT);
    let unreadable = |error| Failure::new(Exit::FAILURE, chain(&error));
    let Some(wanted) = wanted_join(root).map_err(unreadable)? else {
        context.printer.say("no user-data names a cluster to join");
        return Ok(Exit::SUCCESS);
    };
    let arguments = JoinArgs {
        address: Some(wanted.address),
        token: Some(wanted.token),
        endpoints: Vec::new(),
        ca: None,
        cert: None,
        key: None,
        force: false,
    };
    let address = arguments.address.clone().unwrap_or_default();
    join::run(context, arguments).await.map_err(|failure| {
        let why = format!("this machine has not joined the cluster at {address}, and is in none. {}", failure.message);
        // Who can't be told at login reads it in the journal and on the console.
        let _ = tell_at_login(root, &why);
        failure.with_hint("it is tried again every ten seconds; with another token: flota join ADDRESS --token TOKEN")
    })
}
