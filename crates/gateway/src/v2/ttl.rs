//! PURE. Leases that carry their end in their id.
//!
//! v2 tells the moment at which a key goes, v3 knows only how long a lease has left. So each time to live gets a lease
//! of its own, whose id is chosen here:
//!
//! ```text
//! bit  62 ... 20    19          18 ... 14   13 ... 0
//!      end in ms    directory   slot        check over the other bits
//! ```
//!
//! Invariant: the moment is in the store as long as the key is, for every gateway and across restarts, and nothing of it
//! is in a key or value that v3 clients read. An id that a store made up passes the check once in 16,384.

use super::time::Millis;

/// Beyond this (year 2248) a time to live is none, as etcd's overflows.
const MAX_END: i64 = (1 << 43) - 1;
/// Leases of one kind that can end in the same millisecond.
pub const SLOTS: u32 = 32;

/// What a lease of ours is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tag {
    /// When it ends.
    pub end: Millis,
    /// Of a directory with everything in it, instead of one file.
    pub directory: bool,
}

impl Tag {
    /// For `ttl` seconds from now; None where that is for ever.
    pub fn after(now: Millis, ttl: u64, directory: bool) -> Option<Tag> {
        let millis = i64::try_from(ttl).ok()?.checked_mul(1000)?;
        let end = now.0.checked_add(millis).filter(|end| (0..=MAX_END).contains(end))?;
        Some(Tag { end: Millis(end), directory })
    }

    /// The lease id; `slot` tells apart what ends together.
    pub fn id(self, slot: u32) -> i64 {
        let bits = (self.end.0 << 6) | (i64::from(self.directory) << 5) | i64::from(slot % SLOTS);
        (bits << 14) | check(bits)
    }

    /// What a lease id says, if it is one of ours.
    pub fn of(id: i64) -> Option<Tag> {
        let bits = id >> 14;
        (id > 0 && id & 0x3fff == check(bits))
            .then_some(Tag { end: Millis(bits >> 6), directory: bits & (1 << 5) != 0 })
    }
}

/// 14 bits of a multiplicative hash.
fn check(bits: i64) -> i64 {
    ((bits as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 50) as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_tells_the_end_and_the_kind() {
        for (end, directory, slot) in [(0, false, 0), (1_795_392_783_202, true, 31), (MAX_END, false, 7)] {
            let tag = Tag { end: Millis(end), directory };
            let id = tag.id(slot);
            assert!(id >= 0);
            assert_eq!(Tag::of(id).filter(|_| id > 0), (id > 0).then_some(tag));
        }
    }

    #[test]
    fn ids_made_up_by_stores_are_hardly_ever_taken_for_ours() {
        let mut taken = 0;
        for n in 0..200_000_i64 {
            // As etcd makes them: a member's prefix, time, and a counter.
            taken += i32::from(Tag::of(0x694d_8123_4567_8900 + n * 257).is_some());
        }
        assert!(taken < 60, "{taken} of 200,000");
        assert_eq!(Tag::of(0), None);
        assert_eq!(Tag::of(-5), None);
    }

    #[test]
    fn what_never_ends_has_no_lease() {
        assert_eq!(Tag::after(Millis(1), 99_999_999_999, false), None);
        assert_eq!(Tag::after(Millis(1), u64::MAX, false), None);
        assert_eq!(Tag::after(Millis(1), 0, true), Some(Tag { end: Millis(1), directory: true }));
    }
}
