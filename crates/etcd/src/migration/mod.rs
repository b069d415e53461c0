//! Moves a living cluster from one store to another; no unit notices.
//!
//! The old store is copied while it is in use, closed for writes by etcd's own alarm `NOSPACE`, drained and compared. Only then the
//! one key goes that held the machines back, which a closed store still removes. Until that moment nothing has happened that cannot
//! be taken back, and is (`docs/adr/0013-a-cluster-moves-by-closing-its-store.md`).

mod copy;
mod error;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use flota_registry::{
    Cluster, Entry, Key, KeyValue, Machine, MoveAnswer, MoveStep, Op, StoreTarget, StoreTls, Txn, abandon_move, codec,
    complete_move, keys, prepare_move,
};
use tokio::time::{Instant, sleep};

pub use error::MigrationError;

use crate::{ClientConfig, Committed, StoreClient, random_number};
use copy::Copy;

/// How long machines have to say whether they can go.
const ANSWER_WITHIN: Duration = Duration::from_secs(15);
/// How long the move waits for machines to arrive in the new store, and copies what is removed from the old one meanwhile.
const ARRIVE_WITHIN: Duration = Duration::from_secs(60);
/// How often it looks.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// What a move came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moved {
    /// Keys in the new store.
    pub keys: usize,
    /// Machines that have arrived there.
    pub arrived: BTreeSet<String>,
    /// Machines that lived in the old store and have not.
    pub missing: BTreeSet<String>,
}

/// A move from one store to another.
pub struct Migration {
    old: StoreClient,
    new: StoreClient,
    copy: Copy,
    target: ClientConfig,
}

fn old<T>(result: Result<T, crate::EtcdError>) -> Result<T, MigrationError> {
    result.map_err(MigrationError::From)
}

fn new<T>(result: Result<T, crate::EtcdError>) -> Result<T, MigrationError> {
    result.map_err(MigrationError::To)
}

impl Migration {
    /// Prepares the move; nothing is changed.
    pub async fn new(from: &ClientConfig, to: &ClientConfig) -> Result<Box<Migration>, MigrationError> {
        let (old, new) = (old(Box::pin(StoreClient::new(from)).await)?, new(Box::pin(StoreClient::new(to)).await)?);
        let copy = Copy::new(&old, &new);
        Ok(Box::new(Migration { old, new, copy, target: to.clone() }))
    }

    /// Moves the cluster; `tell` gets a line for each step. After an error the old store is in use as before.
    pub async fn run(mut self: Box<Self>, tell: &mut dyn FnMut(&str)) -> Result<Moved, MigrationError> {
        let cluster = Box::pin(self.check()).await?;
        let hold = self.announce(&cluster).await?;
        match Box::pin(self.copy_and_close(&cluster, hold, tell)).await {
            Ok((keys, machines)) => {
                tell("all machines go to the new store");
                Ok(Box::pin(self.see_them_off(keys, machines, tell)).await)
            }
            Err(error) => {
                // What went wrong is the news; that this may go wrong too is told beside it.
                if let Err(second) = Box::pin(abandon(&self.old, &self.copy)).await {
                    tell(&format!("cannot take the move back: {second}: run `flota store migrate --abort`"));
                }
                Err(error)
            }
        }
    }

    /// Whether the two stores are fit for it.
    async fn check(&self) -> Result<Cluster, MigrationError> {
        let key = Key::Cluster.to_string();
        let pair = old(self.old.get(&key).await)?.1.ok_or(MigrationError::NoCluster)?;
        let cluster = decode::<Cluster>(&pair)?;
        let (from, to) = self.copy.ids().await?;
        if from == to {
            return Err(MigrationError::Same);
        }
        if self.copy.has_users().await? {
            return Err(MigrationError::HasUsers);
        }
        let (_, marks) = old(self.old.range(keys::STORE).await)?;
        match MoveStep::of(&marks) {
            Ok(MoveStep::Go(target)) => return Err(MigrationError::Left { endpoints: target.endpoints.join(",") }),
            _ if !marks.is_empty() => return Err(MigrationError::UnderWay),
            _ => {}
        }
        let found = self.copy.target_keys().await?;
        if found > 0 {
            if !self.was_left(&cluster).await? {
                return Err(MigrationError::NotEmpty { keys: found });
            }
            self.copy.empty_target().await?;
        }
        Ok(cluster)
    }

    /// Whether the new store is one that this cluster has moved away from.
    async fn was_left(&self, cluster: &Cluster) -> Result<bool, MigrationError> {
        let (_, marks) = new(self.new.range(keys::STORE).await)?;
        let step = MoveStep::of(&marks);
        Ok(matches!(step, Ok(MoveStep::Go(target)) if target.cluster == cluster.id))
    }

    /// Tells the machines where it is to go; returns the revision of what holds them back.
    async fn announce(&self, cluster: &Cluster) -> Result<i64, MigrationError> {
        let path = |path: &std::path::Path| path.display().to_string();
        let tls = self.target.tls.as_ref();
        let target = StoreTarget {
            cluster: cluster.id.clone(),
            attempt: old(random_number())?,
            endpoints: self.target.endpoints.clone(),
            tls: tls.map(|files| StoreTls { ca: path(&files.ca), cert: path(&files.cert), key: path(&files.key) }),
        };
        match old(self.old.commit(&prepare_move(&target)).await)? {
            Committed::Yes(revision) => Ok(revision),
            Committed::No => Err(MigrationError::UnderWay),
        }
    }

    /// Everything up to the moment from which there is no way back.
    async fn copy_and_close(
        &mut self,
        cluster: &Cluster,
        hold: i64,
        tell: &mut dyn FnMut(&str),
    ) -> Result<(usize, BTreeSet<String>), MigrationError> {
        let machines = self.hear_machines().await?;
        tell(&format!("{} living machines reach the new store", machines.len()));
        let copied = self.copy.take().await?;
        self.copy.follow_to(self.copy.revision().await?).await?;
        tell(&format!("copied {copied} keys; closing the old store for writes"));
        self.copy.close().await?;
        self.copy.follow_to(self.copy.revision().await?).await?;
        let keys = self.copy.compare().await?;
        tell(&format!("compared {keys} keys, values and leases: equal"));
        let record = Cluster { incarnation: cluster.incarnation + 1, ..cluster.clone() };
        let op = Op::Put { key: Key::Cluster.to_string(), value: codec::encode(&record), lease: None };
        new(self.new.commit(&Txn { compares: Vec::new(), ops: vec![op] }).await)?;
        match old(self.old.commit(&complete_move(hold)).await) {
            Ok(Committed::Yes(_)) => Ok((keys, machines)),
            Ok(Committed::No) => Err(MigrationError::NotUnderWay),
            Err(error) => self.is_complete(keys, machines, error).await,
        }
    }

    /// The answer to the last step got lost: whether it happened.
    async fn is_complete(
        &self,
        keys: usize,
        machines: BTreeSet<String>,
        error: MigrationError,
    ) -> Result<(usize, BTreeSet<String>), MigrationError> {
        match old(self.old.get(&Key::StoreHold.to_string()).await)? {
            (_, None) => Ok((keys, machines)),
            _ => Err(error),
        }
    }

    /// Waits until every living machine has said that it can go.
    async fn hear_machines(&self) -> Result<BTreeSet<String>, MigrationError> {
        let deadline = Instant::now() + ANSWER_WITHIN;
        let attempt = match MoveStep::of(&old(self.old.range(keys::STORE).await)?.1) {
            Ok(MoveStep::Try(target)) => target.attempt,
            _ => return Err(MigrationError::NotUnderWay),
        };
        loop {
            let machines = self.living(&self.old).await.map_err(MigrationError::From)?;
            let mut silent = machines.clone();
            for pair in old(self.old.range(keys::MOVERS).await)?.1 {
                let machine = pair.key.trim_start_matches(keys::MOVERS).to_owned();
                let answer = decode::<MoveAnswer>(&pair)?;
                if answer.attempt != attempt {
                    continue;
                }
                if let Some(problem) = answer.problem {
                    let name =
                        machines.get(&machine).map_or(machine.clone(), |address| format!("{machine} ({address})"));
                    return Err(MigrationError::Machine { machine: name, problem });
                }
                silent.remove(&machine);
            }
            match silent.pop_first() {
                None => return Ok(machines.into_keys().collect()),
                Some((machine, address)) if Instant::now() >= deadline => {
                    return Err(MigrationError::Machine {
                        machine: format!("{machine} ({address})"),
                        problem: format!("it did not say within {} s that it can", ANSWER_WITHIN.as_secs()),
                    });
                }
                Some(_) => sleep(LOOK_AGAIN).await,
            }
        }
    }

    /// The living machines of a store with their addresses.
    async fn living(&self, store: &StoreClient) -> Result<BTreeMap<String, String>, crate::EtcdError> {
        let (_, pairs) = store.range(keys::MACHINES).await?;
        let address = |pair: &KeyValue| decode::<Machine>(pair).map(|machine| machine.address).unwrap_or_default();
        Ok(pairs.iter().map(|pair| (pair.key.trim_start_matches(keys::MACHINES).to_owned(), address(pair))).collect())
    }

    /// Copies what is still removed from the old store until all machines have arrived in the new one. Nothing that goes wrong here
    /// undoes the move.
    async fn see_them_off(&mut self, keys: usize, machines: BTreeSet<String>, tell: &mut dyn FnMut(&str)) -> Moved {
        let deadline = Instant::now() + ARRIVE_WITHIN;
        let mut moved = Moved { keys, arrived: BTreeSet::new(), missing: machines };
        while !moved.missing.is_empty() && Instant::now() < deadline {
            // The old store may be on its way down with its daemon.
            let _ = self.copy.follow_for(LOOK_AGAIN).await;
            sleep(LOOK_AGAIN).await;
            let Ok(there) = self.living(&self.new).await else { continue };
            for machine in there.into_keys() {
                if moved.missing.remove(&machine) {
                    tell(&format!("machine {machine} has arrived"));
                    moved.arrived.insert(machine);
                }
            }
        }
        moved
    }
}

/// Takes back a move that was broken off: the store takes writes again, and no machine goes.
pub async fn abort_migration(store: &ClientConfig) -> Result<(), MigrationError> {
    let store = old(Box::pin(StoreClient::new(store)).await)?;
    let copy = Copy::new(&store, &store);
    Box::pin(abandon(&store, &copy)).await
}

async fn abandon(store: &StoreClient, copy: &Copy) -> Result<(), MigrationError> {
    // First the mark: from then on the move cannot be completed by anybody.
    let (_, hold) = old(store.get(&Key::StoreHold.to_string()).await)?;
    let hold = hold.ok_or(MigrationError::NotUnderWay)?;
    match old(store.commit(&abandon_move(hold.mod_revision)).await)? {
        Committed::Yes(_) => copy.reopen().await,
        Committed::No => Err(MigrationError::NotUnderWay),
    }
}

fn decode<T: serde::de::DeserializeOwned>(pair: &KeyValue) -> Result<T, MigrationError> {
    let entry = Entry::decode(pair).map_err(|source| MigrationError::Value { key: pair.key.clone(), source })?;
    Ok(entry.value)
}
