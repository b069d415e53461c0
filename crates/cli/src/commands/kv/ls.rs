//! `kv ls`: keys as files in directories.

use etcd_client::KeyValue;
use serde::Serialize;

use super::KvContext;
use crate::{
    cli::{Format, KvLsArgs},
    exit::Exit,
    failure::Failure,
    kv::{LeaseNumber, Pair, Range, Store, page, pages, shown},
    output::tabwriter::{Padding, align},
};

/// Keys asked for at once; a directory with more of them is passed over in one step.
const PAGE_KEYS: i64 = 100;

/// One entry of a directory.
enum Entry {
    /// With its slash.
    Directory(Vec<u8>),
    Key(KeyValue),
}

/// An entry as JSON.
#[derive(Serialize)]
#[serde(untagged)]
enum Row {
    Directory { directory: String },
    Key(Pair),
}

/// Runs the verb.
pub async fn run(context: &mut KvContext<'_, '_, '_>, arguments: &KvLsArgs) -> Result<Exit, Failure> {
    let store = context.store().await?;
    let directory = directory(&arguments.prefix);
    let bare = !arguments.long;
    let mut entries: Vec<Entry> = Vec::new();
    if directory != arguments.prefix {
        // The name may be a key's too.
        let key = pages(&store, &Range::key(&arguments.prefix), 0, bare, None).await?;
        entries.extend(key.into_iter().map(Entry::Key));
    }
    if arguments.recursive {
        let keys = pages(&store, &Range::prefix(directory.as_bytes()), 0, bare, None).await?;
        entries.extend(keys.into_iter().map(Entry::Key));
    } else {
        entries.extend(one_level(&store, directory.as_bytes(), bare).await?);
    }
    if entries.is_empty() && !arguments.prefix.is_empty() {
        return Err(Failure::new(Exit::FAILURE, format!("there is no key at or below {}", arguments.prefix)));
    }
    let printer = &mut *context.inner.printer;
    match arguments.print.output {
        Format::Json => printer.json(&entries.iter().map(|entry| row(entry, arguments.long)).collect::<Vec<_>>())?,
        Format::Text => printer.data(&text(&entries, arguments.long))?,
    }
    Ok(Exit::SUCCESS)
}

/// The prefix of everything in a directory.
fn directory(name: &str) -> String {
    if name.is_empty() || name.ends_with('/') { name.to_owned() } else { format!("{name}/") }
}

/// The keys and directories right below a directory, all at one revision.
async fn one_level(store: &Store, directory: &[u8], bare: bool) -> Result<Vec<Entry>, Failure> {
    let mut range = Range::prefix(directory);
    let (mut revision, mut entries) = (0, Vec::new());
    loop {
        let page = page(store, &range, revision, bare, PAGE_KEYS).await?;
        if revision == 0 {
            revision = page.revision;
        }
        let mut next = None;
        for pair in page.pairs {
            if let Some(Entry::Directory(last)) = entries.last()
                && pair.key().starts_with(last)
            {
                continue;
            }
            let entry = entry_of(directory, pair);
            next = match &entry {
                // Whatever else is in that directory is passed over.
                Entry::Directory(name) => Range::prefix(name).end,
                Entry::Key(pair) => Some([pair.key(), b"\0"].concat()),
            };
            entries.push(entry);
        }
        match next {
            Some(start) if page.more => range.start = start,
            _ => return Ok(entries),
        }
    }
}

/// What a key is in a directory. At the top a name may begin with the slash.
fn entry_of(directory: &[u8], pair: KeyValue) -> Entry {
    let from = directory.len() + usize::from(directory.is_empty());
    let slash = pair.key().iter().skip(from).position(|byte| *byte == b'/');
    match slash {
        Some(at) => Entry::Directory(pair.key()[..=from + at].to_vec()),
        None => Entry::Key(pair),
    }
}

fn row(entry: &Entry, with_value: bool) -> Row {
    match entry {
        Entry::Directory(name) => Row::Directory { directory: shown(name) },
        Entry::Key(pair) => Row::Key(Pair::new(pair, with_value)),
    }
}

fn text(entries: &[Entry], long: bool) -> String {
    let line = |entry: &Entry| match entry {
        Entry::Directory(name) if long => format!("-\t-\t-\t{}\n", shown(name)),
        Entry::Directory(name) => shown(name) + "\n",
        Entry::Key(pair) if long => {
            let lease = if pair.lease() == 0 { "-".to_owned() } else { LeaseNumber(pair.lease()).to_string() };
            format!("{}\t{}\t{lease}\t{}\n", pair.mod_revision(), pair.value().len(), shown(pair.key()))
        }
        Entry::Key(pair) => shown(pair.key()) + "\n",
    };
    let lines: String = entries.iter().map(line).collect();
    if long { align(&format!("REVISION\tSIZE\tLEASE\tKEY\n{lines}"), Padding::Spaces) } else { lines }
}
