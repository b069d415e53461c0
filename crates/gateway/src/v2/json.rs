//! PURE. JSON as Go writes it: `<`, `>`, `&` and the line separators of Unicode are escaped, a newline ends it.

use std::io;

use serde::Serialize;
use serde_json::ser::{CharEscape, Formatter, Serializer};

/// Go's manner of escaping.
struct GoFormatter;

impl Formatter for GoFormatter {
    fn write_string_fragment<W: ?Sized + io::Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        let mut rest = fragment;
        while let Some(at) = rest.find(['<', '>', '&', '\u{2028}', '\u{2029}']) {
            let (plain, special) = rest.split_at(at);
            writer.write_all(plain.as_bytes())?;
            let mut chars = special.chars();
            if let Some(character) = chars.next() {
                write!(writer, "\\u{:04x}", u32::from(character))?;
            }
            rest = chars.as_str();
        }
        writer.write_all(rest.as_bytes())
    }

    fn write_char_escape<W: ?Sized + io::Write>(&mut self, writer: &mut W, escape: CharEscape) -> io::Result<()> {
        let code = match escape {
            CharEscape::Quote => return writer.write_all(b"\\\""),
            CharEscape::ReverseSolidus => return writer.write_all(b"\\\\"),
            CharEscape::Solidus => return writer.write_all(b"/"),
            CharEscape::LineFeed => return writer.write_all(b"\\n"),
            CharEscape::CarriageReturn => return writer.write_all(b"\\r"),
            CharEscape::Tab => return writer.write_all(b"\\t"),
            CharEscape::Backspace => 8,
            CharEscape::FormFeed => 12,
            CharEscape::AsciiControl(byte) => byte,
        };
        write!(writer, "\\u{code:04x}")
    }
}

/// The value as one line.
pub fn encode(value: &impl Serialize) -> Vec<u8> {
    let mut line = Vec::with_capacity(128);
    let mut serializer = Serializer::with_formatter(&mut line, GoFormatter);
    if value.serialize(&mut serializer).is_err() {
        line.clear(); // Cannot happen: the types here have string keys only, and a Vec takes everything.
    }
    line.push(b'\n');
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_escaped_as_by_go() {
        assert_eq!(encode(&"a<b>&c"), b"\"a\\u003cb\\u003e\\u0026c\"\n");
        assert_eq!(encode(&"\u{2028}x\u{2029}"), b"\"\\u2028x\\u2029\"\n");
        assert_eq!(encode(&"\u{8}\u{c}\u{1}\n\"\\/"), b"\"\\u0008\\u000c\\u0001\\n\\\"\\\\/\"\n");
        assert_eq!(encode(&"gr\u{fc}n"), "\"grün\"\n".as_bytes());
    }
}
