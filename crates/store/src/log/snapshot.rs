//! Snapshots: the log written anew without what is compacted, so that old segments can go.

use std::io;
use std::sync::atomic::Ordering;

use flota_mvcc::{Change, Record};

use super::frame::{Chain, Frame, FrameReader, Head, Next};
use super::segment::Sizes;
use super::{FileName, Identity};
use crate::disk::Disk;

/// Bytes of keys and values per frame of a snapshot.
const FRAME_BYTES: usize = 1 << 20;

/// Writes a snapshot that stands for all segments below `seq`, checks it, and removes what it stands for. `records` gives the next of its
/// records, none at the end. Returns its bytes.
pub(crate) fn write(
    disk: &dyn Disk,
    identity: Identity,
    seq: u64,
    records: impl FnMut() -> Vec<Record>,
    sizes: &Sizes,
) -> io::Result<u64> {
    let unfinished = FileName::Unfinished(seq).to_string();
    let written = write_file(disk, &unfinished, identity, seq, records).and_then(|bytes| {
        verify(disk, &unfinished)?;
        Ok(bytes)
    });
    let bytes = match written {
        Ok(bytes) => bytes,
        Err(error) => {
            // On a full disk the unfinished file is in the way of everything else.
            let _ = disk.remove(&unfinished);
            return Err(error);
        }
    };
    disk.rename(&unfinished, &FileName::Snapshot(seq).to_string())?;
    disk.sync_names()?;
    sizes.snapshot.store(bytes, Ordering::Relaxed);
    remove_older(disk, seq)?;
    Ok(bytes)
}

/// Removes the segments and snapshots that snapshot `seq` stands for.
pub(crate) fn remove_older(disk: &dyn Disk, seq: u64) -> io::Result<()> {
    let mut names: Vec<FileName> = disk.list()?.iter().filter_map(|name| FileName::parse(name)).collect();
    // Oldest first: what is left after a crash in between is still a row without holes.
    names.sort();
    for name in names {
        if let FileName::Segment(other) | FileName::Snapshot(other) = name
            && other < seq
        {
            disk.remove(&name.to_string())?;
        }
    }
    disk.sync_names()
}

fn write_file(
    disk: &dyn Disk,
    name: &str,
    identity: Identity,
    seq: u64,
    mut records: impl FnMut() -> Vec<Record>,
) -> io::Result<u64> {
    let mut file = disk.create(name)?;
    let mut chain = Chain::default();
    let mut buffer = Vec::new();
    let mut bytes = 0;
    chain.head(&mut buffer, &Head { identity, seq, previous_crc: 0 });
    loop {
        let step = records();
        let mut rest = step.as_slice();
        if rest.is_empty() {
            break;
        }
        while !rest.is_empty() {
            let (frame, after) = rest.split_at(frame_end(rest));
            chain.batch(&mut buffer, frame);
            file.append(&buffer)?;
            bytes += buffer.len() as u64;
            buffer.clear();
            rest = after;
        }
    }
    chain.end(&mut buffer);
    file.append(&buffer)?;
    file.sync()?;
    Ok(bytes + buffer.len() as u64)
}

fn frame_end(records: &[Record]) -> usize {
    let mut bytes = 0;
    let full = records.iter().position(|record| {
        bytes += size(record);
        bytes >= FRAME_BYTES
    });
    full.map_or(records.len(), |last| last + 1)
}

fn size(record: &Record) -> usize {
    match record {
        Record::Commit { changes, .. } => changes
            .iter()
            .map(|change| match change {
                Change::Put(kv) => kv.size(),
                Change::Delete(key) => key.len(),
            })
            .sum(),
        Record::LeaseRevoke { keys, .. } => keys.iter().map(|key| key.len()).sum(),
        Record::Restore(kv) => kv.size(),
        Record::Auth { change, .. } => change.size(),
        Record::LeaseGrant { .. } | Record::Alarm { .. } | Record::Compact(_) | Record::Base(_) => 16,
    }
}

/// Reads the file back: the segments may go only when it is known to be readable.
fn verify(disk: &dyn Disk, name: &str) -> io::Result<()> {
    let mut reader = FrameReader::new(disk.open(name)?);
    loop {
        let offset = reader.offset();
        match reader.next()? {
            Next::Frame(Frame::End) => return Ok(()),
            Next::Frame(_) => {}
            Next::End | Next::Bad { .. } | Next::Unreadable(_) => {
                return Err(io::Error::other(format!("{name} reads back wrong at byte {offset}")));
            }
        }
    }
}
