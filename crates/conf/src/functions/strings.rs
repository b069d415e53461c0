//! Functions of texts and of lists of texts.

use flota_gotemplate::{Functions, Signature, Str, Type, Value};

use super::arguments::{error, items, list, of_text, strings, text, texts, utf8};
use super::pair::KvPair;
use crate::keys;

/// Longest text that `repeat` and `indent` make.
const MAX_MADE_BYTES: usize = 16 << 20;

/// Adds confd's, and those of its successor that templates of today use.
pub(super) fn add(functions: &mut Functions) {
    of_text(functions, "base", keys::base);
    of_text(functions, "dir", keys::dir);
    of_text(functions, "toUpper", str::to_uppercase);
    of_text(functions, "toLower", str::to_lowercase);
    of_text(functions, "quote", |text| format!("{text:?}"));
    of_text(functions, "squote", |text| format!("'{text}'"));
    of_text(functions, "nospace", |text| text.chars().filter(|c| !c.is_whitespace()).collect());
    functions.insert("contains", strings(2), |args| Ok(utf8(args, 0).contains(&utf8(args, 1)).into()));
    functions.insert("trimSuffix", strings(2), |args| Ok(trimmed(args, |text, rest| text.strip_suffix(rest))));
    functions.insert("trimPrefix", strings(2), |args| Ok(trimmed(args, |text, rest| text.strip_prefix(rest))));
    functions.insert("split", strings(2), |args| Ok(list(split(&utf8(args, 0), &utf8(args, 1)))));
    functions.insert("join", Signature::new([Type::list(Type::Str), Type::Str]), |args| {
        let texts: Vec<String> = texts(args, 0).iter().map(|text| text.lossy().into_owned()).collect();
        Ok(texts.join(&utf8(args, 1)).into())
    });
    functions.insert("replace", Signature::new([Type::Str, Type::Str, Type::Str, Type::Int]), |args| {
        let (text, old, new) = (utf8(args, 0), utf8(args, 1), utf8(args, 2));
        let count = usize::try_from(super::arguments::int(args, 3)).unwrap_or(usize::MAX);
        Ok(text.replacen(&old, &new, count).into())
    });
    functions.insert("repeat", Signature::new([Type::Int, Type::Str]), |args| {
        let (count, text) = (usize::try_from(super::arguments::int(args, 0)).unwrap_or(0), utf8(args, 1));
        if count.saturating_mul(text.len()) > MAX_MADE_BYTES {
            return Err(error(format!("more than {MAX_MADE_BYTES} bytes")));
        }
        Ok(text.repeat(count).into())
    });
    for (name, before) in [("indent", ""), ("nindent", "\n")] {
        functions.insert(name, Signature::new([Type::Int, Type::Str]), move |args| {
            let (width, text) = (usize::try_from(super::arguments::int(args, 0)).unwrap_or(0), utf8(args, 1));
            if width.saturating_mul(text.lines().count()) > MAX_MADE_BYTES {
                return Err(error(format!("more than {MAX_MADE_BYTES} bytes")));
            }
            let space = " ".repeat(width);
            let lines: Vec<String> = text.split('\n').map(|line| format!("{space}{line}")).collect();
            Ok(format!("{before}{}", lines.join("\n")).into())
        });
    }
    orders(functions);
}

fn orders(functions: &mut Functions) {
    functions.insert("reverse", Signature::new([Type::Any]), |args| {
        let reversed = items(args, 0).iter().rev().cloned().collect();
        Ok(same_kind(&args[0], reversed))
    });
    functions.insert("sortByLength", Signature::new([Type::list(Type::Str)]), |args| {
        let mut texts = texts(args, 0);
        texts.sort_by_key(|text| text.len());
        Ok(list(texts))
    });
    functions.insert("sortKVByLength", Signature::new([Type::Any]), |args| {
        let mut pairs = items(args, 0).to_vec();
        let length = |pair: &Value| match pair {
            Value::Object(object) => object.field("Key").and_then(|key| match key {
                Value::Str(key) => Some(key.len()),
                _ => None,
            }),
            _ => None,
        };
        if pairs.iter().any(|pair| length(pair).is_none()) {
            return Err(error("sortKVByLength takes what gets gives"));
        }
        pairs.sort_by_key(length);
        Ok(same_kind(&args[0], pairs))
    });
}

/// The items as a list of the type that the other one has, as far as confd's templates can tell.
fn same_kind(like: &Value, items: Vec<Value>) -> Value {
    use flota_gotemplate::List;
    match like {
        Value::List(_) if like.type_name() == KvPair::LIST => List::named(KvPair::LIST, items).into(),
        Value::List(_) if like.type_name() == "[]string" => List::new(Type::Str, items).into(),
        Value::List(_) => items.into(),
        other => other.clone(),
    }
}

fn trimmed(args: &[Value], strip: for<'t> fn(&'t str, &str) -> Option<&'t str>) -> Value {
    let (whole, rest) = (utf8(args, 0), utf8(args, 1));
    strip(&whole, &rest).map_or_else(|| text(args, 0).into(), Value::from)
}

/// Go's `strings.Split`: an empty separator gives the characters.
fn split(text: &str, separator: &str) -> Vec<Str> {
    if separator.is_empty() {
        return text.chars().map(|c| Str::from(c.to_string())).collect();
    }
    text.split(separator).map(Str::from).collect()
}
