//! The growing end of the log.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use flota_mvcc::Record;

use super::frame::{Chain, FRAME_HEAD, Head, MAX_FRAME_BYTES};
use super::recovery::SegmentEnd;
use super::{FileName, Identity, RESERVE_FILE, SPARE_FILE};
use crate::disk::{Append, Disk};

/// A segment longer than this is followed by a new one.
pub(crate) const SEGMENT_BYTES: u64 = 64 << 20;

/// Space kept back so that deletes and compactions can be logged when the disk is full.
pub(crate) const RESERVE_BYTES: u64 = 4 << 20;

/// A segment is prepared ahead by half of what it holds, within these bounds: a small store stays small, and a busy one seldom waits.
const MIN_PREPARED_BYTES: u64 = 256 << 10;
const MAX_PREPARED_BYTES: u64 = 4 << 20;

/// Why records were not logged.
#[derive(Debug)]
pub(crate) enum AppendError {
    /// The disk is full; the log is as it was before.
    NoSpace,
    /// More than one frame can hold; the log is as it was before.
    TooLarge,
    /// What the disk holds is unknown.
    Failed(String),
}

/// Bytes on disk, shared with those who tell them.
#[derive(Debug, Default)]
pub(crate) struct Sizes {
    pub(crate) snapshot: AtomicU64,
    pub(crate) segments: AtomicU64,
}

impl Sizes {
    pub(crate) fn total(&self) -> u64 {
        self.snapshot.load(Ordering::Relaxed) + self.segments.load(Ordering::Relaxed)
    }
}

/// The log, open for appending.
pub(crate) struct Log {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) identity: Identity,
    pub(crate) sizes: Arc<Sizes>,
    seq: u64,
    file: Box<dyn Append>,
    length: u64,
    /// Bytes of the file that appends need not add; none will be if that has failed once.
    prepared: Option<u64>,
    chain: Chain,
    buffer: Vec<u8>,
}

impl Log {
    /// Starts segment `seq` after one that ended with the crc `previous`.
    pub(crate) fn create(
        disk: Arc<dyn Disk>,
        identity: Identity,
        sizes: Arc<Sizes>,
        seq: u64,
        previous: u32,
    ) -> io::Result<Log> {
        let mut chain = Chain::default();
        let mut buffer = Vec::new();
        chain.head(&mut buffer, &Head { identity, seq, previous_crc: previous });
        let mut file = disk.create(&FileName::Segment(seq).to_string())?;
        file.append(&buffer)?;
        file.sync()?;
        disk.sync_names()?;
        let length = buffer.len() as u64;
        sizes.segments.fetch_add(length, Ordering::Relaxed);
        Ok(Log { disk, identity, sizes, seq, file, length, prepared: Some(length), chain, buffer })
    }

    /// Goes on with segment `seq` behind its good part.
    pub(super) fn resume(
        disk: Arc<dyn Disk>,
        identity: Identity,
        sizes: Arc<Sizes>,
        seq: u64,
        end: &SegmentEnd,
    ) -> io::Result<Log> {
        let &SegmentEnd { length, chain, is_torn } = end;
        let mut file = disk.append(&FileName::Segment(seq).to_string(), length)?;
        if is_torn {
            file.truncate(length)?;
        }
        // What was read may be in the page cache only: after this nothing that was answered can be lost, nor a cut part come back.
        file.sync()?;
        Ok(Log { disk, identity, sizes, seq, file, length, prepared: Some(length), chain, buffer: Vec::new() })
    }

    /// Makes the records durable as one frame.
    pub(crate) fn append(&mut self, records: &[Record]) -> Result<(), AppendError> {
        let mut chain = self.chain;
        self.buffer.clear();
        chain.batch(&mut self.buffer, records);
        if self.buffer.len() > MAX_FRAME_BYTES - FRAME_HEAD {
            return Err(AppendError::TooLarge);
        }
        self.prepare(self.length + self.buffer.len() as u64);
        if let Err(error) = self.file.append(&self.buffer) {
            self.prepared = None;
            self.file.truncate(self.length).map_err(|source| {
                AppendError::Failed(format!("a failed write ({error}) could not be taken back: {source}"))
            })?;
            let full = matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
            return Err(if full { AppendError::NoSpace } else { AppendError::Failed(format!("write: {error}")) });
        }
        self.file.sync().map_err(|error| AppendError::Failed(format!("sync: {error}")))?;
        self.chain = chain;
        self.length += self.buffer.len() as u64;
        self.sizes.segments.fetch_add(self.buffer.len() as u64, Ordering::Relaxed);
        // One large batch must not be remembered for ever.
        self.buffer.shrink_to(1 << 20);
        Ok(())
    }

    /// Has the file reach beyond `end` before it is written there. Whoever writes finds out by himself if there is no space.
    fn prepare(&mut self, end: u64) {
        if self.prepared.is_none_or(|prepared| end <= prepared) {
            return;
        }
        let wanted = end + (self.length / 2).clamp(MIN_PREPARED_BYTES, MAX_PREPARED_BYTES);
        self.prepared = self.file.prepare(wanted).is_ok().then_some(wanted);
        if self.prepared.is_none() {
            // The space is needed for what is to be written; if it cannot be given back, the append tells.
            let _ = self.file.truncate(self.length);
        }
    }

    /// Bytes in the current segment.
    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    pub(crate) fn is_segment_full(&self) -> bool {
        self.length > SEGMENT_BYTES
    }

    /// Begins a new segment and returns its number; the old one is whole and synced. On an error the old one goes on.
    pub(crate) fn rotate(&mut self) -> io::Result<u64> {
        let seq = self.seq + 1;
        match Log::create(Arc::clone(&self.disk), self.identity, Arc::clone(&self.sizes), seq, self.chain.crc) {
            Ok(log) => {
                let mut old = std::mem::replace(self, log);
                // Zeros that are left behind the old segment's end only take space.
                let _ = old.file.truncate(old.length);
                Ok(seq)
            }
            Err(error) => {
                // A part of a head must not look like the last segment at the next start, or like damage.
                match self.disk.remove(&FileName::Segment(seq).to_string()) {
                    Err(gone) if gone.kind() != io::ErrorKind::NotFound => Err(gone),
                    _ => Err(error),
                }
            }
        }
    }

    /// Sets space aside for a full disk; fails if there is none.
    pub(crate) fn take_reserve(&self) -> io::Result<()> {
        self.disk.reserve(RESERVE_FILE, RESERVE_BYTES)
    }

    /// Sets the space aside again after it was given up, if as much is free once more: else the very next write would find the disk
    /// full again.
    pub(crate) fn retake_reserve(&self) -> io::Result<()> {
        self.take_reserve()?;
        let spare = self.disk.reserve(SPARE_FILE, RESERVE_BYTES);
        let removed = self.disk.remove(SPARE_FILE);
        if spare.is_err() {
            self.release_reserve();
        }
        spare.and(removed)
    }

    /// Gives the space up.
    pub(crate) fn release_reserve(&self) {
        match self.disk.remove(RESERVE_FILE) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(%error, "cannot give up the reserved disk space");
            }
            _ => {}
        }
    }
}
