//! One group: is it dirty, is it worked on, and since when.

use std::collections::BTreeSet;

use super::{Millis, Policy};
use crate::keys::{Reads, Settled};
use crate::resource::Reload;

/// More changes than this before a rendering are a burst: it is waited for [`BURST_FACTOR`] times as long.
const MAX_SINGLE_CHANGES: u32 = 4;
/// With the default policy 200 ms: more than a busy machine, or etcd with a watch that lags (100 ms), pauses within a burst.
const BURST_FACTOR: u64 = 4;

/// What the plan has to know of a group.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GroupSpec {
    /// Whether what is staged has to be checked.
    pub has_checks: bool,
    /// What has the files taken, with the least time between two of it.
    pub reloads: Vec<(Reload, u64)>,
    /// Whether all files return when one of the reloads fails.
    pub rollback: bool,
}

/// How a group is, for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// In place, and taken.
    Ok,
    /// Something is to be done or under way.
    Busy,
    /// The last rendering, check or commit failed.
    Failed,
    /// In place, but a reload failed.
    ReloadFailed,
}

/// Changes that wait to be rendered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Burst {
    first: Millis,
    last: Millis,
    count: u32,
    /// Not collected but rendered as soon as possible.
    at_once: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Resting,
    Rendering,
    /// Staged; waits for its check, which may wait for others.
    ToCheck,
    Checking,
    /// Staged and good.
    Ready,
    /// Its files are being replaced, or put back.
    Committing,
}

#[derive(Debug)]
pub(super) struct Group {
    pub spec: GroupSpec,
    pub phase: Phase,
    /// What was read by the last rendering.
    pub reads: Settled,
    burst: Option<Burst>,
    /// When the last work on it ended. From its beginning would not do: what changes meanwhile is seen afterwards.
    rested: Option<Millis>,
    /// Renderings one after the other that were waited with: a burst that stutters is waited for longer and longer.
    rounds: u32,
    failures: u32,
    retry_at: Option<Millis>,
    /// Reloads that are to come for its files.
    pub owes: BTreeSet<Reload>,
}

impl Group {
    pub fn new(spec: GroupSpec) -> Group {
        Group {
            spec,
            phase: Phase::Resting,
            reads: Reads::everything().settled(),
            burst: None,
            rested: None,
            rounds: 0,
            failures: 0,
            retry_at: None,
            owes: BTreeSet::new(),
        }
    }

    pub fn change(&mut self, now: Millis, policy: &Policy) {
        // The first change after a quiet time is not waited with.
        let quiet = self.rested.is_none_or(|rested| rested.plus(self.quiet(policy)) <= now);
        match &mut self.burst {
            Some(burst) => {
                burst.last = now;
                burst.count = burst.count.saturating_add(1);
            }
            None => self.burst = Some(Burst { first: now, last: now, count: 1, at_once: quiet }),
        }
        if policy.retry {
            self.retry_at = None;
        }
    }

    pub fn change_at_once(&mut self, now: Millis) {
        self.burst = Some(Burst { first: now, last: now, count: 1, at_once: true });
        self.retry_at = None;
    }

    /// When it is to be rendered, if it is.
    pub fn due(&self, policy: &Policy) -> Option<Millis> {
        if self.phase != Phase::Resting {
            return None;
        }
        let of_burst = self.burst.map(|burst| {
            if burst.at_once {
                burst.first
            } else {
                let factor = if burst.count > MAX_SINGLE_CHANGES { BURST_FACTOR } else { 1 };
                burst
                    .last
                    .plus(self.quiet(policy).max(policy.quiet.saturating_mul(factor)))
                    .min(burst.first.plus(policy.max_wait))
            }
        });
        [of_burst, self.retry_at].into_iter().flatten().min()
    }

    /// How long nothing must change before it is rendered again.
    fn quiet(&self, policy: &Policy) -> u64 {
        policy.quiet.saturating_mul(1 << self.rounds.min(5)).min(policy.max_wait)
    }

    pub fn begin(&mut self) {
        self.rounds = match self.burst {
            // Whoever waits for each of their changes to be there is no burst.
            Some(burst) if !burst.at_once && burst.count > 1 => self.rounds.saturating_add(1),
            _ => 0,
        };
        self.phase = Phase::Rendering;
        self.burst = None;
        self.retry_at = None;
    }

    pub fn fail(&mut self, now: Millis, policy: &Policy) {
        self.rest(now);
        self.failures = self.failures.saturating_add(1);
        self.retry_at = policy.retry.then(|| now.plus(policy.wait(self.failures)));
    }

    pub fn succeed(&mut self, now: Millis) {
        self.rest(now);
        self.failures = 0;
    }

    fn rest(&mut self, now: Millis) {
        self.phase = Phase::Resting;
        self.rested = Some(now);
    }

    pub fn is_worked_on(&self) -> bool {
        self.phase != Phase::Resting
    }

    pub fn has_failed(&self) -> bool {
        self.failures > 0
    }

    pub fn is_dirty(&self) -> bool {
        self.burst.is_some()
    }
}
