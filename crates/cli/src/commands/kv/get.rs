//! `kv get`: the value of a key, or of all keys with a prefix.

use etcd_client::KeyValue;

use super::KvContext;
use crate::{
    cli::{KvFormat, KvGetArgs},
    exit::Exit,
    failure::Failure,
    kv::{Pair, Range, pages, shown},
    output::tabwriter::{Padding, align},
};

/// Runs the verb.
pub async fn run(context: &mut KvContext<'_, '_, '_>, arguments: &KvGetArgs) -> Result<Exit, Failure> {
    let store = context.store().await?;
    let range = if arguments.prefix { Range::prefix(arguments.key.as_bytes()) } else { Range::key(&arguments.key) };
    let found = pages(&store, &range, arguments.rev.unwrap_or(0), arguments.keys, arguments.limit).await?;
    if found.is_empty() {
        return Err(nothing(arguments));
    }
    let printer = &mut *context.inner.printer;
    match (arguments.output, arguments.prefix) {
        (KvFormat::Json, true) => {
            let pairs: Vec<Pair> = found.iter().map(|pair| Pair::new(pair, !arguments.keys)).collect();
            printer.json(&pairs)?;
        }
        (KvFormat::Json, false) => printer.json(&Pair::new(&found[0], !arguments.keys))?,
        (_, _) if arguments.keys => printer.data(&lines(&found, |pair| shown(pair.key())))?,
        (KvFormat::Value, false) => printer.bytes(found[0].value())?,
        (KvFormat::Text, false) => printer.bytes(&[found[0].value(), b"\n"].concat())?,
        (KvFormat::Value, true) => {
            let values: Vec<u8> = found.iter().flat_map(|pair| [pair.value(), b"\n"].concat()).collect();
            printer.bytes(&values)?;
        }
        (KvFormat::Text, true) => {
            let text = lines(&found, |pair| format!("{}\t{}", shown(pair.key()), shown(pair.value())));
            printer.data(&align(&text, Padding::Spaces))?;
        }
    }
    Ok(Exit::SUCCESS)
}

fn lines(found: &[KeyValue], line: impl Fn(&KeyValue) -> String) -> String {
    found.iter().map(|pair| line(pair) + "\n").collect()
}

fn nothing(arguments: &KvGetArgs) -> Failure {
    let at = arguments.rev.map_or(String::new(), |rev| format!(" at revision {rev}"));
    let what = if arguments.prefix { "no key begins with" } else { "there is no key" };
    Failure::new(Exit::FAILURE, format!("{what} {}{at}", arguments.key))
}
