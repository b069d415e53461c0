//! Floats: Go's `strconv.FormatFloat`, and what `fmt` makes of it.

use super::printer::Printer;

/// No double has more digits behind its point; what is asked for beyond them is zeros.
const MAX_FRACTION: usize = 1100;

impl Printer {
    /// A float under one of its verbs.
    pub(super) fn float(&mut self, value: f64, verb: char) {
        let (form, default) = match verb {
            'e' | 'E' | 'f' => (verb, Some(6)),
            'F' => ('f', Some(6)),
            'v' => ('g', None),
            _ => (verb, None),
        };
        let precision = self.flags.precision.or(default);
        let flags = self.flags;
        let sign = match value {
            _ if value.is_sign_negative() && !value.is_nan() => "-",
            _ if flags.plus => "+",
            _ if flags.space => " ",
            _ if value.is_infinite() => "+",
            _ => "",
        };
        if !value.is_finite() {
            let name = if value.is_nan() { "NaN" } else { "Inf" };
            return self.pad_with_spaces(format!("{sign}{name}").as_bytes());
        }
        let mut number = unsigned(value.abs(), form, precision);
        if flags.sharp && form != 'b' {
            number = with_point(&number, form, precision);
        }
        match flags.width {
            // The sign stands before the zeros.
            Some(width) if flags.zero && !sign.is_empty() && width > sign.len() + number.len() => {
                self.out.extend_from_slice(sign.as_bytes());
                self.padding(width - sign.len() - number.len());
                self.out.extend_from_slice(number.as_bytes());
            }
            _ => self.pad([sign, number.as_str()].concat().as_bytes()),
        }
    }
}

/// A finite float without its sign.
fn unsigned(value: f64, form: char, precision: Option<usize>) -> String {
    match form {
        'b' => {
            let (mantissa, exponent) = parts(value);
            format!("{mantissa}p{exponent:+}")
        }
        'x' | 'X' => {
            let text = hexadecimal(value, precision);
            if form == 'X' { text.to_ascii_uppercase() } else { text }
        }
        'e' | 'E' => Decimal::new(value, precision.map(|digits| digits + 1)).scientific(form, precision),
        'f' => fixed(value, precision),
        _ => general(value, form, precision),
    }
}

fn fixed(value: f64, precision: Option<usize>) -> String {
    let Some(precision) = precision else { return format!("{value}") };
    let mut text = format!("{value:.*}", precision.min(MAX_FRACTION));
    text.push_str(&"0".repeat(precision.saturating_sub(MAX_FRACTION)));
    text
}

/// `%g`: scientific when the exponent is small or large.
fn general(value: f64, form: char, precision: Option<usize>) -> String {
    let decimal = Decimal::new(value, precision.map(|digits| digits.max(1)));
    let digits = decimal.digits.trim_end_matches('0').len().max(1);
    let threshold = match precision.map(|wanted| wanted.max(1)) {
        None => 6,
        Some(wanted) if wanted > digits && digits as i32 > decimal.exponent => digits as i32,
        Some(wanted) => wanted as i32,
    };
    if decimal.exponent < -4 || decimal.exponent >= threshold {
        let letter = if form == 'G' { 'E' } else { 'e' };
        return decimal.scientific(letter, Some(digits - 1));
    }
    fixed(value, Some((digits as i32 - 1 - decimal.exponent).max(0) as usize))
}

/// The decimal digits of a float, the first of them before the point, and the power of ten.
struct Decimal {
    digits: String,
    exponent: i32,
}

impl Decimal {
    /// So many digits, or as few as tell the float from all others.
    fn new(value: f64, digits: Option<usize>) -> Self {
        let text = match digits {
            None => format!("{value:e}"),
            Some(digits) => format!("{value:.*e}", (digits - 1).min(MAX_FRACTION)),
        };
        let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        Self { digits: mantissa.replace('.', ""), exponent: exponent.parse().unwrap_or(0) }
    }

    /// With so many digits behind the point, or all that there are.
    fn scientific(&self, letter: char, fraction: Option<usize>) -> String {
        let (first, rest) = self.digits.split_at(1);
        let fraction = fraction.unwrap_or(rest.len());
        let rest = &rest[..fraction.min(rest.len())];
        let zeros = "0".repeat(fraction - rest.len());
        let point = if fraction > 0 { "." } else { "" };
        let sign = if self.exponent < 0 { '-' } else { '+' };
        format!("{first}{point}{rest}{zeros}{letter}{sign}{:02}", self.exponent.unsigned_abs())
    }
}

/// The integer and the power of two whose product a float is.
fn parts(value: f64) -> (u64, i32) {
    let bits = value.to_bits();
    let fraction = bits & ((1 << 52) - 1);
    match (bits >> 52 & 0x7ff) as i32 {
        0 => (fraction, -1074),
        exponent => (fraction | 1 << 52, exponent - 1075),
    }
}

/// `0x1.8p+00`.
fn hexadecimal(value: f64, precision: Option<usize>) -> String {
    const FRACTION_DIGITS: usize = 13;
    let (mut mantissa, mut exponent) = parts(value);
    if mantissa == 0 {
        exponent = 0;
    } else {
        let shift = mantissa.leading_zeros() as i32 - 11;
        mantissa <<= shift;
        exponent += 52 - shift;
    }
    let digits = match precision {
        Some(digits) if digits < FRACTION_DIGITS => {
            // Half to even.
            let dropped = 4 * (FRACTION_DIGITS - digits) as u32;
            let half = 1_u64 << (dropped - 1);
            let rest = mantissa & ((1 << dropped) - 1);
            mantissa >>= dropped;
            mantissa += u64::from(rest > half || (rest == half && mantissa & 1 == 1));
            mantissa <<= dropped;
            if mantissa >> 53 == 1 {
                mantissa >>= 1;
                exponent += 1;
            }
            digits
        }
        Some(digits) => digits,
        None => FRACTION_DIGITS,
    };
    let fraction = format!("{:013x}", mantissa & ((1 << 52) - 1));
    let fraction = match precision {
        None => fraction.trim_end_matches('0').to_owned(),
        Some(_) => format!("{fraction:0<digits$}")[..digits].to_owned(),
    };
    let point = if fraction.is_empty() { "" } else { "." };
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("0x{}{point}{fraction}p{sign}{:02}", mantissa >> 52, exponent.unsigned_abs())
}

/// `#`: a point in any case, and the zeros that `%g` leaves away.
fn with_point(number: &str, form: char, precision: Option<usize>) -> String {
    let is_hexadecimal = matches!(form, 'x' | 'X');
    let exponent = if is_hexadecimal { number.find(['p', 'P']) } else { number.find(['e', 'E']) };
    let (mantissa, tail) = number.split_at(exponent.unwrap_or(number.len()));
    let mut wanted = match form {
        'g' | 'G' | 'x' => precision.unwrap_or(6) as i64,
        _ => 0,
    };
    let significant = mantissa.trim_start_matches(['0', '.']);
    wanted -= significant.chars().filter(|rune| *rune != '.').count() as i64;
    let mut text = mantissa.to_owned();
    if !mantissa.contains('.') {
        wanted -= i64::from(mantissa == "0");
        text.push('.');
    }
    text.push_str(&"0".repeat(wanted.max(0) as usize));
    text + tail
}
