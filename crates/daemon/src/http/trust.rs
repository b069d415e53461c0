//! `/v1/store/trust`: whether the store is believed, and people's word that it is to be.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode};
use flota_agent::Held;
use flota_agent::trust::{Distrust, Doubt, Known, accepted};
use flota_api::trust::{Accepted, Holding, StoreTrust};
use flota_etcd::{Committed, StoreClient};
use flota_registry::{Cluster, ClusterSnapshot, Entry, MachineId, accept_store, keys};
use tokio::sync::watch;

use super::Api;
use super::error::{ApiError, method_not_allowed};
use crate::clock::now_unix_ms;

/// How often the word is written anew when somebody else wrote his in between.
const MAX_TRIES: usize = 3;

/// What the API knows of this machine's belief in the store.
pub struct Trust {
    /// The way to the store, believed or not.
    pub client: StoreClient,
    /// Why it is not believed, while it is not.
    pub distrust: watch::Receiver<Option<Distrust>>,
    /// What this machine holds.
    pub held: watch::Receiver<Held>,
}

impl Trust {
    /// Why the store is not believed, while it is not.
    pub fn reason(&self) -> Option<String> {
        self.distrust.borrow().as_ref().map(ToString::to_string)
    }

    /// The same for the head of an answer.
    pub fn header(&self) -> Option<HeaderValue> {
        HeaderValue::from_str(&self.reason()?).ok()
    }
}

pub async fn wrong_method() -> ApiError {
    method_not_allowed("GET and POST")
}

/// What would be accepted, and what of it each machine has.
pub async fn show(State(api): State<Arc<Api>>) -> Result<Json<StoreTrust>, ApiError> {
    let (_, pairs) = api.trust.client.range(keys::PREFIX).await?;
    Ok(Json(trust(&api, &ClusterSnapshot::from_range(0, pairs))))
}

/// Takes the store for the truth; the machines see the cluster's record change and draw the consequence.
pub async fn accept(State(api): State<Arc<Api>>) -> Result<(StatusCode, Json<Accepted>), ApiError> {
    let client = &api.trust.client;
    for _ in 0..MAX_TRIES {
        let (_, pairs) = client.range(keys::PREFIX).await?;
        let snapshot = ClusterSnapshot::from_range(0, pairs);
        let trust = trust(&api, &snapshot);
        if !trust.acceptable {
            let why = trust.frozen.unwrap_or_else(|| "every machine takes this store for the truth".to_owned());
            return Err(ApiError::conflict(format!("there is nothing to accept: {why}")));
        }
        let record = snapshot.cluster();
        let known = known(&api, record).ok_or_else(|| ApiError::conflict("this machine belongs to no cluster"))?;
        let cluster = accepted(&known, record.map(|entry| &entry.value), now_unix_ms());
        let txn = accept_store(&cluster, record.map(|entry| entry.mod_revision));
        if let Committed::Yes(_) = client.commit(&txn).await? {
            tracing::warn!("this store was accepted for the truth: incarnation {}", cluster.incarnation);
            let answer = Accepted { cluster: cluster.id.to_string(), incarnation: cluster.incarnation };
            return Ok((StatusCode::OK, Json(answer)));
        }
    }
    Err(ApiError::contended())
}

/// What this machine knows of the cluster, or where it believes the store and others do not, what the store says.
fn known(api: &Api, record: Option<&Entry<Cluster>>) -> Option<Known> {
    let distrust = api.trust.distrust.borrow().clone();
    distrust.map(|why| why.known).or_else(|| {
        let Cluster { id, incarnation, .. } = record?.value.clone();
        Some(Known { cluster: id, incarnation, revision: 0, store: None })
    })
}

fn trust(api: &Api, snapshot: &ClusterSnapshot) -> StoreTrust {
    let distrust = api.trust.distrust.borrow().clone();
    let holds = |id: &MachineId| {
        if *id == api.me {
            let held = api.trust.held.borrow();
            return held.schedule.as_ref().map(|it| (it.generation.0, it.units.len()));
        }
        let report = &snapshot.reports().get(id)?.value;
        Some((report.generation.0, report.units.len()))
    };
    let others = snapshot.machines().keys().chain(snapshot.schedules().keys());
    let mut ids: Vec<&MachineId> = others.chain([&api.me]).collect();
    ids.sort();
    ids.dedup();
    // What another cluster's store has is none of this machine's business.
    let foreign = distrust.as_ref().is_some_and(|why| matches!(why.doubt, Doubt::Foreign(_)));
    ids.retain(|id| !foreign || **id == api.me);
    let machines: Vec<Holding> = ids
        .into_iter()
        .map(|id| {
            let machine = snapshot.machines().get(id).map(|entry| &entry.value);
            let own = distrust.as_ref().filter(|_| *id == api.me).map(ToString::to_string);
            let schedule = snapshot.schedules().get(id).filter(|_| !foreign).map(|entry| &entry.value);
            let holds = holds(id);
            Holding {
                machine: id.to_string(),
                address: machine.map_or_else(String::new, |machine| machine.address.clone()),
                frozen: own.or_else(|| machine.and_then(|machine| machine.frozen.clone())),
                holds_generation: holds.map(|(generation, _)| generation),
                holds_units: holds.map(|(_, units)| units),
                store_generation: schedule.map(|schedule| schedule.generation.0),
                store_units: schedule.map(|schedule| schedule.units.len()),
            }
        })
        .collect();
    StoreTrust {
        acceptable: match &distrust {
            Some(why) => why.is_acceptable(),
            None => machines.iter().any(|machine| machine.frozen.is_some()),
        },
        frozen: distrust.as_ref().map(ToString::to_string),
        machines,
    }
}
