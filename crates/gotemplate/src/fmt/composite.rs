//! Slices, maps and structs.

use super::printer::{Printer, is_string_verb};
use crate::value::{List, Map, Object, Value};

impl Printer {
    pub(super) fn list(&mut self, list: &List, verb: char, depth: usize) {
        let (open, close) = self.brackets(&list.go_type().to_string(), "[", "]");
        self.out.extend_from_slice(open.as_bytes());
        for (index, item) in list.items().iter().enumerate() {
            self.separator(index);
            self.value(item, verb, depth + 1);
        }
        self.out.extend_from_slice(close.as_bytes());
    }

    pub(super) fn map(&mut self, map: &Map, verb: char, depth: usize) {
        let (open, close) = self.brackets(&map.go_type().to_string(), "map[", "]");
        self.out.extend_from_slice(open.as_bytes());
        for (index, (key, value)) in map.entries().iter().enumerate() {
            self.separator(index);
            self.value(&Value::Str(key.clone()), verb, depth + 1);
            self.push(':');
            self.value(value, verb, depth + 1);
        }
        self.out.extend_from_slice(close.as_bytes());
    }

    pub(super) fn object(&mut self, object: &dyn Object, verb: char, depth: usize) {
        let speaks = is_string_verb(verb) && !self.flags.go_syntax && !self.is_complaining();
        if let Some(text) = object.display().filter(|_| speaks) {
            return self.string(text.as_bytes(), verb);
        }
        let (open, close) = self.brackets(object.type_name(), "{", "}");
        self.out.extend_from_slice(open.as_bytes());
        for (index, (name, value)) in object.fields().into_iter().enumerate() {
            self.separator(index);
            if self.flags.field_names || self.flags.go_syntax {
                self.out.extend_from_slice(name.as_bytes());
                self.push(':');
            }
            self.value(&value, verb, depth + 1);
        }
        self.out.extend_from_slice(close.as_bytes());
    }

    /// What stands around the elements: those brackets, or in Go's syntax the type and braces.
    fn brackets(&self, type_name: &str, open: &'static str, close: &'static str) -> (String, &'static str) {
        if self.flags.go_syntax { (format!("{type_name}{{"), "}") } else { (open.to_owned(), close) }
    }

    fn separator(&mut self, index: usize) {
        if index > 0 {
            self.out.extend_from_slice(if self.flags.go_syntax { b", " } else { b" " });
        }
    }
}
