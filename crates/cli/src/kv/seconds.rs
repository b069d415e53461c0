//! Times as people write them: `30s`, `5m`, `1h30m`; a number alone is seconds, as in unit files.

/// Units with their names and seconds.
const UNITS: [(&str, u64); 13] = [
    ("s", 1),
    ("sec", 1),
    ("second", 1),
    ("seconds", 1),
    ("m", 60),
    ("min", 60),
    ("minute", 60),
    ("minutes", 60),
    ("h", 3600),
    ("hour", 3600),
    ("hours", 3600),
    ("d", 86_400),
    ("day", 86_400),
];

/// Reads a time as whole seconds, at least one. The message of the error has the nearest valid form in it.
pub fn parse_seconds(text: &str) -> Result<u32, String> {
    let wrong = |nearest: &str| format!("not a time like 30s, 5m or 1h30m; did you mean {nearest}?");
    let text = text.trim();
    let (mut rest, mut total) = (text, 0_u64);
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let number: u64 = rest[..digits].parse().map_err(|_| wrong(&nearest(text)))?;
        rest = rest[digits..].trim_start();
        let letters = rest.bytes().take_while(u8::is_ascii_alphabetic).count();
        let scale = match &rest[..letters] {
            "" if rest.is_empty() => 1,
            unit => find(unit).ok_or_else(|| wrong(&nearest(text)))?,
        };
        rest = rest[letters..].trim_start();
        total = total.saturating_add(number.saturating_mul(scale));
    }
    match u32::try_from(total) {
        Ok(0) => Err(wrong("1s")),
        Ok(seconds) => Ok(seconds),
        Err(_) => Err(format!("too long, the longest is {}s", u32::MAX)),
    }
}

fn find(unit: &str) -> Option<u64> {
    UNITS.iter().find(|(name, _)| *name == unit).map(|(_, seconds)| *seconds)
}

/// The valid form that is nearest to a text that is none: its first number with the unit that begins like the word after
/// it; a fraction in the next smaller unit.
fn nearest(text: &str) -> String {
    let number: String =
        text.chars().skip_while(|c| !c.is_ascii_digit()).take_while(|c| c.is_ascii_digit() || *c == '.').collect();
    let Ok(number) = number.trim_end_matches('.').parse::<f64>() else { return "30s".to_owned() };
    let word: String = text.chars().skip_while(|c| !c.is_ascii_alphabetic()).collect::<String>().to_lowercase();
    let scale = match word.as_bytes() {
        [b'm', b's', ..] => 0.001,
        [b'm', ..] => 60.0,
        [b'h', ..] => 3600.0,
        [b'd', ..] => 86_400.0,
        _ => 1.0,
    };
    let seconds = (number * scale).ceil().clamp(1.0, f64::from(u32::MAX)) as u64;
    match seconds {
        seconds if seconds % 3600 == 0 => format!("{}h", seconds / 3600),
        seconds if seconds % 60 == 0 => format!("{}m", seconds / 60),
        seconds => format!("{seconds}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        for (text, seconds) in
            [("30s", 30), ("30", 30), ("5m", 300), ("1h30m", 5400), ("1h 5 min", 3900), ("2d", 172_800)]
        {
            assert_eq!(parse_seconds(text), Ok(seconds), "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_answered_with_the_nearest_one() {
        for (text, nearest) in [
            ("30x", "30s"),
            ("500ms", "1s"),
            ("1.5m", "90s"),
            ("5M", "5m"),
            ("2 Hours", "2h"),
            ("-30s", "30s"),
            ("soon", "30s"),
            ("0", "1s"),
            ("", "1s"),
            ("90000ms", "90s"),
        ] {
            let error = parse_seconds(text).unwrap_err();
            assert!(error.ends_with(&format!("did you mean {nearest}?")), "{text}: {error}");
        }
        assert!(parse_seconds("99999999999h").unwrap_err().starts_with("too long"));
    }
}
