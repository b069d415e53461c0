//! The network between a machine and the store.

use flota_registry::Millis;

/// One machine's way to the store, each direction by itself.
#[derive(Debug, Clone)]
pub(crate) struct Link {
    /// Requests get through.
    pub(crate) out: bool,
    /// Answers and watch events get through.
    pub(crate) back: bool,
    /// Longest time one way.
    pub(crate) slowest: Millis,
}

/// A healthy network's longest time one way.
const HEALTHY: Millis = Millis(3);

impl Default for Link {
    fn default() -> Link {
        Link { out: true, back: true, slowest: HEALTHY }
    }
}

impl Link {
    pub(crate) fn is_whole(&self) -> bool {
        self.out && self.back
    }

    /// How long the next message takes.
    pub(crate) fn latency(&self, random: &mut fastrand::Rng) -> Millis {
        Millis(random.u64(1..=self.slowest.0.max(1)))
    }
}
