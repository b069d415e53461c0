//! A point in time with the methods of Go's `time.Time` that templates call.

use std::sync::Arc;

use flota_gotemplate::{FuncError, Function, Object, Signature, Type, Value};
use jiff::{Span, ZonedDateTime, tz::TimeZone};

use super::arguments::{int, utf8};
use super::layout::{MONTHS, WEEKDAYS, format};

/// A `time.Time`.
#[derive(Debug, Clone)]
pub(super) struct Moment(pub ZonedDateTime);

impl Moment {
    fn number(&self, name: &str) -> Option<i64> {
        let time = &self.0;
        Some(match name {
            "Year" => time.year().into(),
            "Day" => time.day().into(),
            "Hour" => time.hour().into(),
            "Minute" => time.minute().into(),
            "Second" => time.second().into(),
            "Nanosecond" => time.subsec_nanosecond().into(),
            "YearDay" => time.day_of_year().into(),
            "Unix" => time.timestamp().as_second(),
            "UnixMilli" => time.timestamp().as_millisecond(),
            "UnixMicro" => time.timestamp().as_microsecond(),
            "UnixNano" => i64::try_from(time.timestamp().as_nanosecond()).unwrap_or(i64::MAX),
            _ => return None,
        })
    }
}

impl Object for Moment {
    fn type_name(&self) -> &'static str {
        "time.Time"
    }

    fn method(&self, name: &str) -> Option<Function> {
        let none = Signature::new([]);
        let constant = |value: Value| Some(Function::new(Signature::new([]), move |_| Ok(value.clone())));
        if let Some(number) = self.number(name) {
            return constant(number.into());
        }
        let time = self.clone();
        match name {
            "Format" => {
                Some(Function::new(Signature::new([Type::Str]), move |args| Ok(format(&time.0, &utf8(args, 0)).into())))
            }
            "String" => constant(self.display()?.into()),
            "Month" => {
                constant(Value::Object(Arc::new(Name("time.Month", MONTHS[usize::from(self.0.month() as u8 - 1)]))))
            }
            "Weekday" => {
                let day = self.0.weekday().to_sunday_zero_offset();
                constant(Value::Object(Arc::new(Name("time.Weekday", WEEKDAYS[usize::from(day as u8)]))))
            }
            "UTC" => constant(moment(self.0.with_time_zone(TimeZone::UTC))),
            "Local" => constant(moment(self.0.with_time_zone(TimeZone::system()))),
            "AddDate" => Some(Function::new(Signature::new([Type::Int, Type::Int, Type::Int]), move |args| {
                later(&time, int(args, 0), int(args, 1), int(args, 2))
            })),
            "IsZero" => Some(Function::new(none, |_| Ok(false.into()))),
            _ => None,
        }
    }

    fn display(&self) -> Option<String> {
        Some(format(&self.0, "2006-01-02 15:04:05.999999999 -0700 MST"))
    }
}

fn moment(time: ZonedDateTime) -> Value {
    Value::Object(Arc::new(Moment(time)))
}

fn later(time: &Moment, years: i64, months: i64, days: i64) -> Result<Value, FuncError> {
    let out = || FuncError::new("the date is out of range");
    let span = Span::new().try_years(years).and_then(|span| span.try_months(months));
    let span = span.and_then(|span| span.try_days(days)).map_err(|_| out())?;
    Ok(moment(time.0.checked_add(span).map_err(|_| out())?))
}

/// A number that prints as a name.
#[derive(Debug)]
struct Name(&'static str, &'static str);

impl Object for Name {
    fn type_name(&self) -> &str {
        self.0
    }

    fn display(&self) -> Option<String> {
        Some(self.1.to_owned())
    }
}
