//! What the agent says of its machine, and how often.

use flota_registry::{Millis, ObservedUnit, Report, UnitStates};
use flota_unit::UnitName;

use crate::agent::Agent;
use crate::event::Effect;
use crate::local::Local;

/// Least time between two reports: at most ten a second.
pub(crate) const REPORT_INTERVAL: Millis = Millis(100);

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
    trouble.or_else(unloadable).or_else(|| local.not_enabled.clone())
}

impl Agent {
    fn report(&self) -> Report {
        let unit = |name: &UnitName, local: &Local| {
            let (states, since_unix_ms) = local.states.clone().unwrap_or_default();
            let problem = problem(name, local);
            let hash = local.installed.filter(|installed| installed.linked).map(|installed| installed.hash);
            let started = hash.is_some() && self.held.started.get(name).copied() == hash;
            ObservedUnit { hash, started, states, since_unix_ms, problem }
        };
        let units = self.units.iter().map(|(name, local)| (name.clone(), unit(name, local))).collect();
        Report { generation: self.generation(), units, problem: self.refused.clone() }
    }

    /// Publishes the report when it says something new, no more often than [`REPORT_INTERVAL`]. Units whose states
    /// are being asked for keep the last published word: "unknown for a moment" is no news.
    pub(crate) fn publish(&mut self, now: Millis, effects: &mut Vec<Effect>) {
        if !self.republish && self.published_at.is_some_and(|at| now < at.plus(REPORT_INTERVAL)) {
            return;
        }
        let mut report = self.report();
        for (name, unit) in &mut report.units {
            if unit.states == UnitStates::default()
                && let Some(last) = self.published.as_ref().and_then(|report| report.units.get(name))
            {
                unit.states = last.states.clone();
                unit.since_unix_ms = last.since_unix_ms;
            }
        }
        if self.republish || self.published.as_ref() != Some(&report) {
            self.republish = false;
            self.published = Some(report.clone());
            self.published_at = Some(now);
            effects.push(Effect::Publish(report));
        }
    }
}
