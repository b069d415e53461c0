//! PURE. When which group is rendered, checked, committed and reloaded: events in, effects out.
//!
//! Invariant: a group that failed, or whose keys changed while it was worked on, stays dirty until a rendering of it is in place.
//! Invariant: a reload that is owed stays owed until it succeeded, or its files were rolled back.
//! Invariant: no reload begins while a group that owes it, or is about to, is worked on; equal reloads run once.
//! There is no clock, no file and no task in here (`plan_is_pure` below holds it to that).

mod backoff;
mod event;
mod group;
mod planner;
mod reloads;

pub use backoff::Policy;
pub use event::{Effect, Event, GroupId, Millis, Rendering};
pub use group::{GroupSpec, Health};
pub use planner::Planner;

#[cfg(test)]
mod tests;

#[cfg(test)]
mod purity {
    /// What would make a plan depend on more than its events.
    const REFUSED: [&str; 8] =
        ["std::fs", "std::env", "Instant", "SystemTime", "tokio", "HashMap", "HashSet", "std::process"];

    #[test]
    fn plan_is_pure() {
        let sources = [
            include_str!("backoff.rs"),
            include_str!("event.rs"),
            include_str!("group.rs"),
            include_str!("planner.rs"),
            include_str!("reloads.rs"),
        ];
        for source in sources {
            for word in REFUSED {
                assert!(!source.contains(word), "{word}");
            }
        }
    }
}
