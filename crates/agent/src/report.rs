//! What the agent says of its machine, and how often.

use flota_registry::{Millis, ObservedUnit, Report, UnitStates};
use flota_unit::UnitName;

use crate::agent::Agent;
use crate::event::Effect;
use crate::local::Local;

/// Reports in a row that go out at once; a unit that starts makes two or three.
const REPORT_BURST: u64 = 5;
/// After a burst reports go out this far apart: ten a second.
const REPORT_INTERVAL: Millis = Millis(100);

/// How often the agent reports.
#[derive(Debug, Default)]
pub(crate) struct ReportRate {
    /// When the burst is whole again.
    whole_at: Millis,
}

impl ReportRate {
    /// From when on a report may go out.
    pub(crate) fn next(&self) -> Millis {
        Millis(self.whole_at.0.saturating_sub((REPORT_BURST - 1) * REPORT_INTERVAL.0))
    }

    fn spend(&mut self, now: Millis) {
        self.whole_at = self.whole_at.max(now).plus(REPORT_INTERVAL);
    }
}

/// What a person should know of the unit, the worst first.
fn problem(unit: &UnitName, local: &Local) -> Option<String> {
    let trouble = local.trouble.as_ref().map(|trouble| trouble.text.clone());
    let unloadable = || {
        let (states, _) = local.states.as_ref()?;
        let bad = local.installed.is_some() && matches!(states.load.as_str(), "bad-setting" | "error" | "masked");
        bad.then(|| {
            format!("systemd cannot load it ({}): `systemctl status {unit}` on its machine says why", states.load)
        })
    };
    trouble.or_else(|| local.fence_note.clone()).or_else(unloadable).or_else(|| local.not_enabled.clone())
}

impl Agent {
    fn report(&self) -> Report {
        let unit = |name: &UnitName, local: &Local| {
            let known = local.states.clone().filter(|(states, _)| states.is_up() || !self.may_come_up(name, local));
            let (states, since_unix_ms) = known.unwrap_or_default();
            let problem = problem(name, local);
            let hash = local.installed.filter(|installed| installed.linked).map(|installed| installed.hash);
            let started = hash.is_some() && self.held.started.get(name).copied() == hash;
            ObservedUnit { hash, started, states, since_unix_ms, problem }
        };
        let units = self.units.iter().map(|(name, local)| (name.clone(), unit(name, local))).collect();
        Report { generation: self.generation(), units, problem: self.refused.clone() }
    }

    /// Whether what was last seen of it says too little: it was down, and a job is under way. Whoever waits for its end,
    /// such as to start it elsewhere, must not hear that it is down.
    fn may_come_up(&self, name: &UnitName, local: &Local) -> bool {
        local.job_since().is_some() && (local.exclusive || self.wanted(name).is_none())
    }

    /// Publishes the report when it says something new, no more often than [`ReportRate`] allows. Units whose states
    /// are being asked for keep the last published word: "unknown for a moment" is no news.
    pub(crate) fn publish(&mut self, now: Millis, effects: &mut Vec<Effect>) {
        if !self.republish && now < self.report_rate.next() {
            return;
        }
        let mut report = self.report();
        for (name, unit) in &mut report.units {
            if unit.states == UnitStates::default()
                && self.units.get(name).is_none_or(|local| !self.may_come_up(name, local))
                && let Some(last) = self.published.as_ref().and_then(|report| report.units.get(name))
            {
                unit.states = last.states.clone();
                unit.since_unix_ms = last.since_unix_ms;
            }
        }
        // A unit on its way in has nothing to tell yet. One on its way out is told of until it is gone, even while its
        // states are unknown: whoever waits for its end must not take silence for it.
        report.units.retain(|name, unit| {
            let known = unit.hash.is_some() && unit.states != UnitStates::default();
            unit.problem.is_some() || known || self.wanted(name).is_none()
        });
        if self.republish || self.published.as_ref() != Some(&report) {
            self.republish = false;
            self.published = Some(report.clone());
            self.report_rate.spend(now);
            effects.push(Effect::Publish(report));
        }
    }
}
