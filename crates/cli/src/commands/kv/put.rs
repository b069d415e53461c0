//! `kv put`: set a key, on conditions, for a time, or for the life of a unit.

use std::io::Read;

use etcd_client::{Compare, CompareOp, PutOptions, Txn, TxnOp, TxnOpResponse};
use flota_api::registrations::{Registration, Value};
use serde::Serialize;

use super::{KvContext, unit_of};
use crate::{
    cli::{Format, KvPutArgs},
    exit::Exit,
    failure::Failure,
    kv::{LeaseChoice, LeaseNumber, Range, Store, call_failed, refuse_reserved, shown},
};

/// The value that stands for standard input.
const STDIN: &str = "-";

/// What was put, as JSON.
#[derive(Debug, Serialize)]
struct Put<'a> {
    key: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    revision: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lease: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unit: Option<&'a str>,
    /// Why the key is not in the store yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
}

/// Runs the verb.
pub async fn run(context: &mut KvContext<'_, '_, '_>, arguments: KvPutArgs) -> Result<Exit, Failure> {
    let unit = match &arguments.lease {
        Some(lease) => unit_of(context, lease)?,
        None => None,
    };
    check(&arguments, unit.is_some())?;
    let value = value(&arguments)?;
    if let Some(unit) = unit {
        return register(context, &arguments, &unit, value).await;
    }
    refuse_reserved(&Range::key(&arguments.key))?;
    let store = context.store().await?;
    let (lease, granted) = match (&arguments.lease, arguments.ttl) {
        (Some(LeaseChoice::Number(lease)), _) => (Some(*lease), false),
        (_, Some(ttl)) => (Some(grant(&store, ttl).await?), true),
        _ => (None, false),
    };
    let written = write(&store, &arguments, value, lease).await;
    if let (true, Some(lease), Err(_)) = (granted, lease, &written) {
        // Nothing is under it, and it would end by itself.
        let _ = store.call(store.client.lease_client().revoke(lease.0)).await;
    }
    let revision = written?;
    if arguments.print.output == Format::Json {
        let lease = lease.map(|lease| lease.to_string());
        let put = Put { key: &arguments.key, revision: Some(revision), lease, unit: None, detail: None };
        context.inner.printer.json_line(&put)?;
    }
    Ok(Exit::SUCCESS)
}

/// Refuses what does not go together.
fn check(arguments: &KvPutArgs, registers: bool) -> Result<(), Failure> {
    let conditional = arguments.create || arguments.prev_value.is_some();
    match &arguments.lease {
        Some(_) if registers && conditional => Err(Failure::new(
            Exit::USAGE,
            "--create and --prev-value do not go with --lease unit: the key is put again whenever the store lost it",
        )),
        Some(LeaseChoice::Number(lease)) if arguments.ttl.is_some() => {
            Err(Failure::new(Exit::USAGE, format!("--ttl does not go with --lease {lease}: the lease has its own")))
        }
        _ => Ok(()),
    }
}

fn value(arguments: &KvPutArgs) -> Result<Vec<u8>, Failure> {
    if let Some(path) = &arguments.file {
        return std::fs::read(path)
            .map_err(|error| Failure::new(Exit::FAILURE, format!("cannot read {}: {error}", path.display())));
    }
    match arguments.value.as_deref() {
        Some(STDIN) => {
            let mut value = Vec::new();
            let read = std::io::stdin().lock().read_to_end(&mut value);
            read.map_err(|error| Failure::new(Exit::FAILURE, format!("cannot read standard input: {error}")))?;
            Ok(value)
        }
        text => Ok(text.unwrap_or_default().as_bytes().to_vec()),
    }
}

async fn grant(store: &Store, ttl: u32) -> Result<LeaseNumber, Failure> {
    let granted = store.call(store.client.lease_client().grant(ttl.into(), None)).await;
    Ok(LeaseNumber(granted.map_err(call_failed(store, || "cannot grant a lease".to_owned()))?.id()))
}

/// Writes the key if the conditions hold; returns the revision.
async fn write(
    store: &Store,
    arguments: &KvPutArgs,
    value: Vec<u8>,
    lease: Option<LeaseNumber>,
) -> Result<i64, Failure> {
    let key = arguments.key.as_str();
    let options = lease.map(|LeaseNumber(id)| PutOptions::new().with_lease(id));
    let condition = match &arguments.prev_value {
        Some(previous) => Some(Compare::value(key, CompareOp::Equal, previous.as_str())),
        None => arguments.create.then(|| Compare::create_revision(key, CompareOp::Equal, 0)),
    };
    let txn = Txn::new().when(condition.into_iter().collect::<Vec<_>>());
    let txn = txn.and_then([TxnOp::put(key, value, options)]).or_else([TxnOp::get(key, None)]);
    let response = store.call(store.kv().txn(txn)).await;
    let response = response.map_err(call_failed(store, || format!("cannot put {key}")))?;
    if response.succeeded() {
        return Ok(response.header().map_or(0, etcd_client::ResponseHeader::revision));
    }
    let there = response.op_responses().into_iter().find_map(|answer| match answer {
        TxnOpResponse::Get(got) => got.kvs().first().cloned(),
        _ => None,
    });
    Err(Failure::new(
        Exit::FAILURE,
        match (there, arguments.create) {
            (Some(pair), true) => format!("{key} is there already, since revision {}", pair.create_revision()),
            (Some(pair), false) => format!("the value of {key} is another one: {}", shown(pair.value())),
            (None, _) => format!("there is no key {key}"),
        },
    ))
}

/// Lets the daemon of this machine put the key, and look after it.
async fn register(
    context: &mut KvContext<'_, '_, '_>,
    arguments: &KvPutArgs,
    unit: &str,
    value: Vec<u8>,
) -> Result<Exit, Failure> {
    let registration = Registration {
        unit: unit.to_owned(),
        key: arguments.key.clone(),
        value: Value::new(&value),
        ttl_seconds: arguments.ttl,
    };
    let registered = context.inner.client.register(&registration).await;
    let registered = registered
        .map_err(|error| Failure::request(&format!("cannot register {} for {unit}", arguments.key), &error))?;
    let printer = &mut *context.inner.printer;
    if let Some(detail) = &registered.detail {
        printer.say(&format!("{} is registered for {unit} and follows later: {detail}", arguments.key));
    }
    if arguments.print.output == Format::Json {
        let (lease, detail) = (registered.lease, registered.detail);
        printer.json_line(&Put { key: &arguments.key, revision: None, lease, unit: Some(unit), detail })?;
    }
    Ok(Exit::SUCCESS)
}
