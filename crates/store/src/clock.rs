//! The clock that the pure state machine is told about: monotonic, from the opening of the store.

use std::time::{Duration, Instant};

use flota_mvcc::Millis;

/// Milliseconds since the store was opened.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    start: Instant,
}

impl Clock {
    pub(crate) fn new() -> Clock {
        Clock { start: Instant::now() }
    }

    pub(crate) fn now(&self) -> Millis {
        Millis(u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    /// Time until `at`; a millisecond more, so that it has surely come.
    pub(crate) fn until(&self, at: Millis) -> Duration {
        Duration::from_millis(at.since(self.now()).saturating_add(1))
    }
}
