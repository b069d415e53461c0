//! Go's quoted strings and characters.

use crate::value::runes;

/// A Go string literal.
pub(crate) fn quote(text: &str) -> String {
    quote_bytes(text.as_bytes())
}

/// A Go string literal of bytes that need not be UTF-8.
pub(crate) fn quote_bytes(text: &[u8]) -> String {
    String::from_utf8_lossy(&quote_with(text, '"', false)).into_owned()
}

/// A rune as `%#U` writes it: `U+0078 'x'`.
pub(crate) fn unicode(rune: char) -> String {
    let number = u32::from(rune);
    if is_printable(rune) { format!("U+{number:04X} '{rune}'") } else { format!("U+{number:04X}") }
}

/// Quotes text, in ASCII alone if asked to.
pub(super) fn quote_with(text: &[u8], quote: char, ascii: bool) -> Vec<u8> {
    let mut out = String::with_capacity(text.len() + 2);
    out.push(quote);
    for (start, rune, length) in runes(text) {
        if length == 1 && !text[start].is_ascii() {
            out.extend(["\\x".to_owned(), format!("{:02x}", text[start])]);
            continue;
        }
        if is_printable(rune) && (rune.is_ascii() || !ascii) && rune != quote && rune != '\\' {
            out.push(rune);
        } else {
            out.push_str(&escape(rune));
        }
    }
    out.push(quote);
    out.into_bytes()
}

/// A rune that cannot stand for itself.
fn escape(rune: char) -> String {
    let number = u32::from(rune);
    match rune {
        '\x07' => "\\a".to_owned(),
        '\x08' => "\\b".to_owned(),
        '\x0c' => "\\f".to_owned(),
        '\n' => "\\n".to_owned(),
        '\r' => "\\r".to_owned(),
        '\t' => "\\t".to_owned(),
        '\x0b' => "\\v".to_owned(),
        ' '..='~' => format!("\\{rune}"),
        '\0'..='\x7f' => format!("\\x{number:02x}"),
        '\0'..='\u{ffff}' => format!("\\u{number:04x}"),
        _ => format!("\\U{number:08x}"),
    }
}

/// Whether Go shows a rune as itself: letters, marks, numbers, punctuation, symbols and the ASCII space.
pub(crate) fn is_printable(rune: char) -> bool {
    if rune.is_ascii() {
        return matches!(rune, ' '..='~');
    }
    // Rust's `Debug` of a string escapes the same ones, but for marks at its start.
    let mut text = String::from("a");
    text.push(rune);
    text.escape_debug().nth(1) == Some(rune)
}

/// Whether a string can stand between backquotes on one line.
pub(super) fn can_backquote(text: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(text) else { return false };
    !text.chars().any(|rune| (rune < ' ' && rune != '\t') || matches!(rune, '`' | '\x7f' | '\u{feff}'))
}
