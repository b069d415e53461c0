//! The words of the language.

use std::borrow::Cow;
use std::fmt;

use crate::fmt::quote_bytes;
use crate::value::runes;

/// What a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// No token could be read; the text is the message.
    Error,
    /// `true` or `false`.
    Bool,
    /// A character that means something in few places: a comma.
    Char,
    /// `'x'`.
    CharConstant,
    /// `1+2i`.
    Complex,
    /// `=`.
    Assign,
    /// `:=`.
    Declare,
    /// The end of the text.
    Eof,
    /// `.name`.
    Field,
    /// A function's name.
    Identifier,
    /// `{{`.
    LeftDelim,
    /// `(`.
    LeftParen,
    /// A number.
    Number,
    /// `|`.
    Pipe,
    /// A string in backquotes, with them.
    RawString,
    /// `}}`.
    RightDelim,
    /// `)`.
    RightParen,
    /// Spaces between words.
    Space,
    /// A string in double quotes, with them.
    Str,
    /// What is outside of actions.
    Text,
    /// `$` or `$name`.
    Variable,
    /// `block`.
    Block,
    /// `break`.
    Break,
    /// `continue`.
    Continue,
    /// `.`.
    Dot,
    /// `define`.
    Define,
    /// `else`.
    Else,
    /// `end`.
    End,
    /// `if`.
    If,
    /// `nil`.
    Nil,
    /// `range`.
    Range,
    /// `template`.
    Template,
    /// `with`.
    With,
}

impl Kind {
    /// The keyword that a word is.
    pub(crate) fn keyword(word: &[u8]) -> Option<Self> {
        Some(match word {
            b"block" => Self::Block,
            b"break" => Self::Break,
            b"continue" => Self::Continue,
            b"define" => Self::Define,
            b"else" => Self::Else,
            b"end" => Self::End,
            b"if" => Self::If,
            b"nil" => Self::Nil,
            b"range" => Self::Range,
            b"template" => Self::Template,
            b"with" => Self::With,
            _ => return None,
        })
    }

    fn is_keyword(self) -> bool {
        use Kind::{Block, Break, Continue, Define, Dot, Else, End, If, Nil, Range, Template, With};
        matches!(self, Block | Break | Continue | Dot | Define | Else | End | If | Nil | Range | Template | With)
    }
}

/// A word of the language and where it is.
#[derive(Debug, Clone)]
pub(crate) struct Token<'t> {
    pub kind: Kind,
    /// Where it starts: bytes from the start of the text.
    pub pos: usize,
    /// The line that it starts in, from 1.
    pub line: usize,
    pub text: Cow<'t, [u8]>,
}

impl Token<'_> {
    /// What lies behind the end, which nobody reads.
    pub(crate) fn nothing() -> Self {
        Self { kind: Kind::Error, pos: 0, line: 0, text: Cow::Borrowed(b"") }
    }
}

/// How messages name it.
impl fmt::Display for Token<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 10;
        let text = String::from_utf8_lossy(&self.text);
        match self.kind {
            Kind::Eof => f.write_str("EOF"),
            Kind::Error => f.write_str(&text),
            kind if kind.is_keyword() => write!(f, "<{text}>"),
            _ if self.text.len() > SHOWN => {
                let end = runes(&self.text).nth(SHOWN).map_or(self.text.len(), |(start, ..)| start);
                write!(f, "{}...", quote_bytes(&self.text[..end]))
            }
            _ => f.write_str(&quote_bytes(&self.text)),
        }
    }
}
