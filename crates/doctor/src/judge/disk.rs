//! How fast the disk is, and how much is left of it.

use crate::{Facts, Finding, Space};

const MIB: u64 = 1 << 20;
/// Below this the next write may be the last.
const FULL_BYTES: u64 = 64 * MIB;
/// Below this it is time to act: an image of a container takes as much.
const SCARCE_BYTES: u64 = 1024 * MIB;
/// Below this the next file may be the last.
const FULL_INODES: u64 = 1000;
/// Below this it is time to act, in hundredths.
const SCARCE_PERCENT: u64 = 5;

pub(super) fn latency(facts: &Facts) -> Vec<Finding> {
    const CHECK: &str = "disk";
    let (latency, has_store) = match &facts.disk {
        Ok((latency, has_store)) => (latency, *has_store),
        Err(why) => return vec![Finding::blind(CHECK, why)],
    };
    let mend = "put /var/lib/flota on a disk of its own; measure with: flota store check";
    vec![match latency.slow_disk() {
        Some(what) if has_store && latency.hopeless_disk() => Finding::fail(CHECK, what, mend),
        Some(what) if has_store => Finding::warn(CHECK, what, mend),
        _ => Finding::ok(CHECK, format!("99 of 100 fdatasync take at most {} ms", latency.p99_ms)),
    }]
}

pub(super) fn space(facts: &Facts) -> Vec<Finding> {
    const CHECK: &str = "space";
    let spaces = match &facts.spaces {
        Ok(spaces) => spaces,
        Err(why) => return vec![Finding::blind(CHECK, why)],
    };
    spaces.iter().map(|space| one(CHECK, space)).collect()
}

fn one(check: &'static str, space: &Space) -> Finding {
    let folder = &space.folder;
    let mend = if folder.ends_with("/docker") {
        "docker system prune".to_owned()
    } else {
        format!("du -xh {folder} | sort -h | tail, and make room on that file system")
    };
    let what = format!("{folder}: {} MiB of {} MiB free", space.free_bytes / MIB, space.bytes / MIB);
    let counted = space.inodes > 0;
    let files = || format!("{folder}: {} of {} files can still be made", space.free_inodes, space.inodes);
    if space.free_bytes < FULL_BYTES {
        Finding::fail(check, what, mend)
    } else if counted && space.free_inodes < FULL_INODES {
        Finding::fail(check, files(), format!("find {folder} -xdev | cut -d/ -f1-5 | sort | uniq -c | sort -n | tail"))
    } else if space.free_bytes < SCARCE_BYTES {
        Finding::warn(check, what, mend)
    } else if counted && space.free_inodes < space.inodes / 100 * SCARCE_PERCENT {
        Finding::warn(check, files(), mend)
    } else {
        Finding::ok(check, what)
    }
}
