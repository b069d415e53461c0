//! `html`, `js` and `urlquery`.

use crate::exec::Operand;
use crate::fmt::{is_printable, print};
use crate::value::{Value, runes};

/// The text of all arguments, as printing them together gives it.
pub(super) fn joined(args: &[Operand]) -> Vec<u8> {
    let values: Vec<Value> = args
        .iter()
        .map(|arg| match arg.get() {
            None => Value::from("<no value>"),
            Some(value) => value.clone(),
        })
        .collect();
    print(&values)
}

pub(super) fn html(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    for byte in text {
        match byte {
            b'\0' => out.extend_from_slice("\u{fffd}".as_bytes()),
            b'"' => out.extend_from_slice(b"&#34;"),
            b'\'' => out.extend_from_slice(b"&#39;"),
            b'&' => out.extend_from_slice(b"&amp;"),
            b'<' => out.extend_from_slice(b"&lt;"),
            b'>' => out.extend_from_slice(b"&gt;"),
            other => out.push(*other),
        }
    }
    out
}

pub(super) fn js(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    for (start, rune, length) in runes(text) {
        match rune {
            '\\' | '\'' | '"' => out.extend_from_slice(&[b'\\', text[start]]),
            '<' | '>' | '&' | '=' | '\0'..='\x1f' => {
                out.extend_from_slice(format!("\\u{:04X}", u32::from(rune)).as_bytes());
            }
            _ if rune.is_ascii() || is_printable(rune) => out.extend_from_slice(&text[start..start + length]),
            _ => out.extend_from_slice(format!("\\u{:04X}", u32::from(rune)).as_bytes()),
        }
    }
    out
}

pub(super) fn url_query(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    for byte in text {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(*byte),
            b' ' => out.push(b'+'),
            other => out.extend_from_slice(format!("%{other:02X}").as_bytes()),
        }
    }
    out
}
