//! How long is waited.

/// All times of the plan, in milliseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Changes of a group that was rendered less than this ago are collected until there are none for as long.
    pub quiet: u64,
    /// They are collected no longer than this.
    pub max_wait: u64,
    /// The wait after a first failure; it doubles with each further one.
    pub first_retry: u64,
    /// The longest wait after failures.
    pub max_retry: u64,
    /// Whether anything is tried again at all; otherwise what failed stays failed.
    pub retry: bool,
}

impl Default for Policy {
    fn default() -> Policy {
        Policy { quiet: 50, max_wait: 1_000, first_retry: 1_000, max_retry: 300_000, retry: true }
    }
}

impl Policy {
    /// Everything once.
    pub fn once() -> Policy {
        Policy { retry: false, ..Policy::default() }
    }

    /// The wait after so many failures, at least one.
    pub(super) fn wait(&self, failures: u32) -> u64 {
        let doubled = 1u64.checked_shl(failures.saturating_sub(1).min(32)).unwrap_or(u64::MAX);
        self.first_retry.saturating_mul(doubled).min(self.max_retry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_bound() {
        let policy = Policy::default();
        assert_eq!([1, 2, 3, 9, 1000].map(|failures| policy.wait(failures)), [1_000, 2_000, 4_000, 256_000, 300_000]);
    }
}
