//! The append-only log: frames in segments, recovery, and snapshots that replace old segments.
//!
//! Files: `wal-<seq>.log` segments with consecutive numbers; `snap-<seq>.snap` stands for all segments below `seq`;
//! `reserve` is space given up on a full disk so that deletes can still be logged.
//!
//! Invariant: one frame is one batch, written and synced before the next is begun. So only the last frame of the last segment can be
//! torn by a crash; a bad frame with a good one behind it is damage.

mod ahead;
#[cfg(test)]
mod crashes;
mod frame;
#[cfg(test)]
mod memory_disk;
mod recovery;
mod segment;
mod snapshot;
#[cfg(test)]
mod tests;

pub(crate) use recovery::{Recovered, recover};
pub use recovery::{RecoveryReport, TornTail};
pub(crate) use segment::{AppendError, Log, Sizes};
pub(crate) use snapshot::write as write_snapshot;

/// Who this store is; written at the head of every file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) cluster_id: u64,
    pub(crate) member_id: u64,
}

pub(crate) const RESERVE_FILE: &str = "reserve";
/// Made and removed at once, to see whether there is space besides the reserve.
pub(crate) const SPARE_FILE: &str = "spare";

/// Names of the log's files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum FileName {
    Segment(u64),
    Snapshot(u64),
    Unfinished(u64),
}

impl FileName {
    pub(crate) fn parse(name: &str) -> Option<FileName> {
        let number = |digits: &str| u64::from_str_radix(digits, 16).ok().filter(|_| digits.len() == 16);
        if let Some(rest) = name.strip_prefix("wal-") {
            number(rest.strip_suffix(".log")?).map(FileName::Segment)
        } else {
            let rest = name.strip_prefix("snap-")?;
            match rest.strip_suffix(".tmp") {
                Some(digits) => number(digits).map(FileName::Unfinished),
                None => number(rest.strip_suffix(".snap")?).map(FileName::Snapshot),
            }
        }
    }
}

impl std::fmt::Display for FileName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            FileName::Segment(seq) => write!(f, "wal-{seq:016x}.log"),
            FileName::Snapshot(seq) => write!(f, "snap-{seq:016x}.snap"),
            FileName::Unfinished(seq) => write!(f, "snap-{seq:016x}.tmp"),
        }
    }
}
