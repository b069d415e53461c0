//! What the dot of a template of 2014 is: all keys, with `_` for each `/`.

use std::collections::BTreeMap;
use std::sync::Arc;

use flota_gotemplate::{List, Str, Type, Value};

use super::pair::KvPair;
use crate::keys::{View, base};

/// `/elasticsearch/host` is `.elasticsearch_host`, and a directory is the list of what is directly below it, each with `.Key`
/// (the name alone, as in those templates) and `.Value`.
pub fn dot(view: &View) -> Value {
    let mut entries: BTreeMap<Str, Value> = BTreeMap::new();
    let mut directories: BTreeMap<Str, Vec<Value>> = BTreeMap::new();
    for (key, value) in view.all() {
        if let Some((above, _)) = key.rsplit_once('/')
            && !above.is_empty()
        {
            let pair = KvPair { key: base(&key).into(), value: value.clone() };
            directories.entry(flat(above)).or_default().push(Value::Object(Arc::new(pair)));
        }
        entries.insert(flat(&key), value.into());
    }
    for (name, pairs) in directories {
        // A key that is a value and a directory is the value.
        entries.entry(name).or_insert_with(|| List::new(Type::named(KvPair::TYPE), pairs).into());
    }
    entries.into()
}

fn flat(key: &str) -> Str {
    key.trim_start_matches('/').replace('/', "_").into()
}
