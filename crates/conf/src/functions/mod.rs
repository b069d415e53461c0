//! What confd's templates may call beside Go's own functions: the keys of a snapshot, texts, data, the machine.

mod arguments;
mod data;
mod dns;
mod dot;
mod keys;
mod layout;
mod numbers;
mod pair;
mod strings;
mod system;
mod time;

use std::sync::{Arc, LazyLock};

use flota_gotemplate::Functions;

pub use dot::dot;
pub use keys::{Memo, STORE_FUNCTIONS};
pub use pair::KvPair;
pub use system::{hostname, timestamp};

use crate::keys::View;

/// All but those that read keys.
static BASE: LazyLock<Functions> = LazyLock::new(|| {
    let mut functions = Functions::new();
    strings::add(&mut functions);
    data::add(&mut functions);
    numbers::add(&mut functions);
    system::add(&mut functions);
    dns::add(&mut functions);
    functions
});

/// The functions for one rendering.
pub fn bound(view: Arc<View>, memo: Arc<Memo>) -> Functions {
    let mut functions = BASE.clone();
    keys::add(&mut functions, view, memo);
    functions
}

/// The same names and signatures for parsing, where no key is read.
pub fn unbound() -> Functions {
    static UNBOUND: LazyLock<Functions> = LazyLock::new(|| {
        let scope = crate::keys::Scope::new(&crate::keys::KeyPath::new("/"), &[]);
        bound(Arc::new(View::new(Arc::default(), Arc::new(scope))), Arc::default())
    });
    UNBOUND.clone()
}

#[cfg(test)]
mod corpus;
#[cfg(test)]
mod tests;

#[cfg(test)]
mod names {
    use super::*;

    /// confd's own, at its last commit.
    const CONFD: [&str; 39] = [
        "add",
        "atoi",
        "base",
        "base64Decode",
        "base64Encode",
        "contains",
        "datetime",
        "dir",
        "div",
        "exists",
        "fileExists",
        "get",
        "getenv",
        "gets",
        "getv",
        "getvs",
        "join",
        "json",
        "jsonArray",
        "lookupIP",
        "lookupIPV4",
        "lookupIPV6",
        "lookupSRV",
        "ls",
        "lsdir",
        "map",
        "mod",
        "mul",
        "parseBool",
        "replace",
        "reverse",
        "seq",
        "sortByLength",
        "sortKVByLength",
        "split",
        "sub",
        "toLower",
        "toUpper",
        "trimSuffix",
    ];

    #[test]
    fn all_functions_of_confds_are_there() {
        let functions = unbound();
        for name in CONFD {
            assert!(functions.get(name).is_some(), "{name}");
        }
    }
}
