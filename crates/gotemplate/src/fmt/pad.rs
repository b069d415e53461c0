//! Width.

use super::printer::Printer;
use crate::value::runes;

impl Printer {
    /// Writes text, padded to the width: on the left, or on the right with `-`.
    pub(super) fn pad(&mut self, text: &[u8]) {
        let Some(width) = self.flags.width else { return self.out.extend_from_slice(text) };
        let padding = width.saturating_sub(runes(text).count());
        if self.flags.minus {
            self.out.extend_from_slice(text);
            self.padding(padding);
        } else {
            self.padding(padding);
            self.out.extend_from_slice(text);
        }
    }

    /// Writes text padded with spaces, also where zeros are asked for.
    pub(super) fn pad_with_spaces(&mut self, text: &[u8]) {
        let zero = std::mem::replace(&mut self.flags.zero, false);
        self.pad(text);
        self.flags.zero = zero;
    }

    pub(super) fn padding(&mut self, count: usize) {
        let byte = if self.flags.zero { b'0' } else { b' ' };
        self.out.resize(self.out.len() + count, byte);
    }
}
