//! How long commits and disks take, and what is too long.

use serde::Serialize;

/// etcd's guide asks for this of the 99th percentile of a disk's fdatasync.
const SYNC_P99_MS: f64 = 10.0;
/// etcd's heartbeat interval: a store whose commits take longer is late with its heartbeats too.
const COMMIT_P99_MS: f64 = 100.0;
/// etcd's election timeout. A lease of 5 s is renewed every 1.7 s, and must survive one renewal that fails.
const COMMIT_MAX_MS: f64 = 1000.0;

/// What was measured, in milliseconds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Latency {
    /// How often.
    pub count: usize,
    /// Half of them were not longer.
    pub p50_ms: f64,
    /// Nine of ten.
    pub p90_ms: f64,
    /// 99 of a hundred.
    pub p99_ms: f64,
    /// The longest.
    pub max_ms: f64,
}

impl Latency {
    /// From samples in seconds.
    pub fn of(mut samples: Vec<f64>) -> Self {
        samples.sort_unstable_by(f64::total_cmp);
        let at = |percent: usize| {
            let last = samples.len().saturating_sub(1);
            let sample = samples.get((samples.len() * percent / 100).min(last)).copied().unwrap_or_default();
            (sample * 1e6).round() / 1e3
        };
        Self { count: samples.len(), p50_ms: at(50), p90_ms: at(90), p99_ms: at(99), max_ms: at(100) }
    }

    /// Why a disk like that is too slow for a store.
    pub(crate) fn slow_disk(&self) -> Option<String> {
        (self.p99_ms > SYNC_P99_MS).then(|| {
            format!(
                "one fdatasync of a hundred takes {} ms or longer: etcd's guide asks for less than {SYNC_P99_MS} ms",
                self.p99_ms
            )
        })
    }

    /// Whether it is so slow that leases end while they are renewed.
    pub(crate) fn hopeless_disk(&self) -> bool {
        self.p99_ms > COMMIT_MAX_MS
    }
}

/// What is not good enough of a store, and why it matters; nothing: it is.
pub fn too_slow(commit: &Latency, disk: Option<&Latency>) -> Vec<String> {
    let mut reasons = Vec::new();
    if commit.count == 0 {
        reasons.push("nothing was committed".to_owned());
    }
    if commit.p99_ms > COMMIT_P99_MS {
        reasons.push(format!(
            "one commit of a hundred takes {} ms or longer: more than the {COMMIT_P99_MS} ms between two heartbeats of \
             an etcd",
            commit.p99_ms
        ));
    }
    if commit.max_ms > COMMIT_MAX_MS {
        reasons.push(format!(
            "a commit took {} ms: an etcd elects a new leader after {COMMIT_MAX_MS} ms without a word, and a lease of \
             5 s must survive a renewal that fails",
            commit.max_ms
        ));
    }
    reasons.extend(disk.and_then(Latency::slow_disk));
    reasons
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(ms: &[u32]) -> Latency {
        Latency::of(ms.iter().map(|ms| f64::from(*ms) / 1e3).collect())
    }

    #[test]
    fn percentiles_are_of_what_was_measured() {
        let hundred = of(&(1..=100).collect::<Vec<_>>());
        assert_eq!(hundred, Latency { count: 100, p50_ms: 51.0, p90_ms: 91.0, p99_ms: 100.0, max_ms: 100.0 });
    }

    #[test]
    fn what_is_too_slow_is_named_with_its_reason() {
        let fast = of(&[1; 100]);
        assert_eq!(too_slow(&fast, Some(&fast)), [""; 0]);
        assert!(too_slow(&of(&[120; 10]), None)[0].contains("heartbeats"));
        let mut once = vec![1; 999];
        once.push(1500);
        let slow = too_slow(&of(&once), None);
        assert!(matches!(slow.as_slice(), [reason] if reason.contains("1500 ms")), "{slow:?}");
        assert!(too_slow(&fast, Some(&of(&[11; 10])))[0].contains("fdatasync"));
        assert_eq!(too_slow(&of(&[]), None), ["nothing was committed"]);
    }
}
