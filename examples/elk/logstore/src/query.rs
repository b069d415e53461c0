//! Elasticsearch's query language, as much of it as is known here, as queries of the index.

use std::ops::Bound;

use jiff::Timestamp;
use serde_json::{Map, Value};
use tantivy::query::{AllQuery, BooleanQuery, EmptyQuery, Occur, Query, QueryParser, RangeQuery, TermQuery};
use tantivy::schema::{Field, IndexRecordOption};
use tantivy::{DateTime, Term};

use crate::error::Error;

/// The name of the field with a document's time.
pub(crate) const TIMESTAMP: &str = "@timestamp";

/// The longest query string, in bytes.
pub(crate) const MAX_QUERY_STRING: usize = 4096;

/// How deep `bool` may stand within `bool`.
const MAX_DEPTH: usize = 8;

/// The most clauses of one `bool`.
const MAX_CLAUSES: usize = 256;

/// Which fields a query is about.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fields {
    /// The document's time.
    pub(crate) timestamp: Field,
    /// The whole document, by path.
    pub(crate) document: Field,
    /// All words of the document.
    pub(crate) words: Field,
}

/// Turns queries in JSON into queries of the index.
pub(crate) struct Translator<'a> {
    pub(crate) fields: Fields,
    pub(crate) parser: &'a QueryParser,
}

impl Translator<'_> {
    /// The query of the index that means the same.
    pub(crate) fn query(&self, query: &Value) -> Result<Box<dyn Query>, Error> {
        self.at_depth(query, 0)
    }

    fn at_depth(&self, query: &Value, depth: usize) -> Result<Box<dyn Query>, Error> {
        if depth > MAX_DEPTH {
            return Err(Error::request("query", format!("deeper than {MAX_DEPTH}")));
        }
        let (name, about) = only_entry("query", query)?;
        match name {
            "match_all" => Ok(Box::new(AllQuery)),
            "match_none" => Ok(Box::new(EmptyQuery)),
            "query_string" | "simple_query_string" => {
                self.query_string(about["query"].as_str().ok_or_else(|| Error::request(name, "has no query"))?)
            }
            "term" | "match" | "match_phrase" => self.term(name, about),
            "range" => self.range(about),
            "bool" => self.boolean(about, depth),
            other => Err(Error::request("query", format!("`{other}` is not known here"))),
        }
    }

    fn query_string(&self, text: &str) -> Result<Box<dyn Query>, Error> {
        if text.len() > MAX_QUERY_STRING {
            return Err(Error::request("query string", format!("longer than {MAX_QUERY_STRING} bytes")));
        }
        if text.trim().is_empty() {
            return Ok(Box::new(AllQuery));
        }
        self.parser.parse_query(text).map_err(|error| Error::request("query string", error.to_string()))
    }

    /// `{"status": 200}` or `{"status": {"value": 200}}`; for `match` the inner name is `query`.
    fn term(&self, name: &str, about: &Value) -> Result<Box<dyn Query>, Error> {
        let (field, value) = only_entry(name, about)?;
        let inner = ["value", "query"].into_iter().find_map(|key| value.get(key));
        let value = inner.unwrap_or(value);
        let start = || Term::from_field_json_path(self.fields.document, plain(field), true);
        let mut term = start();
        let mut others = Vec::new();
        match value {
            Value::String(text) => term.append_type_and_str(text),
            Value::Bool(bool) => term.append_type_and_fast_value(*bool),
            Value::Number(number) => match number.as_i64() {
                Some(number) => {
                    term.append_type_and_fast_value(number);
                    let mut text = start();
                    text.append_type_and_str(&number.to_string());
                    others.push(text);
                }
                None => term.append_type_and_fast_value(number.as_f64().unwrap_or(f64::NAN)),
            },
            _ => return Err(Error::request(name, format!("the value of `{field}` must be text, a number or a bool"))),
        }
        let one = |term| -> Box<dyn Query> { Box::new(TermQuery::new(term, IndexRecordOption::Basic)) };
        let all: Vec<Box<dyn Query>> = std::iter::once(term).chain(others).map(one).collect();
        Ok(Box::new(BooleanQuery::union(all)))
    }

    /// `{"@timestamp": {"gte": ..., "lt": ...}}`, times as text (RFC 3339) or in milliseconds; other fields by whole numbers.
    fn range(&self, about: &Value) -> Result<Box<dyn Query>, Error> {
        let (field, bounds) = only_entry("range", about)?;
        let (mut lower, mut upper) = (Bound::Unbounded, Bound::Unbounded);
        let bounds = bounds.as_object().ok_or_else(|| Error::request("range", "has no bounds"))?;
        for (name, value) in bounds {
            let term = || self.bound(field, value);
            match name.as_str() {
                "gte" => lower = Bound::Included(term()?),
                "gt" => lower = Bound::Excluded(term()?),
                "lte" => upper = Bound::Included(term()?),
                "lt" => upper = Bound::Excluded(term()?),
                "format" | "time_zone" | "boost" => {}
                other => return Err(Error::request("range", format!("`{other}` is not known here"))),
            }
        }
        if matches!((&lower, &upper), (Bound::Unbounded, Bound::Unbounded)) {
            return Ok(Box::new(AllQuery));
        }
        Ok(Box::new(RangeQuery::new(lower, upper)))
    }

    fn bound(&self, field: &str, value: &Value) -> Result<Term, Error> {
        if field == TIMESTAMP {
            return Ok(Term::from_field_date(self.fields.timestamp, instant(value)?));
        }
        let number = value.as_i64().ok_or_else(|| Error::request("range", format!("{value} is no whole number")))?;
        let mut term = Term::from_field_json_path(self.fields.document, plain(field), true);
        term.append_type_and_fast_value(number);
        Ok(term)
    }

    fn boolean(&self, about: &Value, depth: usize) -> Result<Box<dyn Query>, Error> {
        let about = about.as_object().ok_or_else(|| Error::request("bool", "is no object"))?;
        let mut clauses: Vec<(Occur, Box<dyn Query>)> = Vec::new();
        for (name, queries) in about {
            let occur = match name.as_str() {
                "must" | "filter" => Occur::Must,
                "should" => Occur::Should,
                "must_not" => Occur::MustNot,
                other => return Err(Error::request("bool", format!("`{other}` is not known here"))),
            };
            let queries = queries.as_array().map_or(std::slice::from_ref(queries), Vec::as_slice);
            if clauses.len() + queries.len() > MAX_CLAUSES {
                return Err(Error::request("bool", format!("more than {MAX_CLAUSES} clauses")));
            }
            for query in queries {
                clauses.push((occur, self.at_depth(query, depth + 1)?));
            }
        }
        // What must not be is taken from something.
        if clauses.iter().all(|(occur, _)| *occur == Occur::MustNot) {
            clauses.push((Occur::Must, Box::new(AllQuery)));
        }
        Ok(Box::new(BooleanQuery::new(clauses)))
    }
}

/// The time that a document or a query tells: RFC 3339, or milliseconds since 1970.
pub(crate) fn instant(value: &Value) -> Result<DateTime, Error> {
    let broken = |why: String| Error::request("time", why);
    let milliseconds = match value {
        Value::String(text) => match text.parse::<Timestamp>() {
            Ok(time) => time.as_millisecond(),
            Err(error) => text.parse().map_err(|_| broken(error.to_string()))?,
        },
        Value::Number(number) => number.as_i64().ok_or_else(|| broken(format!("{number} is no whole number")))?,
        other => return Err(broken(format!("{other} is no time"))),
    };
    // Further away, the index could not count its nanoseconds.
    Timestamp::from_millisecond(milliseconds)
        .ok()
        .and_then(|time| i64::try_from(time.as_nanosecond()).ok())
        .map(DateTime::from_timestamp_nanos)
        .ok_or_else(|| broken(format!("{milliseconds} ms is out of range")))
}

/// Kibana's name for the exact words of a field: here all fields are like that.
fn plain(field: &str) -> &str {
    field.strip_suffix(".keyword").unwrap_or(field)
}

fn only_entry<'a>(what: &str, value: &'a Value) -> Result<(&'a str, &'a Value), Error> {
    let entries = value.as_object().filter(|entries| entries.len() == 1);
    let entry = entries.and_then(|entries: &Map<String, Value>| entries.iter().next());
    entry
        .map(|(name, value)| (name.as_str(), value))
        .ok_or_else(|| Error::request(what, "must be an object of one entry"))
}
