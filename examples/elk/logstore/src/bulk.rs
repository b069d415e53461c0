//! The body of the bulk API: lines of JSON, an action and then its document.

use serde_json::{Map, Value};

use crate::error::Error;

/// The most documents in one request.
pub(crate) const MAX_ITEMS: usize = 20_000;

/// The index of a document that names none.
const NO_INDEX: &str = "logs";

/// One document to be added.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Item {
    /// `index` or `create`, as the answer has to repeat it.
    pub(crate) action: &'static str,
    /// The index that it goes to.
    pub(crate) index: String,
    /// The document, or why it is none.
    pub(crate) document: Result<Map<String, Value>, String>,
}

/// Reads all items. A document that is no JSON object spoils its own item only; an action that is not known spoils the
/// request, for nobody can tell where the next one begins.
pub(crate) fn parse(body: &[u8], index_of_path: Option<&str>) -> Result<Vec<Item>, Error> {
    let mut lines = body.split(|&byte| byte == b'\n').filter(|line| !line.trim_ascii().is_empty());
    let mut items = Vec::new();
    while let Some(line) = lines.next() {
        if items.len() == MAX_ITEMS {
            return Err(Error::request("bulk request", format!("more than {MAX_ITEMS} documents")));
        }
        let (action, meta) = action(line)?;
        let index = meta.get("_index").and_then(Value::as_str).or(index_of_path).unwrap_or(NO_INDEX).to_owned();
        let line = lines.next().ok_or_else(|| Error::request("bulk request", "ends after an action"))?;
        let document = serde_json::from_slice(line).map_err(|error| error.to_string());
        items.push(Item { action, index, document });
    }
    Ok(items)
}

fn action(line: &[u8]) -> Result<(&'static str, Map<String, Value>), Error> {
    let broken = |why: String| Error::request("action of a bulk request", why);
    let mut line: Map<String, Value> = serde_json::from_slice(line).map_err(|error| broken(error.to_string()))?;
    for name in ["index", "create"] {
        match line.remove(name) {
            Some(Value::Object(meta)) if line.is_empty() => return Ok((name, meta)),
            Some(_) => return Err(broken(format!("`{name}` is no object alone on its line"))),
            None => {}
        }
    }
    let names: Vec<&str> = line.keys().map(String::as_str).collect();
    Err(broken(format!("`{}` is not known here: only index and create are", names.join(", "))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_follow_their_actions() {
        let body = b"{\"index\":{\"_index\":\"a\"}}\n{\"x\":1}\n{\"create\":{}}\n{\"x\":2}\n";
        let items = parse(body, Some("p")).unwrap();
        let short: Vec<_> = items.iter().map(|item| (item.action, item.index.as_str())).collect();
        assert_eq!(short, [("index", "a"), ("create", "p")]);
        assert_eq!(items[1].document.as_ref().unwrap()["x"], 2);
    }

    #[test]
    fn a_broken_document_spoils_only_itself() {
        let items = parse(b"{\"index\":{}}\n{broken\n{\"index\":{}}\n{}\n", None).unwrap();
        assert!(items[0].document.is_err() && items[1].document.is_ok());
        assert_eq!(items[0].index, NO_INDEX);
    }

    #[test]
    fn what_cannot_be_followed_is_refused() {
        for body in [&b"{\"delete\":{\"_id\":\"1\"}}\n"[..], b"{\"index\":{}}\n", b"[]\n{}\n", b"{\"index\":1}\n{}\n"] {
            assert!(parse(body, None).is_err(), "{}", String::from_utf8_lossy(body));
        }
        let many = b"{\"index\":{}}\n{}\n".repeat(MAX_ITEMS + 1);
        assert!(parse(&many, None).unwrap_err().to_string().contains("more than"));
    }
}
