//! Carries requests for keys out on the store.

use std::collections::BTreeSet;
use std::sync::Arc;

use etcd_client::proto::{PbRangeRequest, PbTxnOpRequest, PbTxnOpResponse, PbTxnRequestOp};
use futures_util::{StreamExt, stream};

use super::change::{self, Next};
use super::core::{Core, now, times};
use super::error::{Code, V2Error};
use super::facts::{Directory, Facts};
use super::journal::Record;
use super::node::{Action, Event, Times, Tree};
use super::path::{KeyPath, Span};
use super::removal;
use super::request::{Change, Read, Removal, Verb};
use super::time::Millis;
use super::wire;

/// Attempts against changes made at the same time.
const MAX_ATTEMPTS: usize = 64;
/// Keys read with the first request for a directory, and with each one after it.
const PAGE: (i64, i64) = (256, 1000);
/// Values read in one transaction (etcd takes 128 operations).
const MAX_VALUES: usize = 100;
/// Leases of v3 clients asked about for one listing; of more, no time to live is shown.
const MAX_FOREIGN: usize = 64;
/// At a time.
const MAX_AT_ONCE: usize = 8;

/// An event, and the store's index when it was made.
pub type Outcome = Result<(Arc<Event>, i64), V2Error>;

fn contended(revision: i64) -> V2Error {
    V2Error::new(Code::Internal, "too many changes at the same time").at(revision)
}

/// Reads a file or directory.
pub async fn read(core: &Core, read: &Read) -> Outcome {
    let path = &read.path;
    let inside = path.inside();
    for _ in 0..MAX_ATTEMPTS {
        let page = PbRangeRequest { keys_only: false, ..wire::names(inside.clone(), PAGE.0) };
        let answer = core.store.reads(vec![wire::get(path.key()), wire::range(page)]).await?;
        let revision = answer.revision;
        let mut responses = answer.responses.into_iter();
        let file = wire::pairs(responses.next()).pop().filter(|_| !path.is_root());
        if let Some(file) = file {
            let mut times = times();
            look_up(core, vec![file.lease], &mut times).await;
            return Ok((got(times.file(&file)), revision));
        }
        let page = match responses.next().and_then(|response| response.response) {
            Some(PbTxnOpResponse::ResponseRange(page)) => page,
            _ => Default::default(),
        };
        if page.kvs.is_empty() && !path.is_root() {
            let answer = core.store.reads(Facts::ask(path)).await?;
            let facts = Facts::read(path, answer.revision, answer.responses);
            if facts.file.is_none() && facts.directory.is_none() {
                return Err(facts.not_found(path));
            }
            continue; // It was made in between.
        }
        let mut tree = Tree::new(path.clone());
        let last = page.kvs.last().map(|pair| pair.key.clone());
        page.kvs.into_iter().for_each(|pair| tree.add(pair));
        if let (true, Some(last)) = (page.more, last) {
            read_rest(core, read.recursive, &last, inside.end, revision, &mut tree).await?;
        }
        let (mut foreign, mut times) = (Vec::new(), times());
        tree.foreign_leases(&mut foreign);
        look_up(core, foreign, &mut times).await;
        return Ok((got(tree.show(read.recursive, &times)), revision));
    }
    Err(contended(0))
}

fn got(node: super::node::Node) -> Arc<Event> {
    Arc::new(Event { action: Action::Get, node: Some(node), prev_node: None })
}

/// Reads a large directory to its end, at one revision; without `values` only those that are directly in it.
async fn read_rest(
    core: &Core,
    values: bool,
    last: &[u8],
    end: Vec<u8>,
    revision: i64,
    tree: &mut Tree,
) -> Result<(), V2Error> {
    let mut from = [last, &[0]].concat();
    loop {
        let span = Span::new(from, end.clone());
        let page = PbRangeRequest { keys_only: !values, revision, ..wire::names(span, PAGE.1) };
        let (_, page) = core.store.range(page).await?;
        let Some(pair) = page.kvs.last() else { break };
        from = [&pair.key[..], &[0]].concat();
        page.kvs.into_iter().for_each(|pair| tree.add(pair));
        if !page.more {
            break;
        }
    }
    let missing = tree.files().filter(|file| !values && file.key.as_slice() > last);
    let missing: Vec<Vec<u8>> = missing.map(|file| file.key.clone()).collect();
    for keys in missing.chunks(MAX_VALUES) {
        let get = |key: &Vec<u8>| {
            let range = PbRangeRequest { key: key.clone(), revision, ..PbRangeRequest::default() };
            PbTxnRequestOp { request: Some(PbTxnOpRequest::RequestRange(range)) }
        };
        let answer = core.store.reads(keys.iter().map(get).collect()).await?;
        for response in answer.responses {
            for pair in wire::pairs(Some(response)) {
                tree.fill(pair);
            }
        }
    }
    Ok(())
}

/// Looks up when the leases of v3 clients end.
async fn look_up(core: &Core, leases: Vec<i64>, times: &mut Times) {
    let foreign = |lease: &i64| *lease != 0 && super::ttl::Tag::of(*lease).is_none();
    let leases: BTreeSet<i64> = leases.into_iter().filter(foreign).take(MAX_FOREIGN).collect();
    let found = stream::iter(leases).map(|lease| async move { (lease, core.store.lease(lease).await) });
    let found: Vec<_> = found.buffer_unordered(MAX_AT_ONCE).collect().await;
    for (lease, left) in found {
        if let Ok(Some((seconds, _))) = left {
            times.others.insert(lease, Millis(now().0.saturating_add(seconds.saturating_mul(1000))));
        }
    }
}

/// Carries a write out.
pub async fn change(core: &Core, change: &Change) -> Outcome {
    if change.path.is_root() && change.verb != Verb::Append {
        let revision = core.store.revision().await?;
        return Err(V2Error::new(Code::RootReadOnly, "/").at(revision));
    }
    let lease = core.lease(change.ttl, change::makes_directory(change)).await?;
    let outcome = try_change(core, change, lease).await;
    if outcome.is_err() {
        core.release(lease);
    }
    outcome
}

async fn try_change(core: &Core, change: &Change, lease: i64) -> Outcome {
    let mut revision = 0;
    for _ in 0..MAX_ATTEMPTS {
        let (path, order) = match change.verb {
            Verb::Append => {
                let (revision, last) = core.store.range(change::ask_last(&change.path)).await?;
                let (path, order) = change::append(&change.path, revision, last.kvs.first());
                (path, Some(order))
            }
            _ => (change.path.clone(), None),
        };
        let ticket = core.journal.begin(&path);
        let answer = core.store.txn(change::plan(change, &path, lease, order)).await?;
        revision = answer.revision;
        if answer.succeeded {
            let (event, prev) = change::done(change, &path, lease, revision, answer.responses, &times());
            let event = Arc::new(event);
            ticket.done(revision, Record { path, event: Arc::clone(&event), refresh: change.refreshes() });
            core.release(prev.map_or(0, |prev| prev.lease));
            return Ok((event, revision));
        }
        drop(ticket);
        let facts = Facts::read(&path, revision, answer.responses);
        match change::failed(change, &path, &facts) {
            Next::Refuse(error) => return Err(error),
            Next::Again => {}
            Next::Directory(directory) => {
                if let Some(done) = update_directory(core, change, &directory, lease).await? {
                    return Ok(done);
                }
            }
        }
    }
    Err(contended(revision))
}

/// Gives a directory another time to live; None if it is not there any more.
async fn update_directory(
    core: &Core,
    change: &Change,
    directory: &Directory,
    file_lease: i64,
) -> Result<Option<(Arc<Event>, i64)>, V2Error> {
    let path = &change.path;
    let lease = core.lease(change.ttl, true).await?;
    let ticket = core.journal.begin(path);
    let answer = core.store.txn(change::directory_update(path, directory, lease)).await?;
    if !answer.succeeded {
        core.release(lease);
        return Ok(None);
    }
    let event = change::directory_updated(path, directory, lease, answer.revision, &times());
    let event = Arc::new(event);
    let record = Record { path: path.clone(), event: Arc::clone(&event), refresh: change.refreshes() };
    ticket.done(answer.revision, record);
    core.release(file_lease);
    core.release(directory.marker.unwrap_or(0));
    Ok(Some((event, answer.revision)))
}

/// Carries a removal out.
pub async fn remove(core: &Core, removal: &Removal) -> Outcome {
    let path: &KeyPath = &removal.path;
    let mut revision = 0;
    for _ in 0..MAX_ATTEMPTS {
        let answer = core.store.reads(Facts::ask(path)).await?;
        let facts = Facts::read(path, answer.revision, answer.responses);
        let plan = removal::plan(removal, &facts, &times())?;
        let ticket = core.journal.begin(path);
        let answer = core.store.txn(plan.txn.clone()).await?;
        revision = answer.revision;
        if answer.succeeded {
            let lease = plan.lease;
            let event = Arc::new(plan.done(revision));
            ticket.done(revision, Record { path: path.clone(), event: Arc::clone(&event), refresh: false });
            core.release(lease);
            return Ok((event, revision));
        }
    }
    Err(contended(revision))
}
