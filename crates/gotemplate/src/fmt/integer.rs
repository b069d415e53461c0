//! Integers.

use super::printer::Printer;
use super::quoting::{is_printable, quote_with};

impl Printer {
    /// An integer under one of its verbs: its magnitude, and whether it is negative if its type has a sign.
    pub(super) fn integer(&mut self, magnitude: u64, negative: Option<bool>, verb: char) {
        let minus = negative == Some(true);
        // What the bits mean to verbs that know no sign.
        let bits = if minus { magnitude.wrapping_neg() } else { magnitude };
        match verb {
            'v' if self.flags.go_syntax && negative.is_none() => {
                let sharp = std::mem::replace(&mut self.flags.sharp, true);
                self.number(magnitude, false, 'x');
                self.flags.sharp = sharp;
            }
            'c' => self.pad(rune(bits).encode_utf8(&mut [0; 4]).as_bytes()),
            'q' => {
                let text = rune(bits).to_string();
                self.pad(&quote_with(text.as_bytes(), '\'', self.flags.plus));
            }
            'U' => self.code_point(bits),
            _ => self.number(magnitude, minus, verb),
        }
    }

    fn number(&mut self, magnitude: u64, minus: bool, verb: char) {
        let flags = self.flags;
        if magnitude == 0 && flags.precision == Some(0) {
            return self.pad_with_spaces(b"");
        }
        let mut digits = match verb {
            'b' => format!("{magnitude:b}"),
            'o' | 'O' => format!("{magnitude:o}"),
            'x' => format!("{magnitude:x}"),
            'X' => format!("{magnitude:X}"),
            _ => magnitude.to_string(),
        };
        let sign = if minus {
            "-"
        } else if flags.plus {
            "+"
        } else if flags.space {
            " "
        } else {
            ""
        };
        let padded = match (flags.precision, flags.width) {
            (Some(precision), _) => precision,
            (None, Some(width)) if flags.zero => width.saturating_sub(sign.len()),
            _ => 0,
        };
        if let Some(zeros) = padded.checked_sub(digits.len()) {
            digits.insert_str(0, &"0".repeat(zeros));
        }
        let prefix = match verb {
            'b' if flags.sharp => "0b",
            'o' | 'O' if flags.sharp && !digits.starts_with('0') => "0",
            'x' if flags.sharp => "0x",
            'X' if flags.sharp => "0X",
            _ => "",
        };
        let octal = if verb == 'O' { "0o" } else { "" };
        self.pad_with_spaces([sign, octal, prefix, &digits].concat().as_bytes());
    }

    /// `U+0078`, and with `#` also the rune itself.
    fn code_point(&mut self, bits: u64) {
        let digits = self.flags.precision.unwrap_or(0).max(4);
        let mut text = format!("U+{bits:0>digits$X}");
        let shown = u32::try_from(bits).ok().and_then(char::from_u32).filter(|rune| is_printable(*rune));
        if let Some(rune) = shown.filter(|_| self.flags.sharp) {
            text.extend([" '", &rune.to_string(), "'"]);
        }
        self.pad_with_spaces(text.as_bytes());
    }
}

fn rune(bits: u64) -> char {
    u32::try_from(bits).ok().and_then(char::from_u32).unwrap_or(char::REPLACEMENT_CHARACTER)
}
