//! Feeds the engine: leadership and cluster changes in, fenced commits out.

use std::time::Duration;

use flota_engine::{Decision, Effect, Engine, Event, Outcome, Ticket};
use flota_etcd::{Committed, EtcdError, StoreClient};
use flota_registry::{ClusterSnapshot, MachineId, Txn, keys};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{error, info, warn};

use super::Clock;
use crate::session::LinkWatch;

/// How long a broken cluster watch waits before everything is read again.
const RELOAD_WAIT: Duration = Duration::from_millis(200);

/// The task.
pub struct EngineTask {
    pub engine: Engine,
    pub link: LinkWatch,
    pub clock: Clock,
    /// Where results come back to the engine.
    pub events: mpsc::Sender<Event>,
    /// The watch of the whole cluster, while this machine leads.
    pub feed: Option<AbortHandle>,
}

impl EngineTask {
    /// Runs until `shutdown`.
    pub async fn run(mut self, mut inbox: mpsc::Receiver<Event>, shutdown: CancellationToken) {
        let calls = TaskTracker::new();
        loop {
            let event = tokio::select! {
                () = shutdown.cancelled() => return,
                event = inbox.recv() => match event {
                    Some(event) => event,
                    None => return,
                },
                () = self.clock.wait_until(self.engine.deadline()) => Event::Tick,
            };
            let led = self.engine.is_leader();
            for effect in self.engine.handle(self.clock.now(), event) {
                self.carry_out(effect, &calls);
            }
            match (led, self.engine.is_leader()) {
                (false, true) => info!("this machine leads"),
                (true, false) => info!("this machine does not lead any more"),
                _ => {}
            }
        }
    }

    fn carry_out(&mut self, effect: Effect, calls: &TaskTracker) {
        match effect {
            Effect::Record(decisions) => decisions.iter().for_each(record),
            Effect::RecordUnplaced(units) => {
                for unit in units {
                    warn!("{unit}: no machine can take it (flota why {unit})");
                }
            }
            Effect::RecordNote(note) => info!("{note}"),
            Effect::RecordFrozen(why) => error!("placement stands still, units run on: {why}"),
            Effect::Probe { machine, peer, through } => {
                drop(calls.spawn(probe(machine, peer, through, self.events.clone())));
            }
            Effect::DropCluster => self.drop_feed(),
            Effect::LoadCluster | Effect::Campaign(_) | Effect::Commit { .. } => {
                let Some(client) = self.link.borrow().as_ref().map(|link| link.client.clone()) else {
                    return; // The engine is about to hear that the store is away.
                };
                let events = self.events.clone();
                match effect {
                    Effect::Campaign(txn) => drop(calls.spawn(campaign(client, txn))),
                    Effect::Commit { ticket, txn } => drop(calls.spawn(commit(client, ticket, txn, events))),
                    _ => {
                        self.drop_feed();
                        self.feed = Some(calls.spawn(feed(client, events)).abort_handle());
                    }
                }
            }
        }
    }

    fn drop_feed(&mut self) {
        if let Some(feed) = self.feed.take() {
            feed.abort();
        }
    }
}

async fn campaign(client: StoreClient, txn: Txn) {
    // Won or lost, the leader key tells; a campaign that got lost is repeated by the engine.
    if let Err(error) = client.commit(&txn).await {
        warn!("campaign: {error}");
    }
}

async fn commit(client: StoreClient, ticket: Ticket, txn: Txn, events: mpsc::Sender<Event>) {
    let outcome = match client.commit(&txn).await {
        Ok(Committed::Yes(revision)) => Outcome::Committed(revision),
        Ok(Committed::No) => Outcome::Refused,
        Err(error) => {
            warn!("commit: {error}");
            if error.outcome_unknown() { Outcome::Unknown } else { Outcome::Refused }
        }
    };
    // The receiver is gone only when the daemon ends.
    let _ = events.send(Event::Finished { ticket, outcome }).await;
}

/// Finds out whether a machine lives, from here or through another one.
async fn probe(machine: MachineId, peer: String, through: Option<(MachineId, String)>, events: mpsc::Sender<Event>) {
    let (through, found) = match through {
        None => (None, crate::peer::probe(&peer, &machine).await),
        Some((other, address)) => (Some(other), crate::peer::ask(&address, &machine).await),
    };
    let seen_by = through.as_ref().map_or("this machine", MachineId::short);
    info!("machine {} has no lease; {seen_by} finds it {found}", machine.short());
    // The receiver is gone only when the daemon ends.
    let _ = events.send(Event::Probed { machine, through, found }).await;
}

/// Reads the whole cluster, then passes on every change; starts over when the watch breaks.
async fn feed(client: StoreClient, events: mpsc::Sender<Event>) {
    loop {
        let Err(error) = feed_once(&client, &events).await;
        warn!("cluster watch: {error}; reading everything again");
        tokio::time::sleep(RELOAD_WAIT).await;
    }
}

async fn feed_once(client: &StoreClient, events: &mpsc::Sender<Event>) -> Result<std::convert::Infallible, EtcdError> {
    let gone = |_| EtcdError::Ended { what: "watch", reason: "the daemon ends".to_owned() };
    let (revision, pairs) = client.range(keys::PREFIX).await?;
    let snapshot = Box::new(ClusterSnapshot::from_range(revision, pairs));
    events.send(Event::Snapshot(snapshot)).await.map_err(gone)?;
    let mut watch = client.watch_prefix(keys::PREFIX, revision + 1).await?;
    loop {
        let batch = watch.next().await?;
        events.send(Event::Changes { revision: batch.revision, changes: batch.changes }).await.map_err(gone)?;
    }
}

fn record(decision: &Decision) {
    let Decision { unit, from, to, cause, .. } = decision;
    let short = |id: &Option<MachineId>| id.as_ref().map_or_else(|| "nowhere".to_owned(), |id| id.short().to_owned());
    info!("{unit}: from {} to {}: {cause}", short(from), short(to));
}
