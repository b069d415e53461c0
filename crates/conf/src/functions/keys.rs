//! The functions that read keys.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use flota_gotemplate::{FuncError, Functions, List, Signature, Str, Type, Value};

use super::arguments::{error, list, strings, text, utf8};
use super::pair::KvPair;
use crate::keys::{MissingKey, Scope, View};

/// Their names: what a template reads is read by these, or by its dot.
pub const STORE_FUNCTIONS: [&str; 7] = ["exists", "get", "gets", "getv", "getvs", "ls", "lsdir"];

/// Lists that templates of the same scope share while they are rendered from the same snapshot.
#[derive(Debug, Default)]
pub struct Memo(Mutex<BTreeMap<(Arc<Scope>, String), Value>>);

/// Most lists that are kept; a template may make up patterns without end.
const MAX_MEMOS: usize = 10_000;

impl Memo {
    fn pairs(&self, view: &View, pattern: &str) -> Result<Value, FuncError> {
        let key = (Arc::clone(view.scope()), pattern.to_owned());
        let lists = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = lists().get(&key) {
            view.note_pattern(pattern);
            return Ok(known.clone());
        }
        let pairs = view.matching(pattern).map_err(|wrong| error(wrong.to_string()))?;
        let pairs =
            pairs.into_iter().map(|(key, value)| Value::Object(Arc::new(KvPair { key: (&*key).into(), value })));
        let value = Value::from(List::named(KvPair::LIST, pairs.collect()));
        let mut lists = lists();
        if lists.len() < MAX_MEMOS {
            lists.insert(key, value.clone());
        }
        Ok(value)
    }
}

/// Adds them for one view.
pub(super) fn add(functions: &mut Functions, view: Arc<View>, memo: Arc<Memo>) {
    let seen = Arc::clone(&view);
    functions.insert("exists", strings(1), move |args| Ok(seen.get(&utf8(args, 0)).is_some().into()));

    let seen = Arc::clone(&view);
    functions.insert("get", strings(1), move |args| {
        let key = utf8(args, 0);
        let value = seen.get(&key).ok_or_else(|| missing(&key))?;
        Ok(Value::Object(Arc::new(KvPair { key: text(args, 0), value })))
    });

    let seen = Arc::clone(&view);
    functions.insert("getv", strings(1).variadic(Type::Str), move |args| {
        let key = utf8(args, 0);
        match (seen.get(&key), args.get(1)) {
            (Some(value), _) => Ok(value.into()),
            (None, Some(default)) => Ok(default.clone()),
            (None, None) => Err(missing(&key)),
        }
    });

    let (seen, memos) = (Arc::clone(&view), Arc::clone(&memo));
    functions.insert("gets", strings(1), move |args| memos.pairs(&seen, &utf8(args, 0)));

    let seen = Arc::clone(&view);
    functions.insert("getvs", strings(1), move |args| {
        let pairs = seen.matching(&utf8(args, 0)).map_err(|wrong| error(wrong.to_string()))?;
        // By value, not by key, as confd has it.
        let mut values: Vec<Str> = pairs.into_iter().map(|(_, value)| value).collect();
        values.sort();
        Ok(list(values))
    });

    for (name, directories) in [("ls", false), ("lsdir", true)] {
        let seen = Arc::clone(&view);
        functions.insert(name, Signature::new([Type::Str]), move |args| {
            Ok(seen.children(&utf8(args, 0), directories).into())
        });
    }
}

fn missing(key: &str) -> FuncError {
    error(MissingKey(key.to_owned()).to_string())
}
