//! Shell patterns with the rules of Go's `path.Match`, which fleet's `Conflicts` and `Replaces` follow.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::iter::Peekable;
use std::str::{Chars, FromStr};

use serde::{Deserialize, Serialize};

/// The longest pattern, in bytes: four times the longest name it could have to match.
pub const MAX_GLOB_BYTES: usize = 1024;

/// Why a text is not a pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GlobError {
    /// More than [`MAX_GLOB_BYTES`] bytes.
    #[error("pattern has {0} bytes, more than {MAX_GLOB_BYTES}")]
    TooLong(usize),
    /// A `[` without its `]`.
    #[error("pattern {0:?} has \"[\" without \"]\"")]
    UnclosedClass(String),
    /// A class without members, or a range without an end.
    #[error("pattern {0:?} has a malformed character class")]
    MalformedClass(String),
    /// Nothing follows the last backslash.
    #[error("pattern {0:?} ends in a backslash")]
    TrailingBackslash(String),
}

/// A compiled pattern: `*` and `?` do not match `/`, `[a-z]` and `[^a-z]` are classes, `\` takes the next character
/// as it is.
#[derive(Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Glob {
    source: String,
    tokens: Vec<Token>,
}

#[derive(Clone)]
enum Token {
    Literal(char),
    AnyChar,
    AnySequence,
    Class { negated: bool, ranges: Vec<(char, char)> },
}

impl Glob {
    /// Compiles a pattern; a malformed one is an error even where Go would have stopped before the fault.
    pub fn new(pattern: &str) -> Result<Self, GlobError> {
        if pattern.len() > MAX_GLOB_BYTES {
            return Err(GlobError::TooLong(pattern.len()));
        }
        let mut tokens = Vec::new();
        let mut chars = pattern.chars().peekable();
        while let Some(c) = chars.next() {
            tokens.push(match c {
                '*' => Token::AnySequence,
                '?' => Token::AnyChar,
                '[' => class(&mut chars, pattern)?,
                '\\' => match chars.next() {
                    Some(escaped) => Token::Literal(escaped),
                    None => return Err(GlobError::TrailingBackslash(pattern.to_owned())),
                },
                literal => Token::Literal(literal),
            });
        }
        Ok(Self { source: pattern.to_owned(), tokens })
    }

    /// The pattern as written.
    pub fn as_str(&self) -> &str {
        &self.source
    }

    /// Whether the whole name matches.
    ///
    /// Time is at most pattern length times name length: only the last `*` is ever widened, because a match that an
    /// earlier one could reach by taking more is also reached by the later one.
    pub fn matches(&self, name: &str) -> bool {
        let mut token = 0;
        let mut rest = name;
        let mut retry: Option<(usize, &str)> = None;
        loop {
            match self.tokens.get(token) {
                Some(Token::AnySequence) => {
                    token += 1;
                    retry = Some((token, rest));
                    continue;
                }
                Some(one) => {
                    if let Some(tail) = one.take(rest) {
                        token += 1;
                        rest = tail;
                        continue;
                    }
                }
                None if rest.is_empty() => return true,
                None => {}
            }
            let Some((after_star, from)) = retry else {
                return false;
            };
            let Some(wider) = Token::AnyChar.take(from) else {
                return false;
            };
            token = after_star;
            rest = wider;
            retry = Some((after_star, wider));
        }
    }
}

impl Token {
    /// What is left of the text when this token takes its first character.
    fn take<'a>(&self, text: &'a str) -> Option<&'a str> {
        let mut chars = text.chars();
        let c = chars.next()?;
        let taken = match self {
            Self::Literal(literal) => c == *literal,
            Self::AnyChar => c != '/',
            Self::AnySequence => false,
            Self::Class { negated, ranges } => ranges.iter().any(|(low, high)| (*low..=*high).contains(&c)) != *negated,
        };
        taken.then_some(chars.as_str())
    }
}

fn class(chars: &mut Peekable<Chars<'_>>, pattern: &str) -> Result<Token, GlobError> {
    let negated = chars.next_if_eq(&'^').is_some();
    let mut ranges = Vec::new();
    loop {
        if !ranges.is_empty() && chars.next_if_eq(&']').is_some() {
            return Ok(Token::Class { negated, ranges });
        }
        let low = class_member(chars, pattern)?;
        let high = if chars.next_if_eq(&'-').is_some() { class_member(chars, pattern)? } else { low };
        ranges.push((low, high));
    }
}

fn class_member(chars: &mut Peekable<Chars<'_>>, pattern: &str) -> Result<char, GlobError> {
    match chars.next() {
        None => Err(GlobError::UnclosedClass(pattern.to_owned())),
        Some('-' | ']') => Err(GlobError::MalformedClass(pattern.to_owned())),
        Some('\\') => chars.next().ok_or_else(|| GlobError::TrailingBackslash(pattern.to_owned())),
        Some(c) => Ok(c),
    }
}

impl fmt::Display for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.source)
    }
}

impl fmt::Debug for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Glob({:?})", self.source)
    }
}

impl FromStr for Glob {
    type Err = GlobError;

    fn from_str(pattern: &str) -> Result<Self, GlobError> {
        Self::new(pattern)
    }
}

impl TryFrom<String> for Glob {
    type Error = GlobError;

    fn try_from(pattern: String) -> Result<Self, GlobError> {
        Self::new(&pattern)
    }
}

impl From<Glob> for String {
    fn from(glob: Glob) -> String {
        glob.source
    }
}

// The tokens follow from the source, so the source alone decides equality and order.

impl PartialEq for Glob {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

impl Eq for Glob {}

impl PartialOrd for Glob {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Glob {
    fn cmp(&self, other: &Self) -> Ordering {
        self.source.cmp(&other.source)
    }
}

impl Hash for Glob {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.source.hash(state);
    }
}
