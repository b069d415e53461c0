//! Arguments of functions, whose types gotemplate has checked already.

use flota_gotemplate::{FuncError, Functions, List, Signature, Str, Type, Value};

/// An empty text where there is none.
pub(super) fn text(args: &[Value], at: usize) -> Str {
    match args.get(at) {
        Some(Value::Str(text)) => text.clone(),
        _ => Str::from(""),
    }
}

/// The text as UTF-8, with U+FFFD for what is none.
pub(super) fn utf8(args: &[Value], at: usize) -> String {
    text(args, at).lossy().into_owned()
}

pub(super) fn int(args: &[Value], at: usize) -> i64 {
    args.get(at).and_then(Value::as_int).unwrap_or_default()
}

pub(super) fn items(args: &[Value], at: usize) -> &[Value] {
    args.get(at).and_then(Value::as_list).map(List::items).unwrap_or_default()
}

pub(super) fn texts(args: &[Value], at: usize) -> Vec<Str> {
    let texts = items(args, at).iter().filter_map(|item| match item {
        Value::Str(text) => Some(text.clone()),
        _ => None,
    });
    texts.collect()
}

/// A `[]string`.
pub(super) fn list(texts: impl IntoIterator<Item = Str>) -> Value {
    List::new(Type::Str, texts.into_iter().map(Value::Str).collect()).into()
}

/// So many texts.
pub(super) fn strings(count: usize) -> Signature {
    Signature::new(vec![Type::Str; count])
}

/// A function of one text that gives a text.
pub(super) fn of_text(functions: &mut Functions, name: &str, body: fn(&str) -> String) {
    functions.insert(name, strings(1), move |args| Ok(body(&utf8(args, 0)).into()));
}

pub(super) fn error(message: impl Into<String>) -> FuncError {
    FuncError::new(message)
}
