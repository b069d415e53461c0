//! Reading the log back: the newest snapshot, then the segments after it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use flota_mvcc::{Millis, Mvcc, Replay};

use super::ahead::read_ahead;
use super::frame::{Chain, Frame, FrameReader, Head, Next, Step, has_frame_behind, random_crc};
use super::segment::{Log, Sizes};
use super::snapshot;
use super::{FileName, Identity};
use crate::StoreError;
use crate::disk::Disk;

/// What was found on disk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecoveryReport {
    /// Whether there was nothing, and a new store was made.
    pub created: bool,
    /// Records read.
    pub records: u64,
    /// The part of a batch that a crash had cut off, and that was never answered.
    pub torn: Option<TornTail>,
}

/// The torn end of the last segment; it has been cut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TornTail {
    /// The segment.
    pub file: PathBuf,
    /// Where the good part ends.
    pub offset: u64,
    /// Bytes that were cut.
    pub bytes: u64,
}

/// The state as it was, and the log to go on with.
pub(crate) struct Recovered {
    pub(crate) state: Mvcc,
    pub(crate) log: Log,
    pub(crate) report: RecoveryReport,
}

/// Reads the log in `dir`; makes a new one with the identity `fresh` if there is none.
pub(crate) fn recover(dir: &Path, disk: Arc<dyn Disk>, fresh: Identity, now: Millis) -> Result<Recovered, StoreError> {
    let recovery = Recovery {
        dir,
        disk,
        now,
        identity: None,
        replay: Replay::new(),
        report: RecoveryReport::default(),
        sizes: Arc::default(),
    };
    recovery.run(fresh)
}

/// The good end of a segment.
pub(super) struct SegmentEnd {
    /// Bytes; 0 if not even the head is whole.
    pub(super) length: u64,
    pub(super) chain: Chain,
    /// Whether anything but zeros follows, that a crash has left.
    pub(super) is_torn: bool,
}

struct Recovery<'a> {
    dir: &'a Path,
    disk: Arc<dyn Disk>,
    now: Millis,
    identity: Option<Identity>,
    replay: Replay,
    report: RecoveryReport,
    sizes: Arc<Sizes>,
}

impl Recovery<'_> {
    fn run(mut self, fresh: Identity) -> Result<Recovered, StoreError> {
        let (snapshot, segments) = self.files()?;
        if let Some(seq) = snapshot {
            self.read_snapshot(seq)?;
        }
        let mut previous: Option<Chain> = None;
        let mut end = SegmentEnd { length: 0, chain: Chain::default(), is_torn: false };
        for (place, &seq) in segments.iter().enumerate() {
            let is_last = place + 1 == segments.len();
            end = self.read_segment(seq, previous, is_last)?;
            if !is_last {
                previous = Some(end.chain);
            }
        }
        self.report.created = self.identity.is_none();
        let identity = *self.identity.get_or_insert(fresh);
        let seq = segments.last().copied().unwrap_or(1);
        let (disk, sizes) = (Arc::clone(&self.disk), Arc::clone(&self.sizes));
        let log = if end.length == 0 {
            Log::create(disk, identity, sizes, seq, previous.map_or_else(random_crc, |previous| previous.crc))
        } else {
            Log::resume(disk, identity, sizes, seq, &end)
        };
        let log = log.map_err(|source| self.io("write", FileName::Segment(seq), source))?;
        if let Some(seq) = snapshot {
            snapshot::remove_older(&*self.disk, seq)
                .map_err(|source| self.io("tidy", FileName::Snapshot(seq), source))?;
        }
        let mut state = self.replay.finish();
        state.renew_leases(self.now);
        Ok(Recovered { state, log, report: self.report })
    }

    /// The newest snapshot and the segments that follow it, which must be a row without holes.
    fn files(&self) -> Result<(Option<u64>, Vec<u64>), StoreError> {
        let list = |source| StoreError::Io { action: "list", path: self.dir.to_owned(), source };
        let mut names: Vec<FileName> =
            self.disk.list().map_err(list)?.iter().filter_map(|name| FileName::parse(name)).collect();
        names.sort();
        let snapshot = names.iter().rev().find_map(|name| match name {
            FileName::Snapshot(seq) => Some(*seq),
            _ => None,
        });
        let first = snapshot.unwrap_or(1);
        let mut segments = Vec::new();
        for name in names {
            match name {
                FileName::Unfinished(_) => {
                    self.disk.remove(&name.to_string()).map_err(|source| self.io("remove", name, source))?;
                }
                FileName::Segment(seq) if seq >= first => segments.push(seq),
                FileName::Segment(_) | FileName::Snapshot(_) => {}
            }
        }
        let expected = first..first + segments.len() as u64;
        if let Some((missing, _)) = expected.zip(&segments).find(|(expected, seq)| expected != *seq) {
            return Err(self.damaged(FileName::Segment(missing), 0, "the file is missing"));
        }
        if snapshot.is_some() && segments.is_empty() {
            return Err(self.damaged(FileName::Segment(first), 0, "the file is missing"));
        }
        Ok((snapshot, segments))
    }

    fn read_snapshot(&mut self, seq: u64) -> Result<(), StoreError> {
        let name = FileName::Snapshot(seq);
        let reader = self.open(name)?;
        read_ahead(reader, |steps| {
            for Step { offset, next, end, .. } in steps {
                match next.map_err(|source| self.io("read", name, source))? {
                    Next::Frame(Frame::Head(head)) => self.check_head(name, offset, &head, seq)?,
                    Next::Frame(Frame::Batch(records)) => self.replay(name, offset, records)?,
                    Next::Frame(Frame::End) => {
                        self.sizes.snapshot.store(end, Ordering::Relaxed);
                        return Ok(());
                    }
                    Next::End => return Err(self.damaged(name, offset, "the file is cut off")),
                    Next::Bad { reason, .. } => return Err(self.damaged(name, offset, reason)),
                    Next::Unreadable(reason) => return Err(self.damaged(name, offset, &reason)),
                }
            }
            Err(self.damaged(name, 0, "the file could not be read to its end"))
        })
    }

    fn read_segment(&mut self, seq: u64, previous: Option<Chain>, is_last: bool) -> Result<SegmentEnd, StoreError> {
        let name = FileName::Segment(seq);
        let reader = self.open(name)?;
        let end = read_ahead(reader, |steps| {
            for Step { offset, next, chain, .. } in steps {
                match next.map_err(|source| self.io("read", name, source))? {
                    Next::Frame(Frame::Head(head)) => {
                        self.check_head(name, offset, &head, seq)?;
                        if previous.is_some_and(|previous| previous.crc != head.previous_crc) {
                            return Err(self.damaged(
                                name,
                                offset,
                                "the segment before it does not end where it should",
                            ));
                        }
                    }
                    Next::Frame(Frame::Batch(records)) => self.replay(name, offset, records)?,
                    Next::Frame(Frame::End) => return Err(self.damaged(name, offset, "a segment has no end frame")),
                    Next::Unreadable(reason) => return Err(self.damaged(name, offset, &reason)),
                    Next::End if offset > 0 || is_last => {
                        return Ok(SegmentEnd { length: offset, chain, is_torn: false });
                    }
                    Next::End => return Err(self.damaged(name, offset, "the file is empty")),
                    Next::Bad { reason, rest } => {
                        if !is_last || has_frame_behind(chain, &rest) {
                            return Err(self.damaged(name, offset, reason));
                        }
                        // Zeros at the end are space that was prepared for later.
                        let written = rest.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
                        self.cut(name, offset, written as u64);
                        return Ok(SegmentEnd { length: offset, chain, is_torn: true });
                    }
                }
            }
            Err(self.damaged(name, 0, "the file could not be read to its end"))
        })?;
        self.sizes.segments.fetch_add(end.length, Ordering::Relaxed);
        Ok(end)
    }

    fn cut(&mut self, name: FileName, offset: u64, bytes: u64) {
        let file = self.dir.join(name.to_string());
        tracing::warn!(file = %file.display(), offset, bytes, "cut the torn end of the log: a crash interrupted its last write");
        self.report.torn = Some(TornTail { file, offset, bytes });
    }

    fn check_head(&mut self, name: FileName, offset: u64, head: &Head, seq: u64) -> Result<(), StoreError> {
        if offset != 0 || head.seq != seq {
            return Err(self.damaged(name, offset, "the head belongs to another file"));
        }
        if *self.identity.get_or_insert(head.identity) != head.identity {
            return Err(self.damaged(name, offset, "the file belongs to another store"));
        }
        Ok(())
    }

    fn replay(&mut self, name: FileName, offset: u64, records: Vec<flota_mvcc::Record>) -> Result<(), StoreError> {
        if offset == 0 {
            return Err(self.damaged(name, offset, "the file has no head"));
        }
        self.report.records += records.len() as u64;
        for record in records {
            let replayed = self.replay.apply(self.now, record);
            replayed.map_err(|error| self.damaged(name, offset, &error.to_string()))?;
        }
        Ok(())
    }

    fn open(&self, name: FileName) -> Result<FrameReader<Box<dyn io::Read + Send>>, StoreError> {
        let input = self.disk.open(&name.to_string()).map_err(|source| self.io("open", name, source))?;
        Ok(FrameReader::new(input))
    }

    fn io(&self, action: &'static str, name: FileName, source: io::Error) -> StoreError {
        StoreError::Io { action, path: self.dir.join(name.to_string()), source }
    }

    fn damaged(&self, name: FileName, offset: u64, reason: &str) -> StoreError {
        let file = self.dir.join(name.to_string()).display().to_string();
        StoreError::Damaged { file, offset, reason: reason.to_owned() }
    }
}
