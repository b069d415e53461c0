//! What a look at a unit says about a goal: reached, failed, or still to wait for. No requests, no clock.

use flota_api::v1::{DesiredState, Unit, UnitState};

use crate::context::file_of;

/// What a command waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Goal {
    /// `start`: systemd says active, or the unit ran and finished.
    Launched,
    /// `load`: the unit's machine has loaded it.
    Loaded,
    /// `stop`: systemd no longer runs it anywhere.
    Stopped,
    /// `unload`: no machine has it.
    Inactive,
    /// `destroy`: the cluster does not know it, and no machine has it.
    Gone,
}

impl Goal {
    /// The desired state that leads to the goal; none for [`Goal::Gone`].
    pub const fn desired(self) -> Option<DesiredState> {
        match self {
            Self::Launched => Some(DesiredState::Launched),
            Self::Loaded | Self::Stopped => Some(DesiredState::Loaded),
            Self::Inactive => Some(DesiredState::Inactive),
            Self::Gone => None,
        }
    }
}

/// What one look at a unit says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Judgement {
    /// The goal is reached.
    Done,
    /// The unit was started and is not running. It may have finished, or not have begun: true if it lasts.
    Ended,
    /// systemd starts it again and again. A failure if it lasts.
    Restarting,
    /// systemd gave up on it.
    Failed(String),
    /// Somebody else wants something else of the unit meanwhile, so the goal will not be reached.
    Overruled(String),
    /// No machine has been chosen.
    Unplaced,
    /// Under way: what it waits for.
    Pending(String),
}

/// Judges what the daemon says of a unit.
pub fn judge(goal: Goal, unit: Option<&Unit>, states: &[UnitState]) -> Judgement {
    let Some(unit) = unit else {
        return match (goal, states) {
            (Goal::Gone, []) => Judgement::Done,
            (Goal::Gone, [state, ..]) => leaving(state),
            _ => Judgement::Overruled("it was destroyed meanwhile".to_owned()),
        };
    };
    if let (Some(wanted), Some(desired)) = (goal.desired(), unit.desired_state)
        && desired != wanted
    {
        return Judgement::Overruled(format!("its desired state was set to {desired} meanwhile"));
    }
    match goal {
        Goal::Launched => launched(unit, states),
        Goal::Loaded => loaded(unit, states),
        Goal::Stopped => stopped(unit, states),
        Goal::Inactive => match states {
            [] if unit.current_state.is_none_or(|state| state == DesiredState::Inactive) => Judgement::Done,
            [] => Judgement::Pending("its machine to report".to_owned()),
            [state, ..] => leaving(state),
        },
        Goal::Gone => Judgement::Pending("the cluster to forget it".to_owned()),
    }
}

/// The report of the unit's own machine about the file that the unit has now.
fn report<'a>(unit: &Unit, states: &'a [UnitState]) -> Option<&'a UnitState> {
    let hash = file_of(unit).map(|file| file.hash().to_string());
    states
        .iter()
        .find(|state| state.machine_id == unit.machine_id)
        .filter(|state| state.hash.is_empty() || hash.is_none_or(|hash| hash == state.hash))
}

fn launched(unit: &Unit, states: &[UnitState]) -> Judgement {
    if unit.machine_id.is_empty() {
        return Judgement::Unplaced;
    }
    let Some(state) = report(unit, states) else {
        return Judgement::Pending("its machine to load it".to_owned());
    };
    // Until then the report may still be about the time before this start.
    if unit.current_state != Some(DesiredState::Launched) {
        return Judgement::Pending("its machine to start it".to_owned());
    }
    match (state.systemd_active_state.as_str(), state.systemd_sub_state.as_str()) {
        ("active" | "reloading", _) => Judgement::Done,
        ("failed", _) => Judgement::Failed(describe(state)),
        ("inactive", _) => Judgement::Ended,
        ("activating", "auto-restart") => Judgement::Restarting,
        _ => Judgement::Pending(format!("systemd ({})", describe(state))),
    }
}

fn loaded(unit: &Unit, states: &[UnitState]) -> Judgement {
    if unit.machine_id.is_empty() {
        return Judgement::Unplaced;
    }
    match report(unit, states) {
        Some(_) if unit.current_state == Some(DesiredState::Loaded) => Judgement::Done,
        _ => Judgement::Pending("its machine to load it".to_owned()),
    }
}

fn stopped(unit: &Unit, states: &[UnitState]) -> Judgement {
    let resting = |state: &&UnitState| !matches!(state.systemd_active_state.as_str(), "inactive" | "failed" | "");
    match states.iter().find(resting) {
        Some(state) => Judgement::Pending(format!("systemd to stop it ({})", describe(state))),
        None if unit.current_state == Some(DesiredState::Launched) => {
            Judgement::Pending("its machine to stop it".to_owned())
        }
        None => Judgement::Done,
    }
}

fn leaving(state: &UnitState) -> Judgement {
    Judgement::Pending(format!("its machine to unload it ({})", describe(state)))
}

/// systemd's words for a unit: `active/running`.
pub fn describe(state: &UnitState) -> String {
    format!("{}/{}", state.systemd_active_state, state.systemd_sub_state)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit(desired: DesiredState, current: Option<DesiredState>, machine: &str) -> Unit {
        Unit {
            name: "a.service".into(),
            desired_state: Some(desired),
            current_state: current,
            machine_id: machine.into(),
            ..Unit::default()
        }
    }

    fn state(machine: &str, active: &str, sub: &str) -> UnitState {
        UnitState {
            name: "a.service".into(),
            machine_id: machine.into(),
            systemd_active_state: active.into(),
            systemd_sub_state: sub.into(),
            ..UnitState::default()
        }
    }

    const INACTIVE: DesiredState = DesiredState::Inactive;
    const LOADED: DesiredState = DesiredState::Loaded;
    const LAUNCHED: DesiredState = DesiredState::Launched;

    fn pending(text: &str) -> Judgement {
        Judgement::Pending(text.to_owned())
    }

    #[test]
    fn start() {
        let on = |current| unit(LAUNCHED, Some(current), "m1");
        let look = |unit: &Unit, states: &[UnitState]| judge(Goal::Launched, Some(unit), states);
        assert_eq!(look(&unit(LAUNCHED, Some(INACTIVE), ""), &[]), Judgement::Unplaced);
        assert_eq!(look(&on(INACTIVE), &[]), pending("its machine to load it"));
        assert_eq!(look(&on(LAUNCHED), &[state("m2", "active", "running")]), pending("its machine to load it"));
        assert_eq!(look(&on(LOADED), &[state("m1", "failed", "failed")]), pending("its machine to start it"));
        assert_eq!(look(&on(LAUNCHED), &[state("m1", "active", "running")]), Judgement::Done);
        assert_eq!(look(&on(LAUNCHED), &[state("m1", "inactive", "dead")]), Judgement::Ended);
        assert_eq!(look(&on(LAUNCHED), &[state("m1", "activating", "auto-restart")]), Judgement::Restarting);
        assert_eq!(look(&on(LAUNCHED), &[state("m1", "activating", "start")]), pending("systemd (activating/start)"));
        assert_eq!(look(&on(LAUNCHED), &[state("m1", "failed", "failed")]), Judgement::Failed("failed/failed".into()));
    }

    #[test]
    fn a_report_about_another_file_does_not_count() {
        let mut unit = unit(LAUNCHED, Some(LAUNCHED), "m1");
        unit.options = vec![flota_api::v1::UnitOption {
            section: "Service".into(),
            name: "ExecStart".into(),
            value: "/bin/sleep 100".into(),
        }];
        let mut state = state("m1", "active", "running");
        state.hash = "0000000000000000000000000000000000000000".into();
        let look = judge(Goal::Launched, Some(&unit), std::slice::from_ref(&state));
        assert_eq!(look, pending("its machine to load it"));
        state.hash = "1c6fb6f3684bafb0c173d8b8b957ceff031180c1".into();
        assert_eq!(judge(Goal::Launched, Some(&unit), &[state]), Judgement::Done);
    }

    #[test]
    fn stop_waits_for_systemd() {
        let look = |current, states: &[UnitState]| judge(Goal::Stopped, Some(&unit(LOADED, current, "m1")), states);
        let stopping = [state("m1", "deactivating", "stop-sigterm")];
        assert_eq!(look(Some(LOADED), &stopping), pending("systemd to stop it (deactivating/stop-sigterm)"));
        assert_eq!(look(Some(LAUNCHED), &[state("m1", "inactive", "dead")]), pending("its machine to stop it"));
        assert_eq!(look(Some(LOADED), &[state("m1", "failed", "failed")]), Judgement::Done);
        assert_eq!(look(None, &[]), Judgement::Done);
    }

    #[test]
    fn load_unload_destroy() {
        let at = |desired, current| unit(desired, Some(current), "m1");
        let dead = [state("m1", "inactive", "dead")];
        assert_eq!(judge(Goal::Loaded, Some(&at(LOADED, LOADED)), &dead), Judgement::Done);
        assert_eq!(judge(Goal::Loaded, Some(&at(LOADED, LAUNCHED)), &dead), pending("its machine to load it"));
        assert_eq!(judge(Goal::Inactive, Some(&at(INACTIVE, INACTIVE)), &[]), Judgement::Done);
        let leaving = pending("its machine to unload it (inactive/dead)");
        assert_eq!(judge(Goal::Inactive, Some(&at(INACTIVE, LOADED)), &dead), leaving);
        assert_eq!(judge(Goal::Gone, None, &[]), Judgement::Done);
        assert_eq!(judge(Goal::Gone, None, &dead), leaving);
    }

    #[test]
    fn somebody_else_decides() {
        let look = judge(Goal::Launched, Some(&unit(INACTIVE, None, "")), &[]);
        assert_eq!(look, Judgement::Overruled("its desired state was set to inactive meanwhile".into()));
        assert_eq!(judge(Goal::Stopped, None, &[]), Judgement::Overruled("it was destroyed meanwhile".into()));
    }
}
