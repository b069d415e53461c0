//! The tasks that feed the pure machines: an event in, its effects out.

pub mod agent;
pub mod engine;
mod machine;
pub mod registrations;
pub mod reload;

use std::time::Duration;

use flota_registry::Millis;
use flota_systemd::{Signal, Signals};
use flota_unit::UnitName;
use tokio::time::Instant;

/// Most events that wait for a pure machine; a sender then waits.
pub const MAX_QUEUED_EVENTS: usize = 1024;

/// The clock of the pure machines: milliseconds since the daemon started, monotonic.
#[derive(Debug, Clone, Copy)]
pub struct Clock(Instant);

impl Clock {
    /// Starts at zero.
    pub fn start() -> Clock {
        Clock(Instant::now())
    }

    /// Now.
    pub fn now(self) -> Millis {
        Millis(u64::try_from(self.0.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    /// Waits until `deadline`; for ever when there is none.
    pub async fn wait_until(self, deadline: Option<Millis>) {
        match deadline {
            Some(Millis(at)) => tokio::time::sleep_until(self.0 + Duration::from_millis(at)).await,
            None => std::future::pending().await,
        }
    }
}

/// The units that a burst of signals is about; none: any.
fn gather(first: Signal, signals: &mut Signals) -> Option<Vec<UnitName>> {
    let mut names = Some(Vec::new());
    let mut next = Some(first);
    while let Some(signal) = next {
        match (signal, &mut names) {
            (Signal::UnitChanged(name), Some(names)) => names.extend(name.parse::<UnitName>()),
            (Signal::UnitChanged(_), None) => {}
            (Signal::Reloaded | Signal::Lagged, _) => names = None,
        }
        next = signals.try_recv();
    }
    names
}
