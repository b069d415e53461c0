//! Ranges of keys, and what of them is beside the reserved prefix.

use flota_registry::keys::RESERVED;

/// The first key behind all reserved ones: the prefix with its last byte one higher.
const BEHIND: &[u8] = b"/flota0";

/// `range_end` of a range without an end.
const NO_END: &[u8] = &[0];

/// A range as the wire has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keys {
    /// Its first key.
    pub key: Vec<u8>,
    /// Empty for one key, `\0` for all keys from `key` on, else the first key behind the range.
    pub range_end: Vec<u8>,
}

impl Keys {
    fn new(key: &[u8], range_end: &[u8]) -> Keys {
        Keys { key: key.to_vec(), range_end: range_end.to_vec() }
    }
}

/// What of a range is beside the reserved keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Beside {
    /// All of it: the range holds no reserved key.
    Whole,
    /// This part, before or behind them.
    Part(Keys),
    /// Both a part before and a part behind them, in this order.
    Two(Keys, Keys),
    /// Nothing: the range holds only reserved keys.
    Nothing,
}

/// Whether a key is Flota's own.
pub fn is_reserved(key: &[u8]) -> bool {
    key.starts_with(RESERVED.as_bytes())
}

/// Takes the reserved keys out of a range, whatever its form.
pub fn beside(key: &[u8], range_end: &[u8]) -> Beside {
    let first = RESERVED.as_bytes();
    if range_end.is_empty() {
        return if is_reserved(key) { Beside::Nothing } else { Beside::Whole };
    }
    let endless = range_end == NO_END;
    let is_empty = !endless && key >= range_end;
    if is_empty || key >= BEHIND || (!endless && range_end <= first) {
        return Beside::Whole;
    }
    let before = (key < first).then(|| Keys::new(key, first));
    let behind = (endless || range_end > BEHIND).then(|| Keys::new(BEHIND, range_end));
    match (before, behind) {
        (Some(before), Some(behind)) => Beside::Two(before, behind),
        (Some(part), None) | (None, Some(part)) => Beside::Part(part),
        (None, None) => Beside::Nothing,
    }
}
