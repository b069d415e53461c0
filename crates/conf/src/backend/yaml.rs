//! YAML and JSON as keys: maps and lists are directories, with the places of a list as names.

use std::collections::BTreeMap;

use flota_gotemplate::Str;
use saphyr_parser::{Event, Parser, ScalarStyle};

/// How deep a document may be nested.
const MAX_DEPTH: usize = 64;
/// Most keys of one file, those that aliases repeat included.
const MAX_KEYS: usize = 1_000_000;

/// What is wrong in a document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {message}")]
pub struct YamlError {
    /// From 1.
    pub line: usize,
    /// From 1.
    pub column: usize,
    /// What.
    pub message: String,
}

#[derive(Debug, Clone)]
enum Node {
    Scalar(Option<String>),
    List(Vec<Node>),
    Map(Vec<(String, Node)>),
}

/// All keys of a text, which may hold several documents; of keys that are in several the last one counts.
pub fn flatten(text: &str) -> Result<BTreeMap<String, Str>, YamlError> {
    let mut keys = BTreeMap::new();
    for document in documents(text)? {
        flat(&document, String::new(), &mut keys).map_err(|message| YamlError { line: 1, column: 1, message })?;
    }
    Ok(keys)
}

/// What is open while a document is read.
struct Open {
    anchor: usize,
    node: Node,
    /// The key that waits for its value.
    key: Option<String>,
}

fn documents(text: &str) -> Result<Vec<Node>, YamlError> {
    let mut documents = Vec::new();
    let mut open: Vec<Open> = Vec::new();
    let mut anchors: BTreeMap<usize, Node> = BTreeMap::new();
    let mut size = 0;
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| {
            let at = error.marker();
            YamlError { line: at.line(), column: at.col() + 1, message: error.info().to_owned() }
        })?;
        let wrong = |message: &str| YamlError {
            line: span.start.line(),
            column: span.start.col() + 1,
            message: message.to_owned(),
        };
        let done = match event {
            Event::MappingStart(anchor, _) | Event::SequenceStart(anchor, _) if open.len() >= MAX_DEPTH => {
                let _ = anchor;
                return Err(wrong("nested too deep"));
            }
            Event::MappingStart(anchor, _) => {
                open.push(Open { anchor, node: Node::Map(Vec::new()), key: None });
                None
            }
            Event::SequenceStart(anchor, _) => {
                open.push(Open { anchor, node: Node::List(Vec::new()), key: None });
                None
            }
            Event::MappingEnd | Event::SequenceEnd => open.pop().map(|ended| (ended.anchor, ended.node)),
            Event::Scalar(value, style, anchor, tag) => {
                let text = tag.is_some_and(|tag| tag.suffix == "str") || style != ScalarStyle::Plain;
                Some((anchor, Node::Scalar(scalar(&value, text))))
            }
            Event::Alias(anchor) => {
                let known = anchors.get(&anchor).cloned();
                Some((0, known.ok_or_else(|| wrong("an alias of what is not complete"))?))
            }
            _ => None,
        };
        let Some((anchor, node)) = done else { continue };
        size += count(&node);
        if size > MAX_KEYS {
            return Err(wrong("too many keys"));
        }
        if anchor > 0 {
            anchors.insert(anchor, node.clone());
        }
        match open.last_mut() {
            None => documents.push(node),
            Some(parent) => put(parent, node).map_err(wrong)?,
        }
    }
    Ok(documents)
}

fn put(parent: &mut Open, node: Node) -> Result<(), &'static str> {
    match (&mut parent.node, parent.key.take()) {
        (Node::List(items), _) => items.push(node),
        (Node::Map(entries), Some(key)) => entries.push((key, node)),
        (Node::Map(_), None) => match node {
            Node::Scalar(name) => parent.key = Some(name.unwrap_or_else(|| "null".to_owned())),
            _ => return Err("a key that is a list or a map"),
        },
        (Node::Scalar(_), _) => {}
    }
    Ok(())
}

/// The text of a scalar as confd gives it to templates; none for null.
fn scalar(value: &str, is_text: bool) -> Option<String> {
    if is_text {
        return Some(value.to_owned());
    }
    match value {
        "" | "~" | "null" | "Null" | "NULL" => return None,
        "True" | "TRUE" => return Some("true".to_owned()),
        "False" | "FALSE" => return Some("false".to_owned()),
        _ => {}
    }
    let digits = value.strip_prefix(['-', '+']).unwrap_or(value);
    let has_digits = digits.bytes().next().is_some_and(|byte| byte.is_ascii_digit() || byte == b'.');
    let written = if let Some(hexadecimal) = digits.strip_prefix("0x") {
        i64::from_str_radix(hexadecimal, 16).ok().map(|number| number.to_string())
    } else if let Some(octal) = digits.strip_prefix("0o") {
        i64::from_str_radix(octal, 8).ok().map(|number| number.to_string())
    } else if value.parse::<i64>().is_ok() {
        value.parse::<i64>().ok().map(|number| number.to_string())
    } else if has_digits && value.contains(['.', 'e', 'E']) {
        // 1.50 is the number 1.5.
        value.parse::<f64>().ok().filter(|number| number.is_finite()).map(|number| number.to_string())
    } else {
        None
    };
    Some(written.unwrap_or_else(|| value.to_owned()))
}

fn count(node: &Node) -> usize {
    match node {
        Node::Scalar(_) => 1,
        Node::List(items) => items.iter().map(count).sum(),
        Node::Map(entries) => entries.iter().map(|(_, node)| count(node)).sum(),
    }
}

fn flat(node: &Node, path: String, keys: &mut BTreeMap<String, Str>) -> Result<(), String> {
    match node {
        Node::Scalar(Some(value)) if !path.is_empty() => {
            keys.insert(path, value.as_str().into());
        }
        Node::Scalar(_) => {}
        Node::List(items) => {
            for (at, item) in items.iter().enumerate() {
                flat(item, format!("{path}/{at}"), keys)?;
            }
        }
        Node::Map(entries) => {
            for (name, entry) in entries {
                // `<<` takes over what another map has and this one does not.
                if name == "<<" {
                    let mut inherited = BTreeMap::new();
                    flat(entry, path.clone(), &mut inherited)?;
                    for (key, value) in inherited {
                        keys.entry(key).or_insert(value);
                    }
                } else {
                    flat(entry, format!("{path}/{name}"), keys)?;
                }
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(text: &str) -> Vec<(String, String)> {
        let keys = flatten(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        keys.into_iter().map(|(key, value)| (key, value.to_string())).collect()
    }

    fn one(text: &str) -> String {
        keys(&format!("k: {text}")).into_iter().map(|(_, value)| value).collect()
    }

    #[test]
    fn maps_and_lists_are_directories() {
        let found = keys("database:\n  host: 127.0.0.1\n  port: 3306\nupstream:\n  - a\n  - b: 1\n");
        let wanted =
            [("/database/host", "127.0.0.1"), ("/database/port", "3306"), ("/upstream/0", "a"), ("/upstream/1/b", "1")];
        assert_eq!(found, wanted.map(|(key, value)| (key.to_owned(), value.to_owned())));
        assert_eq!(keys("{\"a\": {\"b\": true}}"), [("/a/b".to_owned(), "true".to_owned())]);
    }

    #[test]
    fn values_are_written_as_confd_writes_them() {
        for (text, value) in [
            ("1.50", "1.5"),
            ("010", "10"),
            ("0o10", "8"),
            ("0xff", "255"),
            ("True", "true"),
            ("'1.50'", "1.50"),
            ("null", ""),
            ("1.2.3", "1.2.3"),
            ("yes", "yes"),
            ("\"\"", ""),
            ("-3", "-3"),
        ] {
            assert_eq!(one(text), value, "{text}");
        }
    }

    #[test]
    fn keys_that_are_no_text_are_names_too() {
        assert_eq!(keys("n: a\n1: b\n"), [("/1".to_owned(), "b".to_owned()), ("/n".to_owned(), "a".to_owned())]);
    }

    #[test]
    fn anchors_and_merges_are_followed() {
        let found = keys("base: &base\n  a: 1\n  b: 2\nown:\n  b: 3\n  <<: *base\n");
        assert!(found.contains(&("/own/a".to_owned(), "1".to_owned())), "{found:?}");
        assert!(found.contains(&("/own/b".to_owned(), "3".to_owned())), "{found:?}");
    }

    #[test]
    fn what_is_no_document_is_an_error_with_its_line() {
        let error = flatten("a: 1\nb: [\n").unwrap_err();
        assert!(error.line >= 2, "{error}");
        assert!(flatten(&"[".repeat(100)).is_err());
    }

    #[test]
    fn aliases_of_aliases_end() {
        let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for n in 1..12 {
            let refs = vec![format!("*a{}", n - 1); 10].join(", ");
            text = [text, format!("a{n}: &a{n} [{refs}]\n")].concat();
        }
        assert_eq!(flatten(&text).unwrap_err().message, "too many keys");
    }
}
