//! `kv lease`: grant leases and look after them, and see what units have registered.

use std::time::Duration;

use etcd_client::{Error, LeaseTimeToLiveOptions};
use flota_api::registrations::RegistrationState;
use serde::Serialize;

use super::KvContext;
use crate::{
    cli::{Format, KvLeaseVerb},
    exit::Exit,
    failure::Failure,
    kv::{LeaseNumber, Store, call_failed, error_text, shown},
    output::table::{Field, Layout, or_dash, render},
    run::interrupted,
};

/// A lease is renewed this many times before it could end.
const RENEWALS_PER_LEASE: u32 = 3;
const RETRY: Duration = Duration::from_millis(500);

const UNIT_FIELDS: &[Field<RegistrationState>] = &[
    Field { name: "unit", cell: |row, _| row.unit.clone() },
    Field { name: "key", cell: |row, _| row.key.clone() },
    Field { name: "value", cell: |row, _| row.value.bytes().map_or(String::new(), |value| shown(&value)) },
    Field { name: "ttl", cell: |row, _| format!("{}s", row.ttl_seconds) },
    Field { name: "lease", cell: |row, _| or_dash(row.lease.as_deref().unwrap_or_default()) },
    Field { name: "problem", cell: |row, _| or_dash(row.problem.as_deref().unwrap_or_default()) },
];

/// A lease as JSON.
#[derive(Debug, Serialize)]
struct Granted {
    lease: String,
    ttl_seconds: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    left_seconds: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    keys: Option<Vec<String>>,
}

/// Runs the verb.
pub async fn run(context: &mut KvContext<'_, '_, '_>, verb: KvLeaseVerb) -> Result<Exit, Failure> {
    match verb {
        KvLeaseVerb::Grant { ttl, print } => grant(context, ttl, print.output).await,
        KvLeaseVerb::Revoke { lease } => {
            let store = context.store().await?;
            let revoked = store.call(store.client.lease_client().revoke(lease.0)).await;
            revoked.map_err(call_failed(&store, || format!("cannot revoke lease {lease}")))?;
            Ok(Exit::SUCCESS)
        }
        KvLeaseVerb::KeepAlive { lease, once: true } => {
            let store = context.store().await?;
            let renewed = renew(&store, lease).await;
            let left = renewed.map_err(call_failed(&store, || format!("cannot renew lease {lease}")))?;
            left.map(|_| Exit::SUCCESS).ok_or_else(|| ended(lease))
        }
        KvLeaseVerb::KeepAlive { lease, once: false } => {
            let store = context.store().await?;
            tokio::select! {
                failure = keep_alive(context, &store, lease) => failure,
                () = interrupted() => Ok(Exit::SUCCESS),
            }
        }
        KvLeaseVerb::List { units: true, print } => units(context, print.output).await,
        KvLeaseVerb::List { units: false, print } => list(context, print.output).await,
        KvLeaseVerb::Show { lease, print } => show(context, lease, print.output).await,
    }
}

async fn grant(context: &mut KvContext<'_, '_, '_>, ttl: u32, output: Format) -> Result<Exit, Failure> {
    let store = context.store().await?;
    let granted = store.call(store.client.lease_client().grant(ttl.into(), None)).await;
    let granted = granted.map_err(call_failed(&store, || "cannot grant a lease".to_owned()))?;
    let lease = LeaseNumber(granted.id()).to_string();
    match output {
        Format::Text => context.inner.printer.line(&lease)?,
        Format::Json => {
            let lease = Granted { lease, ttl_seconds: granted.ttl(), left_seconds: None, keys: None };
            context.inner.printer.json_line(&lease)?;
        }
    }
    Ok(Exit::SUCCESS)
}

/// Renews a lease and returns the seconds that it lives now; none if the store does not know it.
async fn renew(store: &Store, lease: LeaseNumber) -> Result<Option<u32>, Error> {
    match store.call(store.client.lease_client().keep_alive(lease.0)).await {
        Ok(_) => {}
        // What the client makes of the answer for an unknown lease.
        Err(Error::LeaseKeepAliveError(_)) => return Ok(None),
        Err(error) => return Err(error),
    }
    let left = store.call(store.client.lease_client().time_to_live(lease.0, None)).await?;
    Ok(u32::try_from(left.granted_ttl()).ok().filter(|ttl| *ttl > 0))
}

/// Renews a lease for ever; returns only with what went wrong.
async fn keep_alive(context: &mut KvContext<'_, '_, '_>, store: &Store, lease: LeaseNumber) -> Result<Exit, Failure> {
    let failed = call_failed(store, || format!("cannot renew lease {lease}"));
    let mut ttl = renew(store, lease).await.map_err(&failed)?.ok_or_else(|| ended(lease))?;
    let mut complained = false;
    loop {
        let wait = if complained { RETRY } else { Duration::from_secs(ttl.into()) / RENEWALS_PER_LEASE };
        tokio::time::sleep(wait).await;
        match renew(store, lease).await {
            Ok(Some(now)) => (ttl, complained) = (now, false),
            Ok(None) => return Err(ended(lease)),
            Err(error) => {
                if !complained {
                    context.inner.printer.say(&format!("{}; trying again", error_text(error)));
                }
                complained = true;
            }
        }
    }
}

fn ended(lease: LeaseNumber) -> Failure {
    Failure::new(Exit::FAILURE, format!("lease {lease} has ended, or never was"))
}

async fn list(context: &mut KvContext<'_, '_, '_>, output: Format) -> Result<Exit, Failure> {
    let store = context.store().await?;
    let leases = store.call(store.client.lease_client().leases()).await;
    let leases = leases.map_err(call_failed(&store, || "cannot list leases".to_owned()))?;
    let ids: Vec<String> = leases.leases().iter().map(|lease| LeaseNumber(lease.id()).to_string()).collect();
    match output {
        Format::Text => context.inner.printer.data(&lines(&ids))?,
        Format::Json => context.inner.printer.json(&ids)?,
    }
    Ok(Exit::SUCCESS)
}

async fn units(context: &mut KvContext<'_, '_, '_>, output: Format) -> Result<Exit, Failure> {
    let context = &mut *context.inner;
    let registrations = context.client.registrations().await;
    let registrations =
        registrations.map_err(|error| Failure::request("cannot list what units have registered", &error))?;
    match output {
        Format::Json => context.printer.json(&registrations)?,
        Format::Text => {
            let layout = Layout { fields: "unit,key,value,ttl,lease,problem", full: false, no_legend: false };
            context.printer.data(&render(UNIT_FIELDS, layout, &registrations, context.style)?)?;
        }
    }
    Ok(Exit::SUCCESS)
}

async fn show(context: &mut KvContext<'_, '_, '_>, lease: LeaseNumber, output: Format) -> Result<Exit, Failure> {
    let store = context.store().await?;
    let options = LeaseTimeToLiveOptions::new().with_keys();
    let shown_lease = store.call(store.client.lease_client().time_to_live(lease.0, Some(options))).await;
    let found = shown_lease.map_err(call_failed(&store, || format!("cannot show lease {lease}")))?;
    if found.ttl() < 0 {
        return Err(ended(lease));
    }
    let keys: Vec<String> = found.keys().iter().map(|key| shown(key)).collect();
    let printer = &mut *context.inner.printer;
    match output {
        Format::Json => {
            let (lease, left) = (lease.to_string(), Some(found.ttl()));
            printer.json(&Granted { lease, ttl_seconds: found.granted_ttl(), left_seconds: left, keys: Some(keys) })?;
        }
        Format::Text => {
            printer.line(&format!("lease {lease}: {}s of {}s left", found.ttl(), found.granted_ttl()))?;
            printer.data(&lines(&keys))?;
        }
    }
    Ok(Exit::SUCCESS)
}

fn lines(texts: &[String]) -> String {
    texts.iter().flat_map(|text| [text, "\n"]).collect()
}
