//! YAML as values that know their place.

use std::collections::BTreeMap;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle};

use super::{Finding, MAX_TEXT_BYTES, Node, Place, Value};

/// How deep a document may be nested.
const MAX_DEPTH: usize = 32;
/// Most values of one document, those that aliases repeat included.
const MAX_NODES: usize = 20_000;

/// What is open while a document is read.
struct Open {
    anchor: usize,
    node: Node,
    /// The key that waits for its value.
    key: Option<(String, Place)>,
}

/// Reads the first document of a text; the first error of its syntax ends it.
pub fn parse(text: &str) -> Result<Node, Finding> {
    if text.len() > MAX_TEXT_BYTES {
        return Err(Finding::new(Place { line: 1, column: 1 }, format!("more than {MAX_TEXT_BYTES} bytes")));
    }
    let mut reader = Reader { open: Vec::new(), anchors: BTreeMap::new(), size: 0, done: None };
    for event in Parser::new_from_str(text) {
        let (event, span) =
            event.map_err(|error| Finding::new(place(error.marker()), format!("not YAML: {}", error.info())))?;
        let at = place(&span.start);
        reader.take(event, at).map_err(|message| Finding::new(at, message))?;
        if let Some(document) = reader.done.take() {
            return Ok(document);
        }
    }
    Ok(Node { at: Place { line: 1, column: 1 }, value: Value::Null })
}

struct Reader {
    open: Vec<Open>,
    anchors: BTreeMap<usize, Node>,
    size: usize,
    done: Option<Node>,
}

impl Reader {
    fn take(&mut self, event: Event<'_>, at: Place) -> Result<(), String> {
        let begin = |value, anchor| Open { anchor, node: Node { at, value }, key: None };
        let (anchor, node) = match event {
            Event::MappingStart(anchor, _) => return self.push(begin(Value::Map(Vec::new()), anchor)),
            Event::SequenceStart(anchor, _) => return self.push(begin(Value::List(Vec::new()), anchor)),
            Event::MappingEnd | Event::SequenceEnd => match self.open.pop() {
                Some(ended) => (ended.anchor, ended.node),
                None => return Ok(()),
            },
            Event::Scalar(text, style, anchor, tag) => {
                if tag.as_ref().is_some_and(|tag| tag.suffix == "binary") {
                    return Err("`!!binary` is not supported; use `encoding: b64`".to_owned());
                }
                let quoted = style != ScalarStyle::Plain || tag.is_some_and(|tag| tag.suffix == "str");
                (anchor, Node { at, value: scalar(text.into_owned(), quoted) })
            }
            Event::Alias(anchor) => match self.anchors.get(&anchor) {
                Some(known) => (0, known.clone()),
                None => return Err("an alias of what is not complete".to_owned()),
            },
            _ => return Ok(()),
        };
        self.size += count(&node);
        if self.size > MAX_NODES {
            return Err(format!("more than {MAX_NODES} values"));
        }
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
        }
        self.close(node)
    }

    fn push(&mut self, open: Open) -> Result<(), String> {
        if self.open.len() >= MAX_DEPTH {
            return Err(format!("nested deeper than {MAX_DEPTH}"));
        }
        self.open.push(open);
        Ok(())
    }

    /// Puts a complete value where it belongs.
    fn close(&mut self, node: Node) -> Result<(), String> {
        let Some(parent) = self.open.last_mut() else {
            self.done = Some(node);
            return Ok(());
        };
        match (&mut parent.node.value, parent.key.take()) {
            (Value::List(items), _) => items.push(node),
            (Value::Map(entries), Some((name, at))) => {
                if entries.iter().any(|(known, ..)| *known == name) {
                    return Err(format!("`{name}` is given twice"));
                }
                entries.push((name, at, node));
            }
            (Value::Map(_), None) => match node.value {
                Value::Scalar { text, .. } => parent.key = Some((text, node.at)),
                _ => return Err("a key must be a single value".to_owned()),
            },
            (Value::Null | Value::Scalar { .. }, _) => {}
        }
        Ok(())
    }
}

fn scalar(text: String, quoted: bool) -> Value {
    match text.as_str() {
        "" | "~" | "null" | "Null" | "NULL" if !quoted => Value::Null,
        _ => Value::Scalar { text, quoted },
    }
}

/// Scalars and containers alike, so that lists of empty lists count too.
fn count(node: &Node) -> usize {
    match &node.value {
        Value::Null | Value::Scalar { .. } => 1,
        Value::List(items) => 1 + items.iter().map(count).sum::<usize>(),
        Value::Map(entries) => 1 + entries.iter().map(|(_, _, node)| count(node)).sum::<usize>(),
    }
}

fn place(marker: &Marker) -> Place {
    Place { line: marker.line(), column: marker.col() + 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_error(text: &str, line: usize, part: &str) {
        let error = parse(text).unwrap_err();
        assert!(error.message.contains(part) && error.at.line == line, "{error}");
    }

    #[test]
    fn what_is_no_yaml_is_an_error_with_its_line() {
        check_error("a: 1\nb: [1, 2\nc: 3\n", 3, "not YAML");
        check_error("a: 1\n\tb: 2\n", 1, "found a tab");
        check_error("a: 1\na: 2\n", 2, "`a` is given twice");
        check_error("a: !!binary aGk=\n", 1, "b64");
        check_error("? [a]\n: 1\n", 1, "a key must be");
        check_error(&"[".repeat(100), 1, "nested deeper");
    }

    #[test]
    fn keys_and_values_know_their_places() {
        let Value::Map(entries) = parse("a: 1\nb:\n  - x\n").unwrap().value else { panic!() };
        let (name, at, node) = &entries[1];
        assert_eq!((name.as_str(), at.line, at.column), ("b", 2, 1));
        let Value::List(items) = &node.value else { panic!() };
        assert_eq!(items[0].at, Place { line: 3, column: 5 });
    }

    #[test]
    fn aliases_of_aliases_end() {
        let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for n in 1..12 {
            let all = vec![format!("*a{}", n - 1); 10].join(", ");
            text = [text, format!("a{n}: &a{n} [{all}]\n")].concat();
        }
        assert!(parse(&text).unwrap_err().message.contains("values"));
    }

    #[test]
    fn an_empty_text_is_nothing() {
        assert_eq!(parse("").unwrap().value, Value::Null);
        assert_eq!(parse("#cloud-config\n").unwrap().value, Value::Null);
    }
}
