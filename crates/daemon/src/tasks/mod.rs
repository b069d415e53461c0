//! The tasks that feed the pure machines: an event in, its effects out.

pub mod agent;
pub mod conf;
pub mod engine;
#[cfg(test)]
mod fence_tests;
pub mod guard;
mod machine;
pub mod mover;
pub mod registrations;
pub mod reload;

use std::time::Duration;

use flota_registry::Millis;
use flota_systemd::{Signal, Signals};
use flota_unit::UnitName;

use crate::clock::boot_time;

/// Most events that wait for a pure machine; a sender then waits.
pub const MAX_QUEUED_EVENTS: usize = 1024;

/// The clock of the pure machines: the machine's own, which another daemon of the same boot, and the guard, read alike.
#[derive(Debug, Clone, Copy)]
pub struct Clock;

impl Clock {
    /// Now.
    #[expect(clippy::unused_self, reason = "whoever was given a clock asks it; where it reads is its own affair")]
    pub fn now(self) -> Millis {
        boot_time()
    }

    /// Waits until `deadline`; for ever when there is none. While the machine is suspended the wait stands still: what
    /// must not be late then is the guard's.
    pub async fn wait_until(self, deadline: Option<Millis>) {
        match deadline {
            Some(deadline) => tokio::time::sleep(Duration::from_millis(deadline.since(self.now()).0)).await,
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
