//! TOML as values that know their place.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{Finding, MAX_TEXT_BYTES, Node, Place, Value};

/// Reads a whole text; the first error of its syntax ends it.
pub fn parse(text: &str) -> Result<Node, Finding> {
    if text.len() > MAX_TEXT_BYTES {
        return Err(Finding::new(Place { line: 1, column: 1 }, format!("more than {MAX_TEXT_BYTES} bytes")));
    }
    match DeTable::parse(text) {
        Ok(table) => Ok(Node { at: place(text, &(0..0)), value: map(text, table.get_ref()) }),
        Err(error) => {
            let message = error.message().lines().collect::<Vec<_>>().join(", ");
            Err(Finding::new(place(text, &error.span().unwrap_or(0..0)), message))
        }
    }
}

fn map(text: &str, table: &DeTable<'_>) -> Value {
    let entry = |(key, value): (&Spanned<_>, &Spanned<DeValue<'_>>)| {
        let name: &std::borrow::Cow<'_, str> = key.get_ref();
        (name.clone().into_owned(), place(text, &key.span()), node(text, value))
    };
    let mut entries: Vec<_> = table.iter().map(entry).collect();
    entries.sort_by_key(|(_, at, _)| *at);
    Value::Map(entries)
}

fn node(text: &str, value: &Spanned<DeValue<'_>>) -> Node {
    let plain = |text: String| Value::Scalar { text, quoted: false };
    let read = match value.get_ref() {
        DeValue::String(string) => Value::Scalar { text: string.clone().into_owned(), quoted: true },
        DeValue::Integer(number) => {
            let read = i64::from_str_radix(number.as_str(), number.radix());
            plain(read.map_or_else(|_| number.as_str().to_owned(), |number| number.to_string()))
        }
        DeValue::Float(number) => plain(number.as_str().to_owned()),
        DeValue::Boolean(value) => plain(value.to_string()),
        DeValue::Datetime(date) => plain(date.to_string()),
        DeValue::Array(items) => Value::List(items.iter().map(|item| node(text, item)).collect()),
        DeValue::Table(table) => map(text, table),
    };
    Node { at: place(text, &value.span()), value: read }
}

fn place(text: &str, at: &Range<usize>) -> Place {
    let before = text.get(..at.start).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    Place { line: before.matches('\n').count() + 1, column: before[line_start..].chars().count() + 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_syntax_error_has_its_place() {
        let error = parse("a = 1\nb = [1,\n").unwrap_err();
        assert!(error.at.line >= 2, "{error}");
        assert_eq!(parse("ä = 1\n = 2").unwrap_err().at.line, 1, "an `ä` needs quotes in TOML");
    }
}
