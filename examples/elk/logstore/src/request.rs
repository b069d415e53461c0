//! The body and the parameters of a search, read into what the index is asked.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::error::Error;

/// The most documents that one search returns; Elasticsearch's own bound, too.
pub const MAX_HITS: usize = 10_000;

/// How many documents a search returns that does not say.
const USUAL_HITS: usize = 10;

/// In which order documents are returned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sort {
    Score,
    Newest,
    Oldest,
}

/// A search.
#[derive(Debug, Clone, PartialEq)]
pub struct SearchRequest {
    pub(crate) query: Value,
    /// Only documents of this index.
    pub(crate) index: Option<String>,
    pub(crate) size: usize,
    pub(crate) from: usize,
    pub(crate) sort: Sort,
    pub(crate) aggregations: Option<Value>,
}

/// The parameters of the address, of those that are known.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Parameters {
    pub(crate) q: Option<String>,
    pub(crate) size: Option<usize>,
    pub(crate) from: Option<usize>,
    pub(crate) sort: Option<String>,
}

/// What is read of the body. What would change the answer and is not known is refused.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    query: Option<Value>,
    size: Option<usize>,
    from: Option<usize>,
    sort: Option<Value>,
    aggs: Option<Value>,
    aggregations: Option<Value>,
    #[serde(rename = "track_total_hits")]
    _track_total_hits: Option<Value>,
}

impl SearchRequest {
    /// All documents that a query finds, of which none is returned.
    pub fn count(query: Value) -> Self {
        Self { query, index: None, size: 0, from: 0, sort: Sort::Score, aggregations: None }
    }

    /// Reads the index of the path, the body and the parameters, which go before the body.
    pub(crate) fn read(index: Option<String>, body: &[u8], parameters: Parameters) -> Result<Self, Error> {
        let body: Body = if body.trim_ascii().is_empty() {
            Body::default()
        } else {
            serde_json::from_slice(body).map_err(|error| Error::request("body", error.to_string()))?
        };
        let query = match parameters.q {
            Some(words) => json!({"query_string": {"query": words}}),
            None => body.query.unwrap_or_else(|| json!({"match_all": {}})),
        };
        let size = parameters.size.or(body.size).unwrap_or(USUAL_HITS);
        let from = parameters.from.or(body.from).unwrap_or(0);
        if size.saturating_add(from) > MAX_HITS {
            return Err(Error::request("size and from", format!("more than {MAX_HITS} together")));
        }
        let sort = match (parameters.sort, body.sort) {
            (Some(text), _) => sort_by(&Value::String(text))?,
            (None, Some(value)) => sort_by(&value)?,
            (None, None) => Sort::Score,
        };
        let index = index.filter(|name| name != "_all" && name != "*");
        if index.as_ref().is_some_and(|name| name.contains(['*', ','])) {
            return Err(Error::request("index", "only one name, or `_all`, is known here"));
        }
        Ok(Self { query, index, size, from, sort, aggregations: body.aggs.or(body.aggregations) })
    }
}

/// `"@timestamp:desc"`, `[{"@timestamp": "asc"}]`, `{"@timestamp": {"order": "desc"}}`, `"_score"`.
fn sort_by(value: &Value) -> Result<Sort, Error> {
    let (field, order) = match value {
        Value::Array(list) if list.len() == 1 => return sort_by(&list[0]),
        Value::String(text) => text.split_once(':').unwrap_or((text, "asc")),
        Value::Object(one) if one.len() == 1 => {
            let (field, how) = one.iter().next().unwrap_or_else(|| unreachable!("it has one"));
            (field.as_str(), how.as_str().or_else(|| how["order"].as_str()).unwrap_or("asc"))
        }
        _ => return Err(Error::request("sort", "must name one field")),
    };
    match (field, order) {
        ("_score", _) => Ok(Sort::Score),
        ("@timestamp", "desc") => Ok(Sort::Newest),
        ("@timestamp", "asc") => Ok(Sort::Oldest),
        _ => Err(Error::request("sort", format!("by `{field}` `{order}`: only @timestamp and _score are known here"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str) -> Result<SearchRequest, Error> {
        SearchRequest::read(None, body.as_bytes(), Parameters::default())
    }

    #[test]
    fn nothing_said_is_everything_ten_at_a_time() {
        let request = read("").unwrap();
        assert_eq!((request.size, request.from, request.sort), (10, 0, Sort::Score));
        assert_eq!(request.query, json!({"match_all": {}}));
    }

    #[test]
    fn all_forms_of_sort_are_read() {
        for text in [r#""@timestamp:desc""#, r#"[{"@timestamp":"desc"}]"#, r#"{"@timestamp":{"order":"desc"}}"#] {
            assert_eq!(sort_by(&serde_json::from_str(text).unwrap()).unwrap(), Sort::Newest, "{text}");
        }
        assert_eq!(sort_by(&json!("@timestamp")).unwrap(), Sort::Oldest);
        for bad in [json!("status:desc"), json!({}), json!(["_score", "@timestamp"]), json!("@timestamp:up")] {
            assert!(sort_by(&bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_not_known_or_too_much_is_refused() {
        for bad in [r#"{"size": 10001}"#, r#"{"size": 9999, "from": 2}"#, r#"{"highlight": {}}"#, "[]", "{"] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
