//! A table that is read key by key: what nobody asked for is found, with its place and the nearest name.

use std::fmt::Write as _;

use super::{Finding, Node, Place, Value, nearest};

/// A table being read. Nothing ends the reading: what is wrong is noted, and taken for absent.
#[derive(Debug)]
pub struct Fields<'a> {
    /// Where the table is.
    pub at: Place,
    /// What the table is called in messages, such as `[[users]]`.
    name: &'static str,
    entries: Vec<(&'a str, Place, &'a Node)>,
    asked: Vec<&'static str>,
    findings: Vec<Finding>,
}

impl<'a> Fields<'a> {
    /// A table called `name` in messages; anything else is noted, and read as an empty one.
    pub fn of(node: &'a Node, name: &'static str) -> Self {
        let mut fields = Self { at: node.at, name, entries: Vec::new(), asked: Vec::new(), findings: Vec::new() };
        match &node.value {
            Value::Map(entries) => {
                fields.entries = entries.iter().map(|(key, at, node)| (key.as_str(), *at, node)).collect();
            }
            Value::Null => {}
            _ => fields.note(node.at, format!("{name} must be a table of keys, not {}", node.kind())),
        }
        fields
    }

    /// Notes something.
    pub fn note(&mut self, at: Place, message: impl Into<String>) {
        self.findings.push(Finding::new(at, message));
    }

    /// Takes over what was found in a part of the table.
    pub fn absorb(&mut self, findings: Vec<Finding>) {
        self.findings.extend(findings);
    }

    /// The value of a key, whatever it is.
    pub fn take(&mut self, key: &'static str) -> Option<&'a Node> {
        self.asked.push(key);
        let at = self.entries.iter().position(|(name, ..)| *name == key)?;
        Some(self.entries.remove(at).2)
    }

    /// A text or a number as it is written.
    pub fn text(&mut self, key: &'static str) -> Option<String> {
        let node = self.take(key)?;
        self.scalar(node, key)
    }

    /// A text that has to be there and must not be empty.
    pub fn needed(&mut self, key: &'static str) -> Option<String> {
        match self.take(key) {
            None => {
                self.note(self.at, format!("{} has no `{key}`", self.name));
                None
            }
            Some(node) => match &node.value {
                Value::Scalar { text, .. } if !text.is_empty() => Some(text.clone()),
                Value::Null | Value::Scalar { .. } => {
                    self.note(node.at, format!("`{key}` is empty"));
                    None
                }
                _ => self.scalar(node, key),
            },
        }
    }

    /// `true` or `false`.
    pub fn boolean(&mut self, key: &'static str) -> Option<bool> {
        let node = self.take(key)?;
        match &node.value {
            Value::Scalar { text, quoted: false } => match text.to_ascii_lowercase().as_str() {
                "true" | "yes" | "on" => return Some(true),
                "false" | "no" | "off" => return Some(false),
                _ => {}
            },
            Value::Null => return None,
            _ => {}
        }
        self.note(node.at, format!("`{key}` must be true or false"));
        None
    }

    /// A list of texts; one text alone counts as a list of one.
    pub fn texts(&mut self, key: &'static str) -> Vec<(String, Place)> {
        let Some(node) = self.take(key) else { return Vec::new() };
        match &node.value {
            Value::Null => Vec::new(),
            Value::List(items) => items.iter().filter_map(|item| Some((self.scalar(item, key)?, item.at))).collect(),
            _ => self.scalar(node, key).map(|text| (text, node.at)).into_iter().collect(),
        }
    }

    /// A list of anything.
    pub fn list(&mut self, key: &'static str) -> &'a [Node] {
        let Some(node) = self.take(key) else { return &[] };
        match &node.value {
            Value::List(items) => items,
            Value::Null => &[],
            _ => {
                self.note(node.at, format!("`{key}` must be a list, not {}", node.kind()));
                &[]
            }
        }
    }

    /// A table of texts.
    pub fn pairs(&mut self, key: &'static str) -> Vec<(String, String)> {
        let Some(node) = self.take(key) else { return Vec::new() };
        match &node.value {
            Value::Map(entries) => {
                entries.iter().filter_map(|(name, _, value)| Some((name.clone(), self.scalar(value, key)?))).collect()
            }
            Value::Null => Vec::new(),
            _ => {
                self.note(node.at, format!("`{key}` must be a table of keys, not {}", node.kind()));
                Vec::new()
            }
        }
    }

    /// What is left, by name: nobody asked for it, and the caller deals with it.
    pub fn rest(&mut self) -> Vec<(&'a str, Place, &'a Node)> {
        std::mem::take(&mut self.entries)
    }

    /// All that was found. What was not taken is unknown.
    pub fn finish(mut self) -> Vec<Finding> {
        for (name, at, _) in std::mem::take(&mut self.entries) {
            let mut message = format!("{} knows no `{name}`", self.name);
            if let Some(near) = nearest(name, &self.asked) {
                let _ = write!(message, ", did you mean `{near}`?");
            }
            self.note(at, message);
        }
        self.findings
    }

    fn scalar(&mut self, node: &Node, key: &str) -> Option<String> {
        match &node.value {
            Value::Scalar { text, .. } => Some(text.clone()),
            Value::Null => None,
            _ => {
                self.note(node.at, format!("`{key}` must be a text, not {}", node.kind()));
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{parse_toml, parse_yaml};
    use super::*;

    #[test]
    fn both_languages_are_read_alike_and_everything_wrong_is_found() {
        for node in [
            parse_yaml("name: a\nusrs: 1\nlist: {a: b}\nsure: maybe\n").unwrap(),
            parse_toml("name = 'a'\nusrs = 1\nlist = {a = 'b'}\nsure = 'maybe'\n").unwrap(),
        ] {
            let mut fields = Fields::of(&node, "the file");
            assert_eq!(fields.text("name").as_deref(), Some("a"));
            assert!(fields.list("users").is_empty());
            assert!(fields.texts("list").is_empty());
            assert_eq!(fields.boolean("sure"), None);
            let found: Vec<String> = fields.finish().iter().map(|f| format!("{}: {}", f.at.line, f.message)).collect();
            assert_eq!(
                found,
                [
                    "3: `list` must be a text, not a table of keys",
                    "4: `sure` must be true or false",
                    "2: the file knows no `usrs`, did you mean `users`?"
                ]
            );
        }
    }
}
