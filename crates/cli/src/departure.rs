//! Waiting for machines to become empty, or to be forgotten: what is left there, and why it cannot leave.

use std::time::Duration;

use flota_api::machines::{CordonMode, HeldUnit, MachineDetail, MachineInfo, MachineState};
use flota_etcd::chain;
use tokio::time::Instant;

use crate::{
    cli::OutputArg,
    context::Context,
    exit::Exit,
    failure::Failure,
    machines::{self, name},
    output::legend::legend,
};

/// First and longest time between two looks.
const POLL_FIRST: Duration = Duration::from_millis(100);
const POLL_MAX: Duration = Duration::from_secs(1);
/// How long a daemon that does not answer is waited for: it may restart, or lose its store for a moment.
const DAEMON_PATIENCE: Duration = Duration::from_secs(10);
/// How long nothing has to leave before it is asked why, where no other machine takes units.
const ALONE_PATIENCE: Duration = Duration::from_secs(2);
/// The same where others do: longer than the leader waits for a replacement to become active.
const STUCK_PATIENCE: Duration = Duration::from_secs(40);
/// Most units that are asked about, and told of, when nothing leaves any more.
const MAX_EXPLAINED: usize = 20;

/// What is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Goal {
    /// The machine holds no unit.
    Empty,
    /// The cluster has forgotten the machine.
    Gone,
}

impl Goal {
    const fn word(self) -> &'static str {
        match self {
            Goal::Empty => "drained",
            Goal::Gone => "removed",
        }
    }
}

/// A machine that is waited for.
struct Leaving {
    machine: MachineInfo,
    /// The units that it held at the last look, and since when there are so many.
    left: Option<(usize, Instant)>,
}

/// What is known after a look.
enum Verdict {
    Done,
    Wait(String),
    Stop(Exit, Vec<String>),
}

/// Waits until all machines are where they shall be; prints a line for each that got there, if `print` says how.
///
/// What keeps a machine from it is said on stderr.
pub async fn watch(
    context: &mut Context<'_, '_>,
    machines: &[MachineInfo],
    goal: Goal,
    print: Option<OutputArg>,
    limit: Option<Duration>,
) -> Result<Exit, Failure> {
    let started = Instant::now();
    let mut leaving: Vec<Leaving> =
        machines.iter().map(|machine| Leaving { machine: machine.clone(), left: None }).collect();
    let (mut exit, mut pause) = (Exit::SUCCESS, POLL_FIRST);
    let mut silent: Option<Instant> = None;
    while !leaving.is_empty() {
        let late = limit.is_some_and(|limit| started.elapsed() >= limit);
        let mut rest = Vec::new();
        for mut it in leaving {
            let verdict = match look(context, goal, &mut it).await {
                Ok(verdict) => {
                    silent = None;
                    verdict
                }
                Err(_) if silent.get_or_insert_with(Instant::now).elapsed() < DAEMON_PATIENCE => {
                    Verdict::Wait("waiting for the daemon to answer".to_owned())
                }
                Err(failure) => return Err(failure),
            };
            match verdict {
                Verdict::Done => {
                    context.printer.progress.finish(&name(&it.machine));
                    if let Some(print) = print {
                        machines::tell(context, &it.machine, goal.word(), print)?;
                    }
                }
                Verdict::Stop(code, lines) => {
                    exit = exit.or(code);
                    say(context, &it.machine, &lines);
                }
                Verdict::Wait(what) if late => {
                    exit = exit.or(Exit::TIMED_OUT);
                    let seconds = started.elapsed().as_secs();
                    let line =
                        format!("Machine {} is not {} after {seconds} s: {what}", name(&it.machine), goal.word());
                    say(context, &it.machine, &[line]);
                }
                Verdict::Wait(what) => {
                    context.printer.progress.set(&name(&it.machine), &what);
                    rest.push(it);
                }
            }
        }
        leaving = rest;
        if !leaving.is_empty() {
            tokio::time::sleep(pause).await;
            pause = (pause * 5 / 4).min(POLL_MAX);
        }
    }
    Ok(exit)
}

fn say(context: &mut Context<'_, '_>, machine: &MachineInfo, lines: &[String]) {
    context.printer.progress.finish(&name(machine));
    for line in lines {
        context.printer.say(line);
    }
}

async fn look(context: &mut Context<'_, '_>, goal: Goal, leaving: &mut Leaving) -> Result<Verdict, Failure> {
    let id = leaving.machine.id.clone();
    let found =
        context.client.machine(&id).await.map_err(|error| {
            Failure::request(&format!("Error retrieving machine {}", name(&leaving.machine)), &error)
        })?;
    let Some(MachineDetail { machine, holds }) = found else { return Ok(Verdict::Done) };
    let asked = machine.cordon.as_ref().map(|cordon| cordon.mode);
    if goal == Goal::Empty && !matches!(asked, Some(CordonMode::Draining | CordonMode::Removed)) {
        let line = format!("Machine {} is not draining any more: somebody ended it", name(&machine));
        return Ok(Verdict::Stop(Exit::FAILURE, vec![line]));
    }
    let Some(first) = holds.first() else {
        return Ok(match goal {
            Goal::Empty => Verdict::Done,
            Goal::Gone if machine.alive => Verdict::Wait("waiting for its daemon to end its part".to_owned()),
            Goal::Gone => Verdict::Wait("waiting for the leader to forget it".to_owned()),
        });
    };
    let since = leaving.note(holds.len());
    if goal == Goal::Empty
        && since.elapsed() >= ALONE_PATIENCE
        && (since.elapsed() >= STUCK_PATIENCE || is_alone(context, &id).await?)
        && let Some(mut lines) = stuck(context, &id, &holds).await?
    {
        lines.insert(0, format!("Machine {} keeps {}: no other machine can take them", name(&machine), units(&holds)));
        return Ok(Verdict::Stop(Exit::UNPLACEABLE, lines));
    }
    let state = if first.active.is_empty() { String::new() } else { format!(" ({})", first.active) };
    Ok(Verdict::Wait(format!("{} left, waiting for {}{state} to leave", units(&holds), first.unit)))
}

impl Leaving {
    /// Takes note of how many units are left; returns since when there are so many.
    fn note(&mut self, count: usize) -> Instant {
        match self.left {
            Some((before, since)) if before == count => since,
            _ => self.left.insert((count, Instant::now())).1,
        }
    }
}

fn units(holds: &[HeldUnit]) -> String {
    if holds.len() == 1 { "1 unit".to_owned() } else { format!("{} units", holds.len()) }
}

/// Whether no other machine takes units.
async fn is_alone(context: &Context<'_, '_>, id: &str) -> Result<bool, Failure> {
    let machines = machines::all(context).await?;
    Ok(!machines.iter().any(|machine| machine.id != id && machine.state == MachineState::Ready))
}

/// Why no unit can go anywhere, machine by machine; none when one can, or is on its way.
async fn stuck(context: &Context<'_, '_>, id: &str, holds: &[HeldUnit]) -> Result<Option<Vec<String>>, Failure> {
    let mut lines = Vec::new();
    for held in holds.iter().take(MAX_EXPLAINED) {
        if !held.scheduled {
            return Ok(None);
        }
        let why = context.client.why(&held.unit).await;
        let what = format!("Error retrieving unit {}: ", held.unit);
        let why = why.map_err(|error| Failure::new(Exit::FAILURE, what + &chain(&error)))?;
        let Some(why) = why else { return Ok(None) };
        let others = || why.machines.iter().filter(|verdict| verdict.machine != id);
        if others().any(|verdict| verdict.eligible) {
            return Ok(None);
        }
        lines.push(format!("  {}:", held.unit));
        lines.extend(others().map(|verdict| {
            let machine = legend(&verdict.machine, &verdict.address, false);
            format!("    {machine}: {}", verdict.reasons.join("; "))
        }));
        if others().next().is_none() {
            lines.push("    there is no other machine".to_owned());
        }
    }
    if holds.len() > MAX_EXPLAINED {
        lines.push(format!("  and {} more", holds.len() - MAX_EXPLAINED));
    }
    Ok(Some(lines))
}
