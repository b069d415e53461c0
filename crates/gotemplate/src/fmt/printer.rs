//! The state of one formatting, and what each type does with each verb.

use crate::value::Value;

/// The flags, width and precision of one verb.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Flags {
    pub plus: bool,
    pub minus: bool,
    pub sharp: bool,
    pub space: bool,
    pub zero: bool,
    /// `%#v`: as Go source.
    pub go_syntax: bool,
    /// `%+v`: with the names of fields.
    pub field_names: bool,
    pub width: Option<usize>,
    pub precision: Option<usize>,
}

/// What was written so far, and how the next value is to be written.
#[derive(Debug, Default)]
pub(super) struct Printer {
    pub out: Vec<u8>,
    pub flags: Flags,
    /// A value is written because its verb does not suit it: `String` is not asked then.
    complaining: bool,
}

pub(super) const NIL: &str = "<nil>";

impl Printer {
    /// Writes a value; `depth` is how many values are around it.
    pub(super) fn value(&mut self, value: &Value, verb: char, depth: usize) {
        if depth == 0 && verb == 'T' {
            return self.string(value.type_name().as_bytes(), 's');
        }
        match value {
            Value::Nil => self.nil(verb, depth),
            Value::Bool(value) if matches!(verb, 't' | 'v') => self.pad(value.to_string().as_bytes()),
            Value::Int(int) if is_integer_verb(verb) => self.integer(int.unsigned_abs(), Some(*int < 0), verb),
            Value::Uint(uint) if is_integer_verb(verb) => self.integer(*uint, None, verb),
            Value::Byte(byte) if is_integer_verb(verb) => self.integer(u64::from(*byte), None, verb),
            Value::Float(float) if is_float_verb(verb) => self.float(*float, verb),
            Value::Str(text) if is_string_verb(verb) => self.string(text.as_bytes(), verb),
            // Where a function or a slice is in memory is nothing that a template may show.
            Value::Func(_) if verb == 'v' => self.pad(value.type_name().as_bytes()),
            Value::List(list) if verb != 'p' => self.list(list, verb, depth),
            Value::Map(map) if verb != 'p' => self.map(map, verb, depth),
            Value::Object(object) if verb != 'p' => self.object(object.as_ref(), verb, depth),
            _ => self.bad_verb(value, verb),
        }
    }

    fn nil(&mut self, verb: char, depth: usize) {
        match verb {
            // Inside of a slice or map it is an interface that holds nothing.
            _ if depth > 0 && self.flags.go_syntax => self.out.extend_from_slice(b"interface {}(nil)"),
            _ if depth > 0 => self.out.extend_from_slice(NIL.as_bytes()),
            'v' => self.pad(NIL.as_bytes()),
            _ => self.bad_verb(&Value::Nil, verb),
        }
    }

    /// `%!d(string=hi)`: the verb means nothing for that type.
    pub(super) fn bad_verb(&mut self, value: &Value, verb: char) {
        let complaining = std::mem::replace(&mut self.complaining, true);
        self.out.extend_from_slice(b"%!");
        self.push(verb);
        self.push('(');
        if matches!(value, Value::Nil) {
            self.out.extend_from_slice(NIL.as_bytes());
        } else {
            self.out.extend_from_slice(value.type_name().as_bytes());
            self.push('=');
            self.value(value, 'v', 0);
        }
        self.push(')');
        self.complaining = complaining;
    }

    pub(super) fn is_complaining(&self) -> bool {
        self.complaining
    }

    pub(super) fn push(&mut self, rune: char) {
        self.out.extend_from_slice(rune.encode_utf8(&mut [0; 4]).as_bytes());
    }
}

fn is_integer_verb(verb: char) -> bool {
    matches!(verb, 'v' | 'd' | 'b' | 'o' | 'O' | 'x' | 'X' | 'c' | 'q' | 'U')
}

fn is_float_verb(verb: char) -> bool {
    matches!(verb, 'v' | 'b' | 'g' | 'G' | 'x' | 'X' | 'f' | 'F' | 'e' | 'E')
}

pub(super) fn is_string_verb(verb: char) -> bool {
    matches!(verb, 'v' | 's' | 'x' | 'X' | 'q')
}
