//! Waits until units are where a verb wants them, and says why when they do not get there.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use flota_api::{Client, ClientError, v1::Unit, v1::UnitState};
use flota_unit::UnitName;

use crate::{
    cli::{BlockArgs, OutputArg},
    context::{Context, retrieving},
    exit::Exit,
    failure::Failure,
    judge::{Goal, Judgement, judge},
    report,
};

/// First pause between two looks; most units start within it.
const POLL_FIRST: Duration = Duration::from_millis(20);
/// Longest pause between two looks. Each pause is a quarter longer than the one before.
const POLL_MAX: Duration = Duration::from_millis(250);
/// How long something that may pass by itself has to last before it counts.
const SETTLE: Duration = Duration::from_millis(500);
/// How long a unit has to stay active after a start: systemd calls a plain service active before it has executed it.
const ACTIVE_SETTLE: Duration = Duration::from_millis(250);
/// How long systemd may restart a unit over and over before that counts as failed.
const RESTART_PATIENCE: Duration = Duration::from_secs(3);
/// How long no machine may fit, or a machine report an error, before the command gives up.
const PLACE_PATIENCE: Duration = Duration::from_secs(1);
/// How long machines may fit without one being chosen: a new leader is found well within it.
const LEADER_PATIENCE: Duration = Duration::from_secs(30);

/// How long the daemon may refuse to answer; it restarts, or loses its store for a moment, within it.
const DAEMON_PATIENCE: Duration = Duration::from_secs(10);

/// From so many units on, lists are asked for instead of each of them.
const MANY: usize = 8;

/// A unit that is waited for.
struct Waiting {
    name: UnitName,
    /// The last judgement, and since when it is the same.
    since: Option<(Judgement, Instant)>,
    /// It was not yet where it is wanted when it was first looked at.
    moved: bool,
}

/// What is told of units that got where they shall be.
#[derive(Debug, Clone, Copy)]
pub enum Told {
    /// A line for each.
    Results(OutputArg),
    /// Nothing: it is a step on the way.
    Nothing,
}

/// How waiting ended.
pub struct Waited {
    /// The code of the first unit that did not get there.
    pub exit: Exit,
    /// The units that got there.
    pub reached: Vec<UnitName>,
}

/// What is known after a look.
enum Verdict {
    Done(Option<Unit>),
    Wait(String),
    Stop(Exit, Vec<String>),
}

/// Waits until every unit reached `goal`, and prints a line for each that did if results are told.
///
/// What keeps a unit from it is said on stderr.
pub async fn wait(
    context: &mut Context<'_, '_>,
    goal: Goal,
    names: Vec<UnitName>,
    block: BlockArgs,
    told: Told,
) -> Result<Waited, Failure> {
    let started = Instant::now();
    let deadline = block.limit().map(|limit| started + limit);
    let mut waiting: Vec<Waiting> = names.into_iter().map(|name| Waiting { name, since: None, moved: false }).collect();
    let mut refused: Option<Instant> = None;
    let (mut exit, mut reached, mut pause) = (Exit::SUCCESS, Vec::new(), POLL_FIRST);
    loop {
        let late = deadline.is_some_and(|deadline| Instant::now() >= deadline);
        let mut rest = Vec::new();
        let seen = Seen::of_many(&context.client, waiting.len()).await;
        for mut unit in waiting {
            let verdict = match look(context, goal, &mut unit, &seen, deadline.is_some()).await {
                Ok(verdict) => {
                    refused = None;
                    verdict
                }
                Err(_) if refused.get_or_insert_with(Instant::now).elapsed() < DAEMON_PATIENCE => {
                    Verdict::Wait("the daemon to answer".to_owned())
                }
                Err(failure) => return Err(failure),
            };
            match verdict {
                Verdict::Done(found) => {
                    context.printer.progress.finish(unit.name.as_str());
                    if let Told::Results(print) = told {
                        report::reached(context, goal, &unit.name, found.as_ref(), print).await?;
                    }
                    reached.push(unit.name);
                }
                Verdict::Stop(code, lines) => {
                    exit = exit.or(code);
                    say(context, &unit.name, &lines);
                }
                Verdict::Wait(what) if late => {
                    exit = exit.or(Exit::TIMED_OUT);
                    say(
                        context,
                        &unit.name,
                        &report::timed_out(context.style, &unit.name, goal, started.elapsed(), &what),
                    );
                }
                Verdict::Wait(what) => {
                    context.printer.progress.set(unit.name.as_str(), &format!("waiting for {what}"));
                    rest.push(unit);
                }
            }
        }
        if rest.is_empty() {
            return Ok(Waited { exit, reached });
        }
        waiting = rest;
        tokio::time::sleep(pause).await;
        pause = (pause * 5 / 4).min(POLL_MAX);
    }
}

/// What one round of looks is made of.
enum Seen {
    /// Nothing yet: each unit is asked for by itself.
    Nothing,
    /// All that the cluster has.
    All { units: BTreeMap<String, Unit>, states: BTreeMap<String, Vec<UnitState>> },
}

impl Seen {
    /// Asks for all units at once where `many` are waited for. Lists that cannot be had are no error: each unit is
    /// asked for then, and that is.
    async fn of_many(client: &Client, many: usize) -> Seen {
        if many < MANY {
            return Seen::Nothing;
        }
        let (Ok(list), Ok(reported)) = (client.units().await, client.states(None, None).await) else {
            return Seen::Nothing;
        };
        let mut states: BTreeMap<String, Vec<UnitState>> = BTreeMap::new();
        for state in reported {
            states.entry(state.name.clone()).or_default().push(state);
        }
        Seen::All { units: list.into_iter().map(|unit| (unit.name.clone(), unit)).collect(), states }
    }

    /// One unit, and what systemd says of it.
    async fn of(&self, client: &Client, name: &str) -> Result<(Option<Unit>, Vec<UnitState>), ClientError> {
        match self {
            Seen::Nothing => Ok((client.unit(name).await?, client.states(Some(name), None).await?)),
            Seen::All { units, states } => {
                Ok((units.get(name).cloned(), states.get(name).cloned().unwrap_or_default()))
            }
        }
    }
}

fn say(context: &mut Context<'_, '_>, name: &UnitName, lines: &[String]) {
    context.printer.progress.finish(name.as_str());
    for line in lines {
        context.printer.say(line);
    }
}

/// Looks at one unit. With a `deadline`, fleet's users expect waiting where Flota would give up.
async fn look(
    context: &mut Context<'_, '_>,
    goal: Goal,
    waiting: &mut Waiting,
    seen: &Seen,
    deadline: bool,
) -> Result<Verdict, Failure> {
    let name = waiting.name.clone();
    let (unit, states) = seen.of(&context.client, name.as_str()).await.map_err(|error| retrieving(&name, &error))?;
    let judgement = judge(goal, unit.as_ref(), &states);
    let lasted = waiting.lasted(&judgement);
    waiting.moved |= judgement != Judgement::Done;
    Ok(match judgement {
        Judgement::Done if goal == Goal::Launched && waiting.moved && lasted < ACTIVE_SETTLE => {
            Verdict::Wait("it to stay active".to_owned())
        }
        // Of a global unit nothing says which machines have heard of the request.
        Judgement::Done if goal == Goal::Stopped && lasted < SETTLE && unit.as_ref().is_some_and(has_no_state) => {
            Verdict::Wait("every machine to stop it".to_owned())
        }
        Judgement::Done => Verdict::Done(unit),
        Judgement::Ended if lasted >= SETTLE => ended(context, goal, &name, unit).await?,
        Judgement::Ended => Verdict::Wait("systemd to begin".to_owned()),
        Judgement::Overruled(why) if lasted >= SETTLE => {
            Verdict::Stop(Exit::FAILURE, vec![report::headline(goal, &name, &why)])
        }
        Judgement::Overruled(_) => Verdict::Wait("the cluster to take it up".to_owned()),
        Judgement::Restarting if lasted >= RESTART_PATIENCE => {
            let what = "it ends and systemd starts it again, over and over";
            Verdict::Stop(Exit::UNIT_FAILED, failed_on(context, goal, &name, unit.as_ref(), what, "journal").await)
        }
        Judgement::Restarting => Verdict::Wait("systemd to start it again".to_owned()),
        Judgement::Failed(state) => {
            let what = format!("it failed ({state})");
            Verdict::Stop(Exit::UNIT_FAILED, failed_on(context, goal, &name, unit.as_ref(), &what, "journal").await)
        }
        Judgement::Unplaced => unplaced(context, goal, &name, lasted, deadline).await?,
        Judgement::Pending(what) if lasted >= PLACE_PATIENCE => {
            stuck(context, goal, &name, unit.as_ref(), what).await?
        }
        Judgement::Pending(what) => Verdict::Wait(what),
    })
}

fn has_no_state(unit: &Unit) -> bool {
    unit.current_state.is_none()
}

/// No machine has been chosen: gives up at once when none can be.
async fn unplaced(
    context: &mut Context<'_, '_>,
    goal: Goal,
    name: &UnitName,
    lasted: Duration,
    deadline: bool,
) -> Result<Verdict, Failure> {
    let why = context.client.why(name.as_str()).await.map_err(|error| retrieving(name, &error))?;
    let Some(why) = why.filter(|why| why.scheduled_on.is_none()) else {
        return Ok(Verdict::Wait("a machine".to_owned()));
    };
    let possible = why.machines.iter().any(|machine| machine.eligible);
    // Right after the request the daemon may not know of it, and a cluster without machines may be about to get one.
    let patience = match (possible, why.machines.is_empty()) {
        (true, _) => LEADER_PATIENCE,
        (false, true) => PLACE_PATIENCE,
        (false, false) => POLL_FIRST,
    };
    if deadline || lasted < patience {
        return Ok(Verdict::Wait(
            if possible { "the leader to choose a machine" } else { "a machine that fits" }.to_owned(),
        ));
    }
    Ok(Verdict::Stop(Exit::UNPLACEABLE, report::unplaceable(context.style, goal, &why)))
}

/// The unit was started and does not run: it did its work, unless its machine has a complaint.
async fn ended(
    context: &mut Context<'_, '_>,
    goal: Goal,
    name: &UnitName,
    unit: Option<Unit>,
) -> Result<Verdict, Failure> {
    let verdict = stuck(context, goal, name, unit.as_ref(), String::new()).await?;
    if let Verdict::Stop(..) = verdict {
        return Ok(verdict);
    }
    context.printer.say(&format!("Unit {name} is not running: it has ended, or one of its conditions is not met"));
    Ok(Verdict::Done(unit))
}

/// Something takes long: asks whether there is an error behind it.
async fn stuck(
    context: &mut Context<'_, '_>,
    goal: Goal,
    name: &UnitName,
    unit: Option<&Unit>,
    what: String,
) -> Result<Verdict, Failure> {
    let why = context.client.why(name.as_str()).await.map_err(|error| retrieving(name, &error))?;
    Ok(match why.and_then(|why| why.problem) {
        Some(problem) => Verdict::Stop(Exit::UNIT_FAILED, failed_on(context, goal, name, unit, &problem, "why").await),
        None => Verdict::Wait(what),
    })
}

async fn failed_on(
    context: &mut Context<'_, '_>,
    goal: Goal,
    name: &UnitName,
    unit: Option<&Unit>,
    what: &str,
    verb: &str,
) -> Vec<String> {
    let machine = match unit {
        Some(unit) => context.legend(&unit.machine_id).await,
        None => "-".to_owned(),
    };
    let program = context.style.program();
    vec![
        report::headline(goal, name, &format!("{what} on {machine}")),
        format!("hint: see why with: {program} {verb} {name}"),
    ]
}

impl Waiting {
    /// How long the unit has been judged like this. A change of words within a kind starts anew.
    fn lasted(&mut self, judgement: &Judgement) -> Duration {
        let now = Instant::now();
        match &self.since {
            Some((before, since)) if before == judgement => now - *since,
            _ => {
                self.since = Some((judgement.clone(), now));
                Duration::ZERO
            }
        }
    }
}
