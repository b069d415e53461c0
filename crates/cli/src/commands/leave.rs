//! `leave`: take this machine out of its cluster, empty or with all its units.

use std::time::Duration;

use flota_api::{
    ClientError,
    machines::{LeaveRequest, LeaveStage, LeaveStatus, MachineDetail, MachineInfo},
};
use tokio::time::Instant;

use super::drain;
use crate::{
    cli::{Format, LeaveArgs},
    context::Context,
    departure::{Goal, watch},
    exit::Exit,
    failure::Failure,
    run::interrupted,
};

/// What those read who look at the list of machines meanwhile.
const REASON: &str = "it leaves the cluster";
/// Time between two looks at how far it is.
const POLL: Duration = Duration::from_millis(200);
/// How long the daemon may take to end its usual work and answer again.
const DAEMON_PATIENCE: Duration = Duration::from_secs(30);
/// How long a step may fail before the wait for it ends; the daemon goes on trying.
const PROBLEM_PATIENCE: Duration = Duration::from_secs(10);

/// Runs the verb.
pub async fn run(context: &mut Context<'_, '_>, arguments: &LeaveArgs) -> Result<Exit, Failure> {
    let request = LeaveRequest { keep: arguments.keep, force: arguments.force, check: true };
    context.client.leave(request).await.map_err(|error| failure(&error, arguments))?;
    if !arguments.keep {
        let exit = empty(context, arguments).await?;
        if exit != Exit::SUCCESS {
            return Ok(exit);
        }
    }
    let request = LeaveRequest { check: false, ..request };
    context.client.leave(request).await.map_err(|error| failure(&error, arguments))?;
    let status = finished(context).await?;
    tell(context, &status, arguments)?;
    Ok(Exit::SUCCESS)
}

/// Drains the machine.
async fn empty(context: &mut Context<'_, '_>, arguments: &LeaveArgs) -> Result<Exit, Failure> {
    let machine = here(context).await?;
    drain::begin(context, &machine, Some(REASON.to_owned())).await?;
    let machines = [machine];
    let limit = arguments.timeout.map(|seconds| Duration::from_secs(seconds.into()));
    let exit = tokio::select! {
        exit = watch(context, &machines, Goal::Empty, None, limit) => exit?,
        () = interrupted() => Exit::INTERRUPTED,
    };
    if exit != Exit::SUCCESS {
        context.printer.say("this machine has not left its cluster");
        context.printer.say(&drain::undo(context, &machines));
    }
    Ok(exit)
}

/// The machine whose daemon is asked.
async fn here(context: &Context<'_, '_>) -> Result<MachineInfo, Failure> {
    let failed = |error| Failure::request("Error leaving the cluster", &error);
    let id = context.client.health().await.map_err(failed)?.machine_id;
    match context.client.machine(&id).await.map_err(failed)? {
        Some(MachineDetail { machine, .. }) => Ok(machine),
        None => Err(Failure::new(Exit::FAILURE, "Error leaving the cluster: it does not know this machine")),
    }
}

/// Waits until the daemon says that the machine has left.
async fn finished(context: &mut Context<'_, '_>) -> Result<LeaveStatus, Failure> {
    let started = Instant::now();
    let mut troubled: Option<Instant> = None;
    loop {
        match context.client.leave_status().await {
            Ok(status) if status.stage == LeaveStage::Done => return Ok(status),
            Ok(LeaveStatus { problem: Some(problem), .. }) => {
                if troubled.get_or_insert_with(Instant::now).elapsed() >= PROBLEM_PATIENCE {
                    let message = format!("this machine leaves its cluster, and is not done: {problem}");
                    return Err(Failure::new(Exit::FAILURE, message)
                        .with_hint("the daemon goes on trying; see how with: journalctl -u flota"));
                }
            }
            // It still ends its usual work, or is between that and its last one.
            Ok(LeaveStatus { stage: LeaveStage::None, .. }) if started.elapsed() >= DAEMON_PATIENCE => {
                return Err(Failure::new(Exit::FAILURE, "the daemon has not begun to leave")
                    .with_hint("see why with: journalctl -u flota"));
            }
            Err(error) if started.elapsed() >= DAEMON_PATIENCE => {
                return Err(Failure::request("Error leaving the cluster", &error));
            }
            Ok(_) => troubled = None,
            Err(_) => {}
        }
        tokio::time::sleep(POLL).await;
    }
}

fn tell(context: &mut Context<'_, '_>, status: &LeaveStatus, arguments: &LeaveArgs) -> Result<(), Failure> {
    if arguments.print.output == Format::Json {
        context.printer.json_line(status)?;
        return Ok(());
    }
    let cluster = status.cluster.as_deref().map_or_else(String::new, |id| format!(" {id}"));
    context.printer.line(&format!("This machine has left cluster{cluster}"))?;
    for unit in &status.kept {
        context.printer.line(&format!("Unit {unit} runs on as a plain systemd unit"))?;
    }
    if !status.tell {
        let hint = "hint: the cluster does not know yet: when its store is back, run flota remove-machine for this \
                    machine there, and unload the units that are not to run twice";
        context.printer.say(hint);
    }
    Ok(())
}

fn failure(error: &ClientError, arguments: &LeaveArgs) -> Failure {
    let failure = Failure::request("Error leaving the cluster", error);
    match error {
        ClientError::Api { code: 503, .. } if arguments.keep && !arguments.force => {
            failure.with_hint("--force leaves all the same; the cluster must be told later")
        }
        _ => failure,
    }
}
