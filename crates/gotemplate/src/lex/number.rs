//! The extent of a number. Whether it is one is for the parser to say: `089` is read here and refused there.

use super::action::{Lexer, Refused, Step, is_alphanumeric};
use super::token::Kind;

const DECIMAL: &str = "0123456789_";
const HEXADECIMAL: &str = "0123456789abcdefABCDEF_";

impl Lexer<'_, '_> {
    pub(super) fn number(&mut self) -> Step {
        let mut good = self.scan_number();
        let complex = good && matches!(self.peek(), Some('+' | '-'));
        if complex {
            good = self.scan_number() && self.last() == Some(b'i');
        }
        if !good {
            return Err(Refused(format!("bad number syntax: {}", self.quote_token())));
        }
        self.emit(if complex { Kind::Complex } else { Kind::Number });
        Ok(())
    }

    fn scan_number(&mut self) -> bool {
        self.accept("+-");
        let mut digits = DECIMAL;
        if self.accept("0") {
            if self.accept("xX") {
                digits = HEXADECIMAL;
            } else if self.accept("oO") {
                digits = "01234567_";
            } else if self.accept("bB") {
                digits = "01_";
            }
        }
        self.accept_run(digits);
        if self.accept(".") {
            self.accept_run(digits);
        }
        if (digits == DECIMAL && self.accept("eE")) || (digits == HEXADECIMAL && self.accept("pP")) {
            self.accept("+-");
            self.accept_run(DECIMAL);
        }
        self.accept("i");
        if self.peek().is_some_and(is_alphanumeric) {
            self.next();
            return false;
        }
        true
    }

    fn accept(&mut self, valid: &str) -> bool {
        let accepted = self.peek().is_some_and(|rune| valid.contains(rune));
        if accepted {
            self.next();
        }
        accepted
    }

    fn accept_run(&mut self, valid: &str) {
        while self.accept(valid) {}
    }
}
