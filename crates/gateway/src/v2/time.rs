//! PURE. Points in time as v2 shows them.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Serialize, Serializer};

/// Milliseconds since 1970, UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Millis(pub i64);

impl Millis {
    /// From the system's clock, which the callers at the edge read.
    pub fn of(time: SystemTime) -> Millis {
        let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        Millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }

    /// Whole seconds from `now` to this, rounded away from zero as v2 does for what is to come.
    pub fn seconds_from(self, now: Millis) -> i64 {
        let millis = self.0 - now.0;
        if millis > 0 { (millis + 999) / 1000 } else { millis / 1000 }
    }

    /// How long it is from `now`; nothing if it is past.
    pub fn until(self, now: Millis) -> Duration {
        Duration::from_millis(u64::try_from(self.0 - now.0).unwrap_or(0))
    }
}

impl Serialize for Millis {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// RFC 3339, as short as Go writes it.
impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (days, in_day) = (self.0.div_euclid(86_400_000), self.0.rem_euclid(86_400_000));
        let (year, month, day) = civil(days);
        let (seconds, millis) = (in_day / 1000, in_day % 1000);
        let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}")?;
        if millis != 0 {
            let fraction = format!("{millis:03}");
            write!(f, ".{}", fraction.trim_end_matches('0'))?;
        }
        f.write_str("Z")
    }
}

/// Year, month and day of a day since 1970, in the Gregorian calendar: eras of 400 years that begin in March.
fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468; // From 0000-03-01.
    let (era, of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (era * 400 + year_of_era + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_written_as_by_go() {
        for (millis, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_827_696_789, "2000-02-29T12:34:56.789Z"),
            (1_795_392_783_200, "2026-11-23T00:13:03.2Z"),
            (4_102_444_799_010, "2099-12-31T23:59:59.01Z"),
        ] {
            assert_eq!(Millis(millis).to_string(), text);
        }
    }

    #[test]
    fn a_time_to_live_is_rounded_up_and_is_nothing_when_over() {
        assert_eq!(Millis(1001).seconds_from(Millis(0)), 2);
        assert_eq!(Millis(1000).seconds_from(Millis(0)), 1);
        assert_eq!(Millis(0).seconds_from(Millis(300)), 0);
        assert_eq!(Millis(0).until(Millis(300)), Duration::ZERO);
    }
}
