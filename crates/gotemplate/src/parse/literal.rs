//! Constants: Go's numbers, strings and characters.

use crate::ast::Number;
use crate::fmt::quote;
use crate::lex::{Kind, Token};
use crate::value::decode_rune;

/// What Go says of a string or character that it cannot read.
const INVALID_SYNTAX: &str = "invalid syntax";

/// The bytes that a string literal stands for.
pub(super) fn unquote(quoted: &[u8]) -> Result<Vec<u8>, String> {
    let (Some(quote), Some(inside)) = (quoted.first(), quoted.get(1..quoted.len().saturating_sub(1))) else {
        return Err(INVALID_SYNTAX.to_owned());
    };
    if *quote == b'`' {
        return Ok(inside.iter().copied().filter(|byte| *byte != b'\r').collect());
    }
    let mut bytes = Vec::with_capacity(inside.len());
    let mut rest = inside;
    while !rest.is_empty() {
        let (unit, length) = unquote_char(rest, b'"')?;
        rest = &rest[length..];
        match unit {
            Unit::Byte(byte) => bytes.push(byte),
            Unit::Rune(rune) => bytes.extend_from_slice(rune.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    Ok(bytes)
}

/// What one character of a literal stands for.
enum Unit {
    /// `\x` and octal escapes name bytes.
    Byte(u8),
    Rune(char),
}

/// The first character of a literal, and how many bytes it takes there.
fn unquote_char(text: &[u8], quote: u8) -> Result<(Unit, usize), String> {
    let invalid = || INVALID_SYNTAX.to_owned();
    let (rune, length) = decode_rune(text).ok_or_else(invalid)?;
    if rune == char::from(quote) {
        return Err(invalid());
    }
    if rune != '\\' {
        return Ok((Unit::Rune(rune), length));
    }
    let escape = *text.get(1).ok_or_else(invalid)?;
    let simple = match escape {
        b'a' => 0x07,
        b'b' => 0x08,
        b'f' => 0x0c,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'v' => 0x0b,
        b'\\' => b'\\',
        b'\'' | b'"' if escape == quote => escape,
        b'x' => return digits(text, 2, 2, 16).and_then(byte),
        b'0'..=b'7' => return digits(text, 1, 3, 8).and_then(byte),
        b'u' => return digits(text, 2, 4, 16).and_then(rune_unit),
        b'U' => return digits(text, 2, 8, 16).and_then(rune_unit),
        _ => return Err(invalid()),
    };
    Ok((Unit::Rune(char::from(simple)), 2))
}

fn byte((value, length): (u32, usize)) -> Result<(Unit, usize), String> {
    let value = u8::try_from(value).map_err(|_| INVALID_SYNTAX.to_owned())?;
    Ok((Unit::Byte(value), length))
}

fn rune_unit((value, length): (u32, usize)) -> Result<(Unit, usize), String> {
    let rune = char::from_u32(value).ok_or_else(|| INVALID_SYNTAX.to_owned())?;
    Ok((Unit::Rune(rune), length))
}

/// Exactly so many digits from there on, and where they end.
fn digits(text: &[u8], start: usize, count: usize, radix: u32) -> Result<(u32, usize), String> {
    let invalid = || INVALID_SYNTAX.to_owned();
    let digits = text.get(start..start + count).ok_or_else(invalid)?;
    let mut value = 0_u32;
    for digit in digits {
        // At most eight hexadecimal digits fit.
        value = value * radix + char::from(*digit).to_digit(radix).ok_or_else(invalid)?;
    }
    Ok((value, start + count))
}

/// A number or character constant.
pub(super) fn number(token: &Token<'_>) -> Result<Number, String> {
    let text = String::from_utf8_lossy(&token.text).into_owned();
    let pos = token.pos;
    if token.kind == Kind::CharConstant {
        let value = character(&token.text).map_err(|error| match error {
            Malformed::Syntax => INVALID_SYNTAX.to_owned(),
            Malformed::Tail => format!("malformed character constant: {text}"),
        })?;
        return Ok(Number {
            pos,
            text,
            int: Some(i64::from(value)),
            uint: Some(u64::from(value)),
            float: Some(f64::from(value)),
        });
    }
    if token.kind == Kind::Complex || text.ends_with('i') {
        return Err(format!("complex numbers are not supported: {text}"));
    }
    let (mut int, mut uint) = (signed(&text), unsigned(&text));
    if int == Some(0) {
        uint = Some(0);
    }
    let float = match (int, uint) {
        (Some(int), _) => Some(int as f64),
        (None, Some(uint)) => Some(uint as f64),
        (None, None) => {
            let float = parse_float(&text).ok_or_else(|| format!("illegal number syntax: {}", quote(&text)))?;
            if !text.contains(['.', 'e', 'E', 'p', 'P']) {
                return Err(format!("integer overflow: {}", quote(&text)));
            }
            if float.fract() == 0.0 {
                int = i64::try_from(float as i128).ok();
                uint = u64::try_from(float as i128).ok();
            }
            Some(float)
        }
    };
    Ok(Number { pos, text, int, uint, float })
}

enum Malformed {
    Syntax,
    Tail,
}

fn character(quoted: &[u8]) -> Result<u32, Malformed> {
    let inside = quoted.get(1..).unwrap_or_default();
    let (unit, length) = unquote_char(inside, b'\'').map_err(|_| Malformed::Syntax)?;
    if &inside[length..] != b"'" {
        return Err(Malformed::Tail);
    }
    Ok(match unit {
        Unit::Byte(byte) => u32::from(byte),
        Unit::Rune(rune) => u32::from(rune),
    })
}

fn signed(text: &str) -> Option<i64> {
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let magnitude = i128::from(unsigned(digits)?);
    i64::try_from(if negative { -magnitude } else { magnitude }).ok()
}

/// An integer with any of Go's prefixes: `0x`, `0o`, `0b`, or `0` for octal, and underscores between digits.
fn unsigned(text: &str) -> Option<u64> {
    let lower = text.to_ascii_lowercase();
    let (radix, digits) = match lower.as_bytes() {
        [b'0', b'x', ..] => (16, &lower[2..]),
        [b'0', b'o', ..] => (8, &lower[2..]),
        [b'0', b'b', ..] => (2, &lower[2..]),
        [b'0', _, ..] => (8, &lower[1..]),
        _ => (10, lower.as_str()),
    };
    if !underscores_separate_digits(&lower) {
        return None;
    }
    let digits = digits.replace('_', "");
    // Rust would take a sign.
    if !digits.starts_with(|first: char| first.is_digit(radix)) {
        return None;
    }
    u64::from_str_radix(&digits, radix).ok()
}

/// An underscore may stand between digits, and between a prefix and a digit.
fn underscores_separate_digits(lower: &str) -> bool {
    let digits = lower.trim_start_matches(['+', '-']);
    let prefixed = matches!(digits.as_bytes(), [b'0', b'x' | b'o' | b'b', ..]);
    let hexadecimal = digits.starts_with("0x");
    let digits = if prefixed { &digits[2..] } else { digits };
    let is_digit =
        |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_digit() || (hexadecimal && byte.is_ascii_hexdigit()));
    let bytes = digits.as_bytes();
    (0..bytes.len()).filter(|at| bytes[*at] == b'_').all(|at| {
        let before = if at == 0 { prefixed } else { is_digit(bytes.get(at - 1)) };
        before && is_digit(bytes.get(at + 1))
    })
}

/// A float in Go's syntax; none if it is out of range.
fn parse_float(text: &str) -> Option<f64> {
    let lower = text.to_ascii_lowercase();
    if !underscores_separate_digits(&lower) {
        return None;
    }
    let digits = lower.replace('_', "");
    let (negative, magnitude) = match digits.strip_prefix('-') {
        Some(magnitude) => (true, magnitude),
        None => (false, digits.strip_prefix('+').unwrap_or(&digits)),
    };
    if !magnitude.starts_with(|first: char| first.is_ascii_digit() || first == '.') {
        return None;
    }
    let value = match magnitude.strip_prefix("0x") {
        Some(hexadecimal) => hexadecimal_float(hexadecimal)?,
        None => magnitude.parse::<f64>().ok()?,
    };
    value.is_finite().then_some(if negative { -value } else { value })
}

/// `1.8p-3`: a hexadecimal fraction and a binary exponent, which must be there.
fn hexadecimal_float(text: &str) -> Option<f64> {
    let (mantissa, exponent) = text.split_once('p')?;
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let mut bits = 0_u128;
    let mut shift: i32 = exponent.parse::<i32>().ok()?.clamp(-100_000, 100_000);
    for (place, digit) in whole.chars().chain(fraction.chars()).enumerate() {
        let digit = u128::from(digit.to_digit(16)?);
        let in_fraction = place >= whole.len();
        if bits >> 120 == 0 {
            bits = bits << 4 | digit;
            shift -= if in_fraction { 4 } else { 0 };
        } else {
            // Digits beyond these only say that there is more than nothing.
            bits |= u128::from(digit != 0);
            shift += if in_fraction { 0 } else { 4 };
        }
    }
    // Two factors, lest the first one leaves the range of exponents that the product would be in.
    let half = shift / 2;
    Some(bits as f64 * 2_f64.powi(half) * 2_f64.powi(shift - half))
}
