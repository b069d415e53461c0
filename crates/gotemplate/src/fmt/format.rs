//! `printf`: a format and its operands.

use super::printer::{Flags, Printer};
use crate::value::{Value, decode_rune};

/// A larger width, precision or operand number is none.
const MAX_NUMBER: i64 = 1_000_000;

/// The format with its operands put in, and Go's complaints where they do not fit.
pub(crate) fn printf(format: &[u8], operands: &[Value]) -> Vec<u8> {
    let mut formatter = Formatter {
        format,
        at: 0,
        operands,
        next: 0,
        reordered: false,
        good_index: true,
        after_index: false,
        printer: Printer::default(),
    };
    formatter.run();
    formatter.printer.out
}

struct Formatter<'f> {
    format: &'f [u8],
    at: usize,
    operands: &'f [Value],
    /// The operand that the next verb takes.
    next: usize,
    /// Operands were named by number, so nobody knows which are left over.
    reordered: bool,
    /// All numbers of operands in this verb are good.
    good_index: bool,
    /// The last thing read was the number of an operand.
    after_index: bool,
    printer: Printer,
}

impl Formatter<'_> {
    fn run(&mut self) {
        while let Some(length) = self.format[self.at..].iter().position(|byte| *byte == b'%') {
            self.printer.out.extend_from_slice(&self.format[self.at..self.at + length]);
            self.at += length + 1;
            self.verb();
        }
        self.printer.out.extend_from_slice(&self.format[self.at..]);
        if !self.reordered && self.next < self.operands.len() {
            self.extra();
        }
    }

    /// One verb; the percent sign is read.
    fn verb(&mut self) {
        self.good_index = true;
        self.after_index = false;
        self.printer.flags = Flags::default();
        self.flags();
        self.index();
        self.width();
        self.precision();
        if !self.after_index {
            self.index();
        }
        let Some((verb, length)) = decode_rune(&self.format[self.at..]) else {
            return self.printer.out.extend_from_slice(b"%!(NOVERB)");
        };
        self.at += length;
        match self.operands.get(self.next) {
            _ if verb == '%' => self.printer.push('%'),
            _ if !self.good_index => self.complain(verb, "(BADINDEX)"),
            None => self.complain(verb, "(MISSING)"),
            Some(operand) => {
                let flags = &mut self.printer.flags;
                if verb == 'v' {
                    flags.go_syntax = std::mem::take(&mut flags.sharp);
                    flags.field_names = std::mem::take(&mut flags.plus);
                }
                self.printer.value(operand, verb, 0);
                self.next += 1;
            }
        }
    }

    fn flags(&mut self) {
        while let Some(byte) = self.peek() {
            let flags = &mut self.printer.flags;
            match byte {
                b'#' => flags.sharp = true,
                b'0' => flags.zero = !flags.minus,
                b'+' => flags.plus = true,
                b'-' => {
                    flags.minus = true;
                    flags.zero = false;
                }
                b' ' => flags.space = true,
                _ => break,
            }
            self.at += 1;
        }
    }

    fn width(&mut self) {
        if self.peek() == Some(b'*') {
            self.at += 1;
            let width = self.operand_number();
            if width.is_none() {
                self.printer.out.extend_from_slice(b"%!(BADWIDTH)");
            }
            if width.is_some_and(|width| width < 0) {
                self.printer.flags.minus = true;
                self.printer.flags.zero = false;
            }
            self.printer.flags.width = width.map(|width| width.unsigned_abs() as usize);
            self.after_index = false;
        } else {
            self.printer.flags.width = self.number();
            if self.after_index && self.printer.flags.width.is_some() {
                self.good_index = false;
            }
        }
    }

    fn precision(&mut self) {
        // A point at the very end is a verb.
        if self.peek() != Some(b'.') || self.at + 1 == self.format.len() {
            return;
        }
        self.at += 1;
        if self.after_index {
            self.good_index = false;
        }
        self.index();
        if self.peek() == Some(b'*') {
            self.at += 1;
            let precision = self.operand_number().and_then(|precision| usize::try_from(precision).ok());
            if precision.is_none() {
                self.printer.out.extend_from_slice(b"%!(BADPREC)");
            }
            self.printer.flags.precision = precision;
            self.after_index = false;
        } else {
            self.printer.flags.precision = Some(self.number().unwrap_or(0));
        }
    }

    /// `[3]`: the number of the operand that is next.
    fn index(&mut self) {
        self.after_index = false;
        if self.peek() != Some(b'[') {
            return;
        }
        self.reordered = true;
        let rest = &self.format[self.at..];
        let Some(length) = rest.iter().position(|byte| *byte == b']') else {
            self.good_index = false;
            self.at += 1;
            return;
        };
        let digits = &rest[1..length];
        self.at += length + 1;
        let index = parse_number(digits).filter(|(_, used)| *used == digits.len()).map(|(number, _)| number);
        match index.and_then(|index| index.checked_sub(1)) {
            Some(index) if index < self.operands.len() => {
                self.next = index;
                self.after_index = true;
            }
            _ => {
                self.good_index = false;
                self.after_index = index.is_some();
            }
        }
    }

    /// The operand of a `*`.
    fn operand_number(&mut self) -> Option<i64> {
        let operand = self.operands.get(self.next)?;
        self.next += 1;
        let number = match operand {
            Value::Int(number) => *number,
            Value::Uint(number) => i64::try_from(*number).ok()?,
            Value::Byte(number) => i64::from(*number),
            _ => return None,
        };
        (-MAX_NUMBER..=MAX_NUMBER).contains(&number).then_some(number)
    }

    fn number(&mut self) -> Option<usize> {
        let Some((number, used)) = parse_number(&self.format[self.at..]) else {
            // A number that is too large eats the rest of the format.
            if self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
                self.at = self.format.len();
            }
            return None;
        };
        self.at += used;
        Some(number)
    }

    fn peek(&self) -> Option<u8> {
        self.format.get(self.at).copied()
    }

    fn complain(&mut self, verb: char, complaint: &str) {
        self.printer.out.extend_from_slice(b"%!");
        self.printer.push(verb);
        self.printer.out.extend_from_slice(complaint.as_bytes());
    }

    /// What no verb took.
    fn extra(&mut self) {
        self.printer.flags = Flags::default();
        self.printer.out.extend_from_slice(b"%!(EXTRA ");
        for (index, operand) in self.operands[self.next..].iter().enumerate() {
            if index > 0 {
                self.printer.out.extend_from_slice(b", ");
            }
            if !matches!(operand, Value::Nil) {
                self.printer.out.extend_from_slice(operand.type_name().as_bytes());
                self.printer.push('=');
            }
            self.printer.value(operand, 'v', 0);
        }
        self.printer.push(')');
    }
}

/// The digits at the start as a number, and how many there are; none if there are none, or too many.
fn parse_number(text: &[u8]) -> Option<(usize, usize)> {
    let mut number = 0;
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    for digit in &text[..digits] {
        if number > MAX_NUMBER as usize {
            return None;
        }
        number = number * 10 + usize::from(digit - b'0');
    }
    (digits > 0).then_some((number, digits))
}
