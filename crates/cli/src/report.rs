//! The words for what became of a unit.

use std::time::Duration;

use flota_api::{
    native::Explanation,
    v1::{DesiredState, Unit},
};
use flota_unit::UnitName;

use crate::{
    cli::{Format, OutputArg},
    context::{Context, UnitResult},
    failure::Failure,
    judge::Goal,
    output::legend::legend,
    style::Style,
};

/// Prints that `unit` reached `goal`, as fleetctl words it.
pub async fn reached(
    context: &mut Context<'_, '_>,
    goal: Goal,
    name: &UnitName,
    unit: Option<&Unit>,
    print: OutputArg,
) -> Result<(), Failure> {
    let machine = unit.map(|unit| unit.machine_id.clone()).filter(|id| !id.is_empty() && goal != Goal::Inactive);
    let state = goal.desired().map_or("destroyed", DesiredState::as_str);
    let text = match (goal, &machine) {
        (Goal::Gone, _) => format!("Destroyed {name}"),
        (_, Some(machine)) => format!("Unit {name} {state} on {}", context.legend(machine).await),
        (_, None) => format!("Unit {name} {state}"),
    };
    line(context, name, state, machine.as_deref(), &text, print)
}

/// Prints that a request was made and is not waited for.
pub fn triggered(
    context: &mut Context<'_, '_>,
    verb: &str,
    name: &UnitName,
    global: bool,
    print: OutputArg,
) -> Result<(), Failure> {
    let kind = if global { "global unit" } else { "unit" };
    line(context, name, "triggered", None, &format!("Triggered {kind} {name} {verb}"), print)
}

/// Prints one result.
pub fn line(
    context: &mut Context<'_, '_>,
    name: &UnitName,
    result: &str,
    machine_id: Option<&str>,
    text: &str,
    print: OutputArg,
) -> Result<(), Failure> {
    match print.output {
        Format::Text => context.printer.line(text)?,
        Format::Json => context.printer.json_line(&UnitResult { unit: name.as_str(), result, machine_id })?,
    }
    Ok(())
}

/// The first line about a unit that did not reach `goal`.
pub fn headline(goal: Goal, name: &UnitName, why: &str) -> String {
    format!("Error {} unit {name}: {why}", doing(goal))
}

/// What to say of a unit that no machine can take.
pub fn unplaceable(style: Style, goal: Goal, why: &Explanation) -> Vec<String> {
    let summary = why.problem.clone().unwrap_or_else(|| {
        if why.machines.is_empty() {
            "the cluster has no machines".to_owned()
        } else if why.machines.iter().any(|machine| machine.eligible) {
            "no machine was chosen, though some can take it; the cluster seems to have no leader".to_owned()
        } else {
            "no machine can take it".to_owned()
        }
    });
    let mut lines = vec![format!("Error {} unit {}: {summary}", doing(goal), why.unit)];
    lines.extend(why.machines.iter().map(|machine| {
        let reasons = if machine.eligible { "can take it".to_owned() } else { machine.reasons.join("; ") };
        format!("  {}: {reasons}", legend(&machine.machine, &machine.address, false))
    }));
    lines.push(format!(
        "hint: it stays {} and goes to the first machine that can take it; give up with: {} unload {}",
        why.desired,
        style.program(),
        why.unit
    ));
    lines
}

/// What to say of a unit that is not there when the attempts are used up.
pub fn timed_out(style: Style, name: &UnitName, goal: Goal, after: Duration, what: &str) -> Vec<String> {
    let mut lines = vec![headline(goal, name, &format!("still waiting for {what} after {} s", after.as_secs()))];
    if style == Style::Flota && goal != Goal::Gone {
        lines.push(format!("hint: see why with: flota why {name}"));
    }
    lines
}

const fn doing(goal: Goal) -> &'static str {
    match goal {
        Goal::Launched => "starting",
        Goal::Loaded => "loading",
        Goal::Stopped => "stopping",
        Goal::Inactive => "unloading",
        Goal::Gone => "destroying",
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use flota_api::native::MachineVerdict;

    use super::*;

    #[test]
    fn reasons_per_machine() {
        let verdict = |machine: &str, reasons: &[&str]| MachineVerdict {
            machine: machine.into(),
            address: "10.1.1.1".into(),
            eligible: reasons.is_empty(),
            reasons: reasons.iter().map(|reason| (*reason).to_owned()).collect(),
        };
        let mut why = Explanation {
            unit: "web@3.service".into(),
            desired: DesiredState::Launched,
            scheduled_on: None,
            cause: None,
            machines: vec![verdict("f1ee0100aaaa", &["conflicts with web@1.service", "disk=ssd is missing"])],
            problem: None,
        };
        expect![[r"
            Error starting unit web@3.service: no machine can take it
              f1ee0100.../10.1.1.1: conflicts with web@1.service; disk=ssd is missing
            hint: it stays launched and goes to the first machine that can take it; give up with: flota unload web@3.service"]]
        .assert_eq(&unplaceable(Style::Flota, Goal::Launched, &why).join("\n"));
        why.machines.push(verdict("f1ee0200aaaa", &[]));
        let lines = unplaceable(Style::Flota, Goal::Launched, &why);
        assert!(lines[0].ends_with("the cluster seems to have no leader"), "{lines:?}");
        assert_eq!(lines[2], "  f1ee0200.../10.1.1.1: can take it");
        why.machines.clear();
        let lines = unplaceable(Style::Fleetctl, Goal::Loaded, &why);
        assert_eq!(lines[0], "Error loading unit web@3.service: the cluster has no machines");
        assert!(lines[1].ends_with("give up with: fleetctl unload web@3.service"));
    }
}
