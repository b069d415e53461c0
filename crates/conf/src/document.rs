//! A TOML file read key by key, so that whatever nobody asked for is an error with its place and the nearest name.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::de::{DeTable, DeValue};

/// The largest file that is read, in bytes.
pub const MAX_FILE_BYTES: usize = 1 << 20;

/// What is wrong in a file, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}:{line}:{column}: {message}", path.display())]
pub struct FileError {
    /// The file.
    pub path: PathBuf,
    /// From 1; 0 where no line is to blame.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// What is wrong.
    pub message: String,
}

/// The text of a file, for messages.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Source<'a> {
    pub path: &'a Path,
    pub text: &'a str,
}

impl Source<'_> {
    pub fn error(&self, at: &Range<usize>, message: impl Into<String>) -> FileError {
        let before = self.text.get(..at.start).unwrap_or(self.text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        FileError {
            path: self.path.to_owned(),
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
            message: message.into(),
        }
    }
}

/// Parses a file's text.
pub(crate) fn parse(source: Source<'_>) -> Result<DeTable<'_>, FileError> {
    if source.text.len() > MAX_FILE_BYTES {
        return Err(source.error(&(0..0), format!("more than {MAX_FILE_BYTES} bytes")));
    }
    match DeTable::parse(source.text) {
        Ok(table) => Ok(table.into_inner()),
        Err(error) => {
            Err(source.error(&error.span().unwrap_or(0..0), error.message().lines().collect::<Vec<_>>().join(", ")))
        }
    }
}

/// A value with its place in the file.
pub(crate) struct Located<T> {
    pub value: T,
    pub at: Range<usize>,
}

/// A table whose keys are taken one by one. Case does not count in names, and `-` is as good as `_`, as in confd.
pub(crate) struct Table<'a> {
    pub source: Source<'a>,
    /// What the table is called in messages, such as `[template]`.
    name: String,
    entries: BTreeMap<String, (Range<usize>, Range<usize>, &'a DeValue<'a>)>,
    asked: Vec<&'static str>,
}

impl<'a> Table<'a> {
    pub fn new(source: Source<'a>, name: impl Into<String>, table: &'a DeTable<'a>) -> Result<Table<'a>, FileError> {
        let mut entries = BTreeMap::new();
        for (key, value) in table {
            let name = key.get_ref().to_lowercase().replace('-', "_");
            if entries.insert(name, (key.span(), value.span(), value.get_ref())).is_some() {
                return Err(source.error(&key.span(), format!("`{}` is given twice", key.get_ref())));
            }
        }
        Ok(Table { source, name: name.into(), entries, asked: Vec::new() })
    }

    fn take(&mut self, name: &'static str) -> Option<Located<&'a DeValue<'a>>> {
        self.asked.push(name);
        self.entries.remove(name).map(|(_, at, value)| Located { value, at })
    }

    fn wrong(&self, name: &str, wanted: &str, found: &Located<&DeValue<'_>>) -> FileError {
        self.source.error(&found.at, format!("`{name}` is {wanted}, not {}", kind(found.value)))
    }

    pub fn string(&mut self, name: &'static str) -> Result<Option<Located<String>>, FileError> {
        let Some(found) = self.take(name) else { return Ok(None) };
        match found.value {
            DeValue::String(text) => Ok(Some(Located { value: text.clone().into_owned(), at: found.at })),
            _ => Err(self.wrong(name, "a text", &found)),
        }
    }

    /// A text that must not be empty.
    pub fn needed(&mut self, name: &'static str) -> Result<Located<String>, FileError> {
        match self.string(name)? {
            Some(text) if !text.value.is_empty() => Ok(text),
            Some(text) => Err(self.source.error(&text.at, format!("`{name}` is empty"))),
            None => Err(self.source.error(&(0..0), format!("{} has no `{name}`", self.name))),
        }
    }

    /// Whether a key is there, whatever its value.
    pub fn given(&mut self, name: &'static str) -> bool {
        self.take(name).is_some()
    }

    pub fn boolean(&mut self, name: &'static str) -> Result<Option<bool>, FileError> {
        let Some(found) = self.take(name) else { return Ok(None) };
        match found.value {
            DeValue::Boolean(value) => Ok(Some(*value)),
            _ => Err(self.wrong(name, "true or false", &found)),
        }
    }

    pub fn integer(&mut self, name: &'static str) -> Result<Option<Located<i64>>, FileError> {
        let Some(found) = self.take(name) else { return Ok(None) };
        let number = match found.value {
            DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix()).ok(),
            _ => None,
        };
        match number {
            Some(value) => Ok(Some(Located { value, at: found.at })),
            None => Err(self.wrong(name, "a whole number", &found)),
        }
    }

    /// A list of texts; one text alone counts as a list of one.
    pub fn strings(&mut self, name: &'static str) -> Result<Option<Vec<String>>, FileError> {
        let Some(found) = self.take(name) else { return Ok(None) };
        let list = match found.value {
            DeValue::String(text) => Some(vec![text.clone().into_owned()]),
            DeValue::Array(items) => {
                let texts = items.iter().map(|item| match item.get_ref() {
                    DeValue::String(text) => Some(text.clone().into_owned()),
                    _ => None,
                });
                texts.collect()
            }
            _ => None,
        };
        list.map(Some).ok_or_else(|| self.wrong(name, "a list of texts", &found))
    }

    /// Seconds as a number, or a text such as `500ms`, `30s`, `2m`.
    pub fn duration(&mut self, name: &'static str) -> Result<Option<Duration>, FileError> {
        let Some(found) = self.take(name) else { return Ok(None) };
        let duration = match found.value {
            DeValue::String(text) => parse_duration(text),
            DeValue::Integer(number) => number.as_str().parse().ok().map(Duration::from_secs),
            _ => None,
        };
        duration.map(Some).ok_or_else(|| self.wrong(name, "a time such as 30s or 500ms", &found))
    }

    /// Everything that was not taken is unknown.
    pub fn finish(self) -> Result<(), FileError> {
        let Some((name, (at, _, _))) = self.entries.first_key_value() else { return Ok(()) };
        let mut message = format!("{} knows no `{name}`", self.name);
        if let Some(near) = nearest(name, self.asked.iter().copied()) {
            let _ = write!(message, ", did you mean `{near}`?");
        }
        Err(self.source.error(at, message))
    }
}

/// The known name that is most like this one, if one is at all.
pub(crate) fn nearest<'n>(name: &str, known: impl Iterator<Item = &'n str>) -> Option<&'n str> {
    known
        .map(|candidate| (strsim::damerau_levenshtein(name, candidate), candidate))
        .filter(|(distance, candidate)| *distance <= 2.max(candidate.len() / 3))
        .min()
        .map(|(_, candidate)| candidate)
}

/// `500ms`, `30s`, `2m`, `1h`; a number alone counts seconds.
pub(crate) fn parse_duration(text: &str) -> Option<Duration> {
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let number: u64 = text[..split].parse().ok()?;
    match text[split..].trim() {
        "ms" => Some(Duration::from_millis(number)),
        "" | "s" => Some(Duration::from_secs(number)),
        "m" => number.checked_mul(60).map(Duration::from_secs),
        "h" => number.checked_mul(3600).map(Duration::from_secs),
        _ => None,
    }
}

fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "a number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "a truth value",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_as_people_write_them() {
        assert_eq!(parse_duration("500ms"), Some(Duration::from_millis(500)));
        assert_eq!(parse_duration("30"), Some(Duration::from_secs(30)));
        assert_eq!(parse_duration("2m"), Some(Duration::from_secs(120)));
        assert_eq!(parse_duration("soon"), None);
        assert_eq!(parse_duration("1d"), None);
    }

    #[test]
    fn an_unknown_key_is_an_error_with_its_place_and_the_nearest_name() {
        let source = Source { path: Path::new("a.toml"), text: "known = 1\nreload_comand = \"x\"\n" };
        let parsed = parse(source).unwrap();
        let mut table = Table::new(source, "[template]", &parsed).unwrap();
        table.integer("known").unwrap();
        table.string("reload_cmd").unwrap();
        let error = table.finish().unwrap_err().to_string();
        assert_eq!(error, "a.toml:2:1: [template] knows no `reload_comand`, did you mean `reload_cmd`?");
    }
}
