//! One reload: who owes it, whether it runs, when it may.

use std::collections::BTreeSet;

use super::{GroupId, Millis, Policy};

#[derive(Debug, Default)]
pub(super) struct ReloadState {
    /// Whose files wait for it.
    pub owed_by: BTreeSet<GroupId>,
    /// Whose files the running one has taken.
    pub carried: BTreeSet<GroupId>,
    pub running: bool,
    /// Those whose files went back; the running one is for that.
    pub rolled_back: BTreeSet<GroupId>,
    /// Least time between the beginnings of two.
    pub min_interval: u64,
    begun: Option<Millis>,
    failures: u32,
    not_before: Option<Millis>,
    /// It failed, and nothing is tried again.
    given_up: bool,
}

impl ReloadState {
    /// When it may begin, if anybody waits for it.
    pub fn due(&self) -> Option<Millis> {
        if self.running || self.owed_by.is_empty() || self.given_up {
            return None;
        }
        let spaced = self.begun.map(|begun| begun.plus(self.min_interval));
        Some(spaced.into_iter().chain(self.not_before).max().unwrap_or_default())
    }

    pub fn begin(&mut self, now: Millis) {
        self.running = true;
        self.begun = Some(now);
        self.carried = std::mem::take(&mut self.owed_by);
    }

    /// It ended well; whose files are taken.
    pub fn succeed(&mut self) -> BTreeSet<GroupId> {
        self.running = false;
        self.failures = 0;
        self.not_before = None;
        std::mem::take(&mut self.carried)
    }

    /// It failed: it stays owed.
    pub fn fail(&mut self, now: Millis, policy: &Policy) {
        self.running = false;
        self.failures = self.failures.saturating_add(1);
        let carried = std::mem::take(&mut self.carried);
        self.owed_by.extend(carried);
        self.not_before = Some(now.plus(policy.wait(self.failures)));
        self.given_up = !policy.retry;
    }

    /// A new commit is a new reason to try at once.
    pub fn owe(&mut self, group: GroupId) {
        self.owed_by.insert(group);
        self.not_before = None;
    }

    pub fn has_failed(&self) -> bool {
        self.failures > 0
    }
}
