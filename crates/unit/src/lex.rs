//! Lines as systemd reads them: line ends, comments, continuation.
//!
//! The rules, each checked against `systemd-analyze verify`: `\n`, `\r` and both together end a line; a line whose
//! first visible character is `#` or `;` is a comment everywhere, between continued lines too; a line that ends in
//! an odd number of backslashes goes on in the next line that is no comment; blanks are space and tab.

/// The longest line that systemd reads, in bytes, line end excluded: it refuses the whole file from 1 MiB on.
/// The same bound holds for a line put together from continued lines.
pub const MAX_LINE_BYTES: usize = 1_048_575;

/// What systemd strips around names and values.
pub(crate) const BLANKS: [char; 4] = [' ', '\t', '\n', '\r'];

const BYTE_ORDER_MARK: char = '\u{feff}';

/// One line of the file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Line<'a> {
    pub(crate) number: u32,
    pub(crate) text: &'a str,
}

/// One line as systemd's parser sees it: a line and those that continue it, without the continuing backslashes.
#[derive(Debug)]
pub(crate) struct LogicalLine<'a> {
    pub(crate) number: u32,
    /// The first line as it stands in the file.
    pub(crate) source: &'a str,
    /// The first line without its continuing backslash.
    pub(crate) first: &'a str,
    /// The lines that continue it.
    pub(crate) rest: Vec<&'a str>,
}

impl LogicalLine<'_> {
    /// The length that systemd holds in memory, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.first.len() + self.rest.iter().map(|piece| piece.len() + 1).sum::<usize>()
    }
}

/// The lines of a file, numbered from 1, without line ends and byte order mark.
pub(crate) fn lines(file: &str) -> impl Iterator<Item = Line<'_>> {
    lines_of_part(file.strip_prefix(BYTE_ORDER_MARK).unwrap_or(file))
}

/// The lines of a part of a file, in which a byte order mark is a character like others.
pub(crate) fn lines_of_part(text: &str) -> impl Iterator<Item = Line<'_>> {
    let mut rest = text;
    let mut number = 0;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let end = rest.bytes().position(|b| b == b'\n' || b == b'\r').unwrap_or(rest.len());
        let (text, tail) = rest.split_at(end);
        let end_bytes = match tail.as_bytes() {
            [b'\r', b'\n', ..] | [b'\n', b'\r', ..] => 2,
            [] => 0,
            _ => 1,
        };
        rest = &tail[end_bytes..];
        number += 1;
        Some(Line { number, text })
    })
}

/// The text of a line by its number.
pub(crate) fn line_at(text: &str, number: u32) -> Option<&str> {
    let index = number.checked_sub(1)? as usize;
    lines(text).nth(index).map(|line| line.text)
}

/// The lines that say something: no comments, no blank lines, continued lines together.
pub(crate) fn logical_lines(text: &str) -> impl Iterator<Item = LogicalLine<'_>> {
    let mut lines = lines(text).filter(|line| !is_comment(line.text));
    std::iter::from_fn(move || {
        let line = lines.find(|line| !is_blank(line.text))?;
        let mut logical = LogicalLine { number: line.number, source: line.text, first: line.text, rest: Vec::new() };
        let Some(first) = continued(line.text) else {
            return Some(logical);
        };
        logical.first = first;
        for line in lines.by_ref() {
            let piece = continued(line.text);
            logical.rest.push(piece.unwrap_or(line.text));
            if piece.is_none() {
                break;
            }
        }
        Some(logical)
    })
}

/// The value that pieces of a logical line make, with `\` and a newline between them, trimmed as systemd trims.
///
/// Blank pieces at the end are what a backslash before a blank line leaves: they hold nothing, and dropping them
/// keeps the backslash from reaching for the next option when the value is written elsewhere.
pub(crate) fn value(pieces: &[&str]) -> String {
    let kept = pieces.len() - pieces.iter().rev().take_while(|piece| is_blank(piece)).count();
    pieces[..kept].join("\\\n").trim_matches(BLANKS).to_owned()
}

/// The line without its last backslash, when that continues it.
pub(crate) fn continued(line: &str) -> Option<&str> {
    let backslashes = line.bytes().rev().take_while(|b| *b == b'\\').count();
    (backslashes % 2 == 1).then(|| &line[..line.len() - 1])
}

pub(crate) fn is_comment(line: &str) -> bool {
    line.trim_start_matches(BLANKS).starts_with(['#', ';'])
}

pub(crate) fn is_blank(line: &str) -> bool {
    line.trim_matches(BLANKS).is_empty()
}
