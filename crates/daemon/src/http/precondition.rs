//! ETags of units, and the conditions on them that a change may carry (RFC 9110, section 13).

use std::fmt;

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use flota_registry::{DesiredUnit, Entry};

use super::error::ApiError;

/// Names what users made of a unit: its content and desired state, but not what became of it. Strong: of two
/// equal tags both are the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ETag(String);

impl ETag {
    /// The tag of a unit that revision `mod_revision` left like this.
    pub fn new(mod_revision: i64, unit: &DesiredUnit) -> ETag {
        ETag(format!("\"{mod_revision}-{}\"", unit.hash))
    }

    pub fn of(entry: &Entry<DesiredUnit>) -> ETag {
        ETag::new(entry.mod_revision, &entry.value)
    }

    /// As a header's value.
    pub fn header(&self) -> HeaderValue {
        // Digits, a dash and quotes: always a header's value.
        HeaderValue::from_str(&self.0).unwrap_or(HeaderValue::from_static("\"\""))
    }
}

impl fmt::Display for ETag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Which tags a condition names.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Tags {
    /// `*`: any.
    Any,
    /// As they were sent, with quotes and `W/`.
    These(Vec<String>),
}

/// What must hold of a unit for it to be changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Preconditions {
    if_match: Option<Tags>,
    if_none_match: Option<Tags>,
}

impl Preconditions {
    pub fn of(headers: &HeaderMap) -> Result<Preconditions, ApiError> {
        let (if_match, if_none_match) = (tags(headers, &header::IF_MATCH)?, tags(headers, &header::IF_NONE_MATCH)?);
        Ok(Preconditions { if_match, if_none_match })
    }

    /// Refuses with 412, saying what the unit is instead.
    pub fn check(&self, name: &str, current: Option<&Entry<DesiredUnit>>) -> Result<(), ApiError> {
        let tag = current.map(ETag::of);
        let failed = |what: &str| {
            let message = match current {
                None => format!("{what}: unit \"{name}\" does not exist, or cannot be read"),
                Some(entry) => format!(
                    "{what}: unit \"{name}\" was last changed by revision {}, to desired state {} with content {}; read it again",
                    entry.mod_revision,
                    entry.value.desired.as_str(),
                    entry.value.hash
                ),
            };
            Err(ApiError::precondition_failed(message, tag.clone()))
        };
        // A weak tag is never strongly the same, and ours are all strong.
        let names = |tags: &Tags, prefix: &str| match (tags, &tag) {
            (_, None) => false,
            (Tags::Any, Some(_)) => true,
            (Tags::These(tags), Some(tag)) => tags.iter().any(|it| it.strip_prefix(prefix).unwrap_or(it) == tag.0),
        };
        if self.if_match.as_ref().is_some_and(|tags| !names(tags, "")) {
            return failed("If-Match does not hold");
        }
        if self.if_none_match.as_ref().is_some_and(|tags| names(tags, "W/")) {
            return failed("If-None-Match does not hold");
        }
        Ok(())
    }
}

fn tags(headers: &HeaderMap, name: &HeaderName) -> Result<Option<Tags>, ApiError> {
    let mut found = Vec::new();
    let mut given = false;
    for value in headers.get_all(name) {
        given = true;
        let malformed = || ApiError::bad_request(format!("header {name} is neither * nor a list of quoted tags"));
        let text = value.to_str().map_err(|_| malformed())?.trim();
        if text == "*" {
            return Ok(Some(Tags::Any));
        }
        found.extend(split(text).ok_or_else(malformed)?);
    }
    Ok(given.then_some(Tags::These(found)))
}

/// Splits `"a", W/"b"`; none when it is not like that. A comma inside quotes is part of its tag.
fn split(mut text: &str) -> Option<Vec<String>> {
    let mut tags = Vec::new();
    loop {
        let opaque = text.strip_prefix("W/").unwrap_or(text).strip_prefix('"')?;
        let end = text.len() - opaque.len() + opaque.find('"')? + 1;
        tags.push(text[..end].to_owned());
        text = text[end..].trim_start();
        if text.is_empty() {
            return Some(tags);
        }
        text = text.strip_prefix(',')?.trim_start();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_tags() {
        let list = |text: &str| split(text);
        let owned = |tags: &[&str]| Some(tags.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>());
        assert_eq!(list("\"1-a\""), owned(&["\"1-a\""]));
        assert_eq!(list("\"1-a\" , W/\"2,b\",\"\""), owned(&["\"1-a\"", "W/\"2,b\"", "\"\""]));
        for malformed in ["", "1-a", "\"1-a", "\"1-a\" \"2\"", "\"1\",", "w/\"1\""] {
            assert_eq!(list(malformed), None, "{malformed}");
        }
    }
}
