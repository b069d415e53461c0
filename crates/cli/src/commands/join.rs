//! `join`: this machine into a cluster.

use std::path::{Path, PathBuf, absolute};
use std::time::Duration;

use flota_api::Client;
use flota_api::join::{JoinRequest, JoinTls, JoinWay, Joined};
use flota_etcd::chain;
use flota_image::firstboot::forget_join;
use tokio::time::{Instant, sleep};

use crate::{
    cli::JoinArgs,
    context::{Context, command},
    exit::Exit,
    failure::Failure,
};

/// How long the daemon gets to start anew and show up in the cluster.
const MEMBER_WITHIN: Duration = Duration::from_secs(30);
const ASK_AGAIN: Duration = Duration::from_millis(100);
/// The daemon's unit, as the package has it.
const UNIT: &str = "flota.service";

/// Runs the verb.
pub async fn run(context: &mut Context<'_, '_>, arguments: JoinArgs) -> Result<Exit, Failure> {
    if context.has_tunnel() {
        return Err(Failure::new(Exit::USAGE, "join takes the machine that it runs on: it goes through no tunnel"));
    }
    let request = JoinRequest { force: arguments.force, way: way(arguments)? };
    let joined = context.client.join(&request).await;
    let joined = joined.map_err(|error| Failure::request("Cannot join", &error))?;
    if !joined.destroyed.is_empty() {
        context.printer.say(&format!("destroyed {}", joined.destroyed.join(", ")));
    }
    if !restart(context, &joined).await? {
        let pid = joined.daemon_pid;
        context.printer.say(&format!(
            "{UNIT} does not run this daemon (process {pid}): restart it, then this machine is in cluster {}",
            joined.cluster
        ));
        return Ok(Exit::SUCCESS);
    }
    let machines = wait(&context.client, context.local_machine.as_deref()).await?;
    let what = if joined.was_member { "has new certificates for" } else { "joined" };
    context.printer.say(&format!("this machine {what} cluster {}: {machines} machines", joined.cluster));
    // What its first boot still tries to do is done, if by another token.
    forget_join(Path::new("/")).map_err(|error| Failure::new(Exit::FAILURE, chain(&error)))?;
    Ok(Exit::SUCCESS)
}

fn way(arguments: JoinArgs) -> Result<JoinWay, Failure> {
    let JoinArgs { address, token, endpoints, ca, cert, key, .. } = arguments;
    if let (Some(address), Some(token)) = (address, token) {
        return Ok(JoinWay::Token { address, token });
    }
    // The daemon has another working directory.
    let whole = |path: PathBuf| {
        let wrong = |error| Failure::new(Exit::USAGE, format!("cannot use {}: {error}", path.display()));
        absolute(Path::new(&path)).map_err(wrong)
    };
    let tls = match (ca, cert, key) {
        (Some(ca), Some(cert), Some(key)) => Some(JoinTls { ca: whole(ca)?, cert: whole(cert)?, key: whole(key)? }),
        _ => None,
    };
    Ok(JoinWay::Store { endpoints, tls })
}

/// Restarts the daemon through systemd; whether that is who runs it. Its units run on.
async fn restart(context: &Context<'_, '_>, joined: &Joined) -> Result<bool, Failure> {
    let systemctl = |words: &[&str]| {
        let line: Vec<String> = ["systemctl"].iter().chain(words).map(|word| (*word).to_owned()).collect();
        command(&line, context.path.as_ref())
    };
    let shown = systemctl(&["show", "--property=MainPID", "--value", UNIT]).output().await;
    let Ok(shown) = shown else { return Ok(false) };
    if String::from_utf8_lossy(&shown.stdout).trim() != joined.daemon_pid.to_string() {
        return Ok(false);
    }
    let restarted = systemctl(&["restart", UNIT]).output().await;
    match restarted {
        Ok(output) if output.status.success() => Ok(true),
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr);
            Err(Failure::new(Exit::FAILURE, format!("cannot restart {UNIT}: {}", said.trim()))
                .with_hint(format!("journalctl -u {UNIT}")))
        }
        Err(error) => Err(Failure::new(Exit::FAILURE, format!("cannot run systemctl: {error}"))),
    }
}

/// Waits until the cluster has this machine; how many it has then.
async fn wait(client: &Client, me: Option<&str>) -> Result<usize, Failure> {
    let deadline = Instant::now() + MEMBER_WITHIN;
    loop {
        let seen = client.machines().await;
        if let Ok(machines) = &seen
            && machines.iter().any(|machine| Some(machine.id.as_str()) == me)
        {
            return Ok(machines.len());
        }
        if Instant::now() > deadline {
            let what = format!("The machine may join, but is not in the cluster after {} s", MEMBER_WITHIN.as_secs());
            let failure = match &seen {
                Ok(_) => Failure::new(Exit::TIMED_OUT, what),
                Err(error) => Failure::request(&what, error),
            };
            return Err(failure.with_hint(format!("journalctl -u {UNIT}")));
        }
        sleep(ASK_AGAIN).await;
    }
}
