//! The lexer: what is text, what is an action, and an action's words.

use std::borrow::Cow;

use super::token::{Kind, Token};
use crate::fmt::{quote_bytes, unicode};
use crate::options::Delimiters;
use crate::value::decode_rune;

const COMMENT_START: &[u8] = b"/*";
const COMMENT_END: &[u8] = b"*/";
/// A trim marker is a minus and a space: `{{- ` and ` -}}`.
const TRIM_MARKER_LEN: usize = 2;

/// Which words are keywords: a function called `break` or `continue` takes the keyword's place, as in Go.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Keywords {
    pub break_: bool,
    pub continue_: bool,
}

/// All tokens of a text. The last one is the end, or the error that ended reading.
pub(crate) fn lex<'t>(text: &'t [u8], delimiters: &Delimiters, keywords: Keywords) -> Vec<Token<'t>> {
    let mut lexer = Lexer {
        text,
        left: delimiters.left.as_bytes(),
        right: delimiters.right.as_bytes(),
        keywords,
        pos: 0,
        start: 0,
        line: 1,
        counted: 0,
        parens: 0,
        tokens: Vec::new(),
    };
    if let Err(Refused(message)) = lexer.run() {
        lexer.push(Kind::Error, Cow::Owned(message.into_bytes()));
    }
    lexer.tokens
}

/// Why no token can be read.
pub(super) struct Refused(pub(super) String);

pub(super) type Step = Result<(), Refused>;

pub(super) struct Lexer<'t, 'd> {
    text: &'t [u8],
    left: &'d [u8],
    right: &'d [u8],
    keywords: Keywords,
    pos: usize,
    /// Where the token starts that is being read.
    start: usize,
    /// The line of the byte up to which lines are counted.
    line: usize,
    counted: usize,
    parens: usize,
    tokens: Vec<Token<'t>>,
}

impl<'t> Lexer<'t, '_> {
    fn run(&mut self) -> Step {
        while let Some(length) = find(self.rest(), self.left) {
            self.pos += length;
            let inside = &self.text[self.pos + self.left.len()..];
            let trim = is_left_trim_marker(inside);
            let spaces = if trim { trailing_spaces(&self.text[self.start..self.pos]) } else { 0 };
            self.pos -= spaces;
            if self.pos > self.start {
                self.emit(Kind::Text);
            }
            self.pos += spaces;
            self.ignore();
            let marker = if trim { TRIM_MARKER_LEN } else { 0 };
            if inside[marker..].starts_with(COMMENT_START) {
                self.pos += self.left.len() + marker;
                self.ignore();
                self.comment()?;
            } else {
                self.pos += self.left.len();
                self.emit(Kind::LeftDelim);
                self.pos += marker;
                self.ignore();
                self.parens = 0;
                while self.word()? {}
            }
        }
        self.pos = self.text.len();
        if self.pos > self.start {
            self.emit(Kind::Text);
        }
        self.emit(Kind::Eof);
        Ok(())
    }

    fn comment(&mut self) -> Step {
        self.pos += COMMENT_START.len();
        let Some(length) = find(self.rest(), COMMENT_END) else { return refuse("unclosed comment") };
        self.pos += length + COMMENT_END.len();
        match self.right_delim() {
            None => return refuse("comment ends before closing delimiter"),
            Some(trim) => self.skip_right_delim(trim),
        }
        self.ignore();
        Ok(())
    }

    /// Whether the right delimiter is here, and then whether it has a trim marker.
    fn right_delim(&self) -> Option<bool> {
        let rest = self.rest();
        if is_right_trim_marker(rest) && rest[TRIM_MARKER_LEN..].starts_with(self.right) {
            return Some(true);
        }
        rest.starts_with(self.right).then_some(false)
    }

    /// Goes behind the right delimiter that is here, and behind the spaces that it trims.
    fn skip_right_delim(&mut self, trim: bool) {
        self.pos += self.right.len();
        if trim {
            self.pos += TRIM_MARKER_LEN;
            self.pos += leading_spaces(self.rest());
        }
    }

    /// Reads one word of an action; false once the action ended.
    fn word(&mut self) -> Result<bool, Refused> {
        if let Some(trim) = self.right_delim() {
            if self.parens > 0 {
                return refuse("unclosed left paren");
            }
            self.end_action(trim);
            return Ok(false);
        }
        let Some(rune) = self.next() else { return refuse("unclosed action") };
        match rune {
            _ if is_space(rune) => return Ok(self.space()),
            '=' => self.emit(Kind::Assign),
            ':' if self.next() == Some('=') => self.emit(Kind::Declare),
            ':' => return refuse("expected :="),
            '|' => self.emit(Kind::Pipe),
            '"' => self.quoted('"', Kind::Str, "unterminated quoted string")?,
            '\'' => self.quoted('\'', Kind::CharConstant, "unterminated character constant")?,
            '`' => self.raw_string()?,
            '$' => self.name(Kind::Variable, Kind::Variable)?,
            '.' if self.peek().is_some_and(|next| !next.is_ascii_digit()) => self.name(Kind::Field, Kind::Dot)?,
            '.' | '+' | '-' | '0'..='9' => {
                self.back(rune);
                self.number()?;
            }
            '(' => {
                self.emit(Kind::LeftParen);
                self.parens += 1;
            }
            ')' => {
                self.emit(Kind::RightParen);
                let Some(parens) = self.parens.checked_sub(1) else {
                    return Err(Refused(format!("unexpected right paren {}", unicode(rune))));
                };
                self.parens = parens;
            }
            _ if is_alphanumeric(rune) => self.identifier()?,
            ' '..='~' => self.emit(Kind::Char),
            _ => return Err(Refused(format!("unrecognized character in action: {}", unicode(rune)))),
        }
        Ok(true)
    }

    fn end_action(&mut self, trim: bool) {
        if trim {
            self.pos += TRIM_MARKER_LEN;
            self.ignore();
        }
        self.pos += self.right.len();
        self.emit(Kind::RightDelim);
        if trim {
            self.pos += leading_spaces(self.rest());
            self.ignore();
        }
    }

    /// Spaces; the last one belongs to the right delimiter if that has a trim marker. False if that ends the action.
    fn space(&mut self) -> bool {
        while self.peek().is_some_and(is_space) {
            self.next();
        }
        self.pos -= 1;
        if self.right_delim() == Some(true) {
            if self.pos == self.start {
                self.end_action(true);
                return false;
            }
            if self.pos > self.start {
                self.emit(Kind::Space);
            }
        } else {
            self.pos += 1;
            self.emit(Kind::Space);
        }
        true
    }

    /// A string or character constant; what is between the quotes is checked by the parser.
    fn quoted(&mut self, quote: char, kind: Kind, message: &str) -> Step {
        loop {
            let rune = match self.next() {
                Some('\\') => self.next().filter(|rune| *rune != '\n').map(|_| ' '),
                rune => rune,
            };
            match rune {
                None | Some('\n') => return refuse(message),
                Some(rune) if rune == quote => break,
                Some(_) => {}
            }
        }
        self.emit(kind);
        Ok(())
    }

    fn raw_string(&mut self) -> Step {
        let Some(length) = find(self.rest(), b"`") else { return refuse("unterminated raw quoted string") };
        self.pos += length + 1;
        self.emit(Kind::RawString);
        Ok(())
    }

    /// The name behind a `.` or `$`; `alone` if there is none.
    fn name(&mut self, kind: Kind, alone: Kind) -> Step {
        if self.at_terminator() {
            self.emit(alone);
            return Ok(());
        }
        self.alphanumerics()?;
        self.emit(kind);
        Ok(())
    }

    fn identifier(&mut self) -> Step {
        self.alphanumerics()?;
        let word = &self.text[self.start..self.pos];
        self.emit(match (Kind::keyword(word), word) {
            (Some(Kind::Break), _) if !self.keywords.break_ => Kind::Identifier,
            (Some(Kind::Continue), _) if !self.keywords.continue_ => Kind::Identifier,
            (Some(keyword), _) => keyword,
            (None, b"true" | b"false") => Kind::Bool,
            (None, _) => Kind::Identifier,
        });
        Ok(())
    }

    fn alphanumerics(&mut self) -> Step {
        while self.peek().is_some_and(is_alphanumeric) {
            self.next();
        }
        match self.peek() {
            Some(rune) if !self.at_terminator() => Err(Refused(format!("bad character {}", unicode(rune)))),
            _ => Ok(()),
        }
    }

    /// Whether a name can end here. `$x+2` is refused, lest somebody takes it for arithmetic.
    fn at_terminator(&self) -> bool {
        match self.peek() {
            None | Some(' ' | '\t' | '\r' | '\n' | '.' | ',' | '|' | ':' | ')' | '(') => true,
            Some(_) => self.rest().starts_with(self.right),
        }
    }

    pub(super) fn next(&mut self) -> Option<char> {
        let (rune, length) = decode_rune(self.rest())?;
        self.pos += length;
        Some(rune)
    }

    pub(super) fn peek(&self) -> Option<char> {
        decode_rune(self.rest()).map(|(rune, _)| rune)
    }

    /// Steps back over an ASCII rune that was just read.
    fn back(&mut self, rune: char) {
        self.pos -= rune.len_utf8();
    }

    /// What was read of the token, for messages.
    pub(super) fn quote_token(&self) -> String {
        quote_bytes(&self.text[self.start..self.pos])
    }

    /// The last byte that was read.
    pub(super) fn last(&self) -> Option<u8> {
        self.text[..self.pos].last().copied()
    }

    fn rest(&self) -> &'t [u8] {
        &self.text[self.pos..]
    }

    pub(super) fn emit(&mut self, kind: Kind) {
        self.push(kind, Cow::Borrowed(&self.text[self.start..self.pos]));
        self.start = self.pos;
    }

    fn push(&mut self, kind: Kind, text: Cow<'t, [u8]>) {
        self.line += self.text[self.counted..self.start].split(|byte| *byte == b'\n').count() - 1;
        self.counted = self.start;
        self.tokens.push(Token { kind, pos: self.start, line: self.line, text });
    }

    fn ignore(&mut self) {
        self.start = self.pos;
    }
}

pub(super) fn refuse<T>(message: &str) -> Result<T, Refused> {
    Err(Refused(message.to_owned()))
}

fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    let first = *wanted.first()?;
    let mut from = 0;
    while let Some(step) = text.get(from..)?.iter().position(|byte| *byte == first) {
        from += step;
        if text[from..].starts_with(wanted) {
            return Some(from);
        }
        from += 1;
    }
    None
}

fn is_space(rune: char) -> bool {
    matches!(rune, ' ' | '\t' | '\r' | '\n')
}

/// Letters, digits and the underscore. Rust's classes hold a few marks and numerals more than Go's.
pub(super) fn is_alphanumeric(rune: char) -> bool {
    rune == '_' || rune.is_alphanumeric()
}

fn is_left_trim_marker(text: &[u8]) -> bool {
    matches!(text, [b'-', b' ' | b'\t' | b'\r' | b'\n', ..])
}

fn is_right_trim_marker(text: &[u8]) -> bool {
    matches!(text, [b' ' | b'\t' | b'\r' | b'\n', b'-', ..])
}

fn leading_spaces(text: &[u8]) -> usize {
    text.iter().take_while(|byte| is_space(char::from(**byte))).count()
}

fn trailing_spaces(text: &[u8]) -> usize {
    text.iter().rev().take_while(|byte| is_space(char::from(**byte))).count()
}
