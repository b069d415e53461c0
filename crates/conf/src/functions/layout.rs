//! Go's way to say how a time is written: by the example of Mon Jan 2 15:04:05 MST 2006.

use std::fmt::Write as _;

use jiff::ZonedDateTime;

/// The months in Go's words.
pub(super) const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
/// The days of the week, from Sunday.
pub(super) const WEEKDAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

/// What an example may hold, longer ones before those that they begin with.
const WORDS: [&str; 32] = [
    "January",
    "Jan",
    "Monday",
    "Mon",
    "MST",
    "2006",
    "-07:00:00",
    "-07:00",
    "-070000",
    "-0700",
    "-07",
    "Z07:00:00",
    "Z070000",
    "Z07:00",
    "Z0700",
    "Z07",
    "002",
    "01",
    "02",
    "03",
    "04",
    "05",
    "06",
    "15",
    "PM",
    "pm",
    "__2",
    "_2",
    "1",
    "2",
    "3",
    "4",
];

/// Go's `time.Time.Format`.
pub(super) fn format(time: &ZonedDateTime, layout: &str) -> String {
    let mut out = String::new();
    let mut rest = layout;
    while let Some(c) = rest.chars().next() {
        // `_2006` is an underscore and a year.
        let word = WORDS.iter().find(|word| rest.starts_with(**word) && !(**word == "_2" && rest.starts_with("_2006")));
        if let Some(word) = word.filter(|word| !is_start_of_word(word, rest)) {
            value(&mut out, time, word);
            rest = &rest[word.len()..];
        } else if rest.starts_with('5') {
            let _ = write!(out, "{}", time.second());
            rest = &rest[1..];
        } else if let Some(length) = fraction(rest) {
            write_fraction(&mut out, time, &rest[..length]);
            rest = &rest[length..];
        } else {
            out.push(c);
            rest = &rest[c.len_utf8()..];
        }
    }
    out
}

/// Go takes `Jan` and `Mon` only where no lower-case letter follows (`Money` is no Monday).
fn is_start_of_word(word: &str, rest: &str) -> bool {
    matches!(word, "Jan" | "Mon") && rest[word.len()..].starts_with(|c: char| c.is_ascii_lowercase())
}

/// The length of `.000` or `,999`, if one begins here and no digit follows.
fn fraction(rest: &str) -> Option<usize> {
    let digits = rest.strip_prefix(['.', ','])?;
    let digit = digits.chars().next().filter(|c| matches!(c, '0' | '9'))?;
    let count = digits.chars().take_while(|c| *c == digit).count();
    (!digits[count..].starts_with(|c: char| c.is_ascii_digit())).then_some(count + 1)
}

fn write_fraction(out: &mut String, time: &ZonedDateTime, pattern: &str) {
    let digits = format!("{:09}", time.subsec_nanosecond());
    let mut digits = &digits[..(pattern.len() - 1).min(9)];
    if pattern.ends_with('9') {
        digits = digits.trim_end_matches('0');
        if digits.is_empty() {
            return;
        }
    }
    out.push_str(&pattern[..1]);
    out.push_str(digits);
}

fn value(out: &mut String, time: &ZonedDateTime, word: &str) {
    let month = MONTHS[usize::from(time.month() as u8 - 1)];
    let day = WEEKDAYS[usize::from(time.weekday().to_sunday_zero_offset() as u8)];
    let hour12 = match time.hour() % 12 {
        0 => 12,
        hour => hour,
    };
    let afternoon = time.hour() >= 12;
    let _ = match word {
        "January" => write!(out, "{month}"),
        "Jan" => write!(out, "{}", &month[..3]),
        "Monday" => write!(out, "{day}"),
        "Mon" => write!(out, "{}", &day[..3]),
        "MST" => write!(out, "{}", time.strftime("%Z")),
        "2006" => write!(out, "{:04}", time.year()),
        "06" => write!(out, "{:02}", time.year().rem_euclid(100)),
        "01" => write!(out, "{:02}", time.month()),
        "1" => write!(out, "{}", time.month()),
        "02" => write!(out, "{:02}", time.day()),
        "_2" => write!(out, "{:>2}", time.day()),
        "2" => write!(out, "{}", time.day()),
        "002" => write!(out, "{:03}", time.day_of_year()),
        "__2" => write!(out, "{:>3}", time.day_of_year()),
        "15" => write!(out, "{:02}", time.hour()),
        "03" => write!(out, "{hour12:02}"),
        "3" => write!(out, "{hour12}"),
        "04" => write!(out, "{:02}", time.minute()),
        "4" => write!(out, "{}", time.minute()),
        "05" => write!(out, "{:02}", time.second()),
        "PM" => write!(out, "{}", if afternoon { "PM" } else { "AM" }),
        "pm" => write!(out, "{}", if afternoon { "pm" } else { "am" }),
        zone => {
            write_zone(out, time.offset().seconds(), zone);
            Ok(())
        }
    };
}

fn write_zone(out: &mut String, offset: i32, form: &str) {
    if form.starts_with('Z') && offset == 0 {
        out.push('Z');
        return;
    }
    let (sign, offset) = if offset < 0 { ('-', -offset) } else { ('+', offset) };
    let (hours, minutes, seconds) = (offset / 3600, offset / 60 % 60, offset % 60);
    let _ = match &form[1..] {
        "07" => write!(out, "{sign}{hours:02}"),
        "07:00" => write!(out, "{sign}{hours:02}:{minutes:02}"),
        "07:00:00" => write!(out, "{sign}{hours:02}:{minutes:02}:{seconds:02}"),
        "070000" => write!(out, "{sign}{hours:02}{minutes:02}{seconds:02}"),
        _ => write!(out, "{sign}{hours:02}{minutes:02}"),
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(layout: &str, written: &str) {
        let time: ZonedDateTime = "2009-02-05T21:04:05.012345678+01:00[Europe/Berlin]".parse().unwrap();
        assert_eq!(format(&time, layout), written, "{layout}");
    }

    #[test]
    fn times_are_written_as_go_writes_them() {
        check("2006-01-02", "2009-02-05");
        check("Mon, 02 Jan 2006 15:04:05 MST", "Thu, 05 Feb 2009 21:04:05 CET");
        check("Monday January _2 3:04PM 06", "Thursday February  5 9:04PM 09");
        check("2006-01-02T15:04:05Z07:00", "2009-02-05T21:04:05+01:00");
        check("05.000 05.999999999 05,00", "05.012 05.012345678 05,01");
        check("1/2/06 3pm -0700 -07 002 __2", "2/5/09 9pm +0100 +01 036  36");
        check("Money 5 _2006 at .12", "Money 5 _2009 at .25");
        check("none", "none");
    }
}
