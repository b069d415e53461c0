//! Strings.

use super::printer::Printer;
use super::quoting::{can_backquote, quote_with};
use crate::value::runes;

impl Printer {
    /// A string under one of its verbs.
    pub(super) fn string(&mut self, text: &[u8], verb: char) {
        match verb {
            'x' => self.hexadecimal(text, b"0123456789abcdefx"),
            'X' => self.hexadecimal(text, b"0123456789ABCDEFX"),
            'q' => self.quoted(text),
            'v' if self.flags.go_syntax => self.quoted(text),
            _ => self.pad(self.truncated(text)),
        }
    }

    /// At most as many runes as the precision says.
    fn truncated<'s>(&self, text: &'s [u8]) -> &'s [u8] {
        let end = self.flags.precision.and_then(|precision| runes(text).nth(precision));
        end.map_or(text, |(start, ..)| &text[..start])
    }

    fn quoted(&mut self, text: &[u8]) {
        let text = self.truncated(text);
        if self.flags.sharp && can_backquote(text) {
            self.pad(&[b"`", text, b"`"].concat());
        } else {
            self.pad(&quote_with(text, '"', self.flags.plus));
        }
    }

    /// The bytes in hexadecimal digits; the seventeenth digit is the `x` of their prefix.
    fn hexadecimal(&mut self, text: &[u8], digits: &[u8; 17]) {
        let text = &text[..self.flags.precision.map_or(text.len(), |precision| precision.min(text.len()))];
        let mut encoded = Vec::with_capacity(2 * text.len());
        for (index, byte) in text.iter().enumerate() {
            if self.flags.space && index > 0 {
                encoded.push(b' ');
            }
            if self.flags.sharp && (self.flags.space || index == 0) {
                encoded.extend_from_slice(&[b'0', digits[16]]);
            }
            encoded.extend_from_slice(&[digits[usize::from(byte >> 4)], digits[usize::from(byte & 0xf)]]);
        }
        self.pad(&encoded);
    }
}
