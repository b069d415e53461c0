//! `kv rm`: remove a key, or a directory of keys.

use etcd_client::{DeleteOptions, Txn, TxnOp, TxnOpResponse};
use serde::Serialize;

use super::{KvContext, unit_of};
use crate::{
    cli::{Format, KvRmArgs},
    exit::Exit,
    failure::Failure,
    kv::{LeaseChoice, Range, call_failed, refuse_reserved},
};

/// What was removed, as JSON.
#[derive(Debug, Serialize)]
struct Removed {
    deleted: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    revision: Option<i64>,
}

/// Runs the verb.
pub async fn run(context: &mut KvContext<'_, '_, '_>, arguments: &KvRmArgs) -> Result<Exit, Failure> {
    if let Some(lease) = &arguments.lease {
        return unregister(context, arguments, lease).await;
    }
    let ranges = ranges(&arguments.key, arguments.recursive);
    ranges.iter().try_for_each(refuse_reserved)?;
    let store = context.store().await?;
    let deletes = ranges.into_iter().map(|range| {
        let options = range.end.map(|end| DeleteOptions::new().with_range(end));
        TxnOp::delete(range.start, options)
    });
    let txn = Txn::new().and_then(deletes.collect::<Vec<_>>());
    let response = store.call(store.kv().txn(txn)).await;
    let response = response.map_err(call_failed(&store, || format!("cannot remove {}", arguments.key)))?;
    let deleted: i64 = response
        .op_responses()
        .iter()
        .map(|answer| if let TxnOpResponse::Delete(answer) = answer { answer.deleted() } else { 0 })
        .sum();
    if deleted == 0 {
        let what = if arguments.recursive { "there is no key at or below" } else { "there is no key" };
        return Err(Failure::new(Exit::FAILURE, format!("{what} {}", arguments.key)));
    }
    let revision = response.header().map(etcd_client::ResponseHeader::revision);
    tell(context, arguments, &Removed { deleted, revision })
}

/// The key, and what is below it. One that ends in `/` is the directory alone.
fn ranges(key: &str, recursive: bool) -> Vec<Range> {
    match (recursive, key.ends_with('/')) {
        (false, _) => vec![Range::key(key)],
        (true, true) => vec![Range::prefix(key.as_bytes())],
        (true, false) if key.is_empty() => vec![Range::prefix(b"")],
        (true, false) => vec![Range::key(key), Range::prefix(format!("{key}/").as_bytes())],
    }
}

fn tell(context: &mut KvContext<'_, '_, '_>, arguments: &KvRmArgs, removed: &Removed) -> Result<Exit, Failure> {
    let printer = &mut *context.inner.printer;
    match arguments.print.output {
        Format::Json => printer.json_line(removed)?,
        Format::Text if arguments.recursive => printer.say(&format!("removed keys: {}", removed.deleted)),
        Format::Text => {}
    }
    Ok(Exit::SUCCESS)
}

async fn unregister(
    context: &mut KvContext<'_, '_, '_>,
    arguments: &KvRmArgs,
    lease: &LeaseChoice,
) -> Result<Exit, Failure> {
    let Some(unit) = unit_of(context, lease)? else {
        return Err(Failure::new(Exit::USAGE, "--lease of rm is unit or unit:NAME")
            .with_hint("a key under a lease that was granted is removed as any other; its lease lives on"));
    };
    let removed = context.inner.client.unregister(&unit, &arguments.key).await;
    removed.map_err(|error| Failure::request(&format!("cannot remove {}", arguments.key), &error))?;
    tell(context, arguments, &Removed { deleted: 1, revision: None })
}
