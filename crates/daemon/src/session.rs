//! The daemon's bond with the store: lease, machine key, and the watches that every machine has.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::Context;
use flota_etcd::{Committed, EtcdError, KeepAlive, StoreClient};
use flota_registry::{
    Change, Cluster, ClusterId, Entry, Key, KeyValue, Leader, LeaseId, Machine, MachineId, Millis, Schedule,
    create_cluster, put_machine,
};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use crate::tasks::Clock;

/// First and longest wait before the store is tried again.
const RETRY_FIRST: Duration = Duration::from_millis(50);
const RETRY_MAX: Duration = Duration::from_secs(2);
/// A lease is renewed this many times before it could end.
const RENEWALS_PER_LEASE: u32 = 3;

/// A living session, as other tasks see it.
#[derive(Clone)]
pub struct Link {
    /// The way to the store.
    pub client: StoreClient,
    /// This machine's lease.
    pub lease: LeaseId,
}

/// The session as it comes and goes.
pub type LinkWatch = watch::Receiver<Option<Link>>;

/// What a session is made of.
pub struct Session {
    pub client: StoreClient,
    pub me: MachineId,
    /// What it announces; a new value is announced at once.
    pub machine: watch::Receiver<Machine>,
    pub ttl: Duration,
    pub clock: Clock,
    pub link: watch::Sender<Option<Link>>,
    pub leader: watch::Sender<Option<MachineId>>,
    pub engine: mpsc::Sender<flota_engine::Event>,
    pub agent: mpsc::Sender<flota_agent::Event>,
}

impl Session {
    /// Holds a session with the store until `shutdown`; a lost one is taken up again, with the same lease if that
    /// still lives. The lease is left to end by itself: a daemon that stops does not hand its units over.
    pub async fn run(self, shutdown: CancellationToken) {
        let mut lease = None;
        let mut wait = RETRY_FIRST;
        let mut complained = false;
        loop {
            let ended = tokio::select! {
                () = shutdown.cancelled() => return,
                ended = self.hold(&mut lease) => ended,
            };
            if self.link.send_replace(None).is_some() {
                wait = RETRY_FIRST;
                complained = false;
                // A full queue means that the engine is about to hear of the next session anyway.
                let _ = self.engine.send(flota_engine::Event::Disconnected).await;
            }
            let Err(why) = ended;
            // Once per outage: a log full of the same line hides the others.
            if complained {
                debug!("store still out of reach: {why:#}");
            } else {
                warn!("store out of reach, units run on: {why:#}");
                complained = true;
            }
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(wait) => {}
            }
            wait = (wait * 2).min(RETRY_MAX);
        }
    }

    /// Opens a session and holds it; returns only with the reason of its end.
    async fn hold(&self, lease: &mut Option<LeaseId>) -> anyhow::Result<std::convert::Infallible> {
        let cluster = self.ensure_cluster().await?;
        let (id, keep_alive, sent) = self.take_lease(*lease).await?;
        *lease = Some(id);
        let mut machine = self.machine.clone();
        self.announce(&mut machine, id).await?;

        let (leader_at, leader) = self.client.get(&Key::Leader.to_string()).await?;
        let (schedule_at, schedule) = self.client.get(&Key::Schedule(self.me.clone()).to_string()).await?;
        let mut leader_watch = self.client.watch_key(&Key::Leader.to_string(), leader_at + 1).await?;
        let schedule_key = Key::Schedule(self.me.clone()).to_string();
        let mut schedule_watch = self.client.watch_key(&schedule_key, schedule_at + 1).await?;

        info!("connected to the store of cluster {cluster} with lease {:x}", id.0);
        self.link.send_replace(Some(Link { client: self.client.clone(), lease: id }));
        let leader = leader.as_ref().and_then(decode_leader);
        self.note_leader(leader.as_ref());
        self.engine.send(flota_engine::Event::Connected { lease: id, leader }).await?;
        self.agent.send(flota_agent::Event::Connected).await?;
        // Exclusive units count on the lease only where this store has orders for this machine, and after those are known.
        let mut ordered = false;
        if let Some(pair) = schedule {
            ordered = self.offer_schedule(&pair).await?;
        }

        let (renewals, mut renewed) = watch::channel(sent);
        renewed.mark_changed();
        let renewal = self.renew(keep_alive, renewals);
        tokio::pin!(renewal);
        loop {
            tokio::select! {
                error = &mut renewal => return Err(error).context("cannot renew the lease"),
                Ok(()) = renewed.changed(), if ordered => {
                    let sent = *renewed.borrow_and_update();
                    self.agent.send(flota_agent::Event::LeaseRenewed { sent }).await?;
                }
                Ok(()) = machine.changed() => self.announce(&mut machine, id).await?,
                batch = leader_watch.next() => {
                    for change in batch?.changes {
                        let leader = match &change {
                            Change::Put(pair) => decode_leader(pair),
                            Change::Delete { .. } => None,
                        };
                        self.note_leader(leader.as_ref());
                        self.engine.send(flota_engine::Event::LeaderChanged(leader)).await?;
                    }
                }
                batch = schedule_watch.next() => {
                    for change in batch?.changes {
                        // A schedule that vanishes is silence, not an order.
                        if let Change::Put(pair) = change {
                            ordered |= self.offer_schedule(&pair).await?;
                        }
                    }
                }
            }
        }
    }

    /// The cluster's id; founds the cluster when the store is new.
    async fn ensure_cluster(&self) -> anyhow::Result<ClusterId> {
        let key = Key::Cluster.to_string();
        if let (_, None) = self.client.get(&key).await? {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            let id: ClusterId = uuid::Uuid::new_v4().simple().to_string().parse()?;
            let cluster =
                Cluster { id, created_unix_ms: u64::try_from(now.as_millis()).unwrap_or(u64::MAX), incarnation: 0 };
            if let Committed::Yes(_) = self.client.commit(&create_cluster(&cluster)).await? {
                info!("founded cluster {}", cluster.id);
            }
        }
        let (_, pair) = self.client.get(&key).await?;
        let pair = pair.context("the cluster's record vanished from the store")?;
        Ok(Entry::<Cluster>::decode(&pair).context(key)?.value.id)
    }

    /// Renews the lease of the last session, or takes a new one. Also says when that was asked for.
    async fn take_lease(&self, last: Option<LeaseId>) -> anyhow::Result<(LeaseId, KeepAlive, Millis)> {
        let sent = self.clock.now();
        if let Some(lease) = last {
            match self.client.keep_alive(lease).await {
                Ok(keep_alive) => return Ok((lease, keep_alive, sent)),
                Err(EtcdError::LeaseExpired { .. }) => {}
                Err(other) => return Err(other.into()),
            }
        }
        let sent = self.clock.now();
        let lease = self.client.grant(self.ttl).await.context("cannot take a lease")?;
        Ok((lease, self.client.keep_alive(lease).await?, sent))
    }

    /// Renews the lease for ever, and tells when each renewal that was answered had been sent; returns only with what
    /// went wrong.
    async fn renew(&self, mut keep_alive: KeepAlive, renewals: watch::Sender<Millis>) -> EtcdError {
        loop {
            tokio::time::sleep(self.ttl / RENEWALS_PER_LEASE).await;
            let sent = self.clock.now();
            if let Err(error) = keep_alive.renew().await {
                return error;
            }
            renewals.send_replace(sent);
        }
    }

    async fn announce(&self, machine: &mut watch::Receiver<Machine>, lease: LeaseId) -> anyhow::Result<()> {
        let machine = machine.borrow_and_update().clone();
        self.client.commit(&put_machine(&self.me, &machine, lease)).await.context("cannot announce this machine")?;
        Ok(())
    }

    fn note_leader(&self, leader: Option<&Entry<Leader>>) {
        self.leader.send_replace(leader.map(|entry| entry.value.machine.clone()));
    }

    /// Hands a schedule to the agent; says whether it could be read.
    async fn offer_schedule(&self, pair: &KeyValue) -> anyhow::Result<bool> {
        match Entry::<Schedule>::decode(pair) {
            Ok(entry) => {
                self.agent.send(flota_agent::Event::Schedule(entry.value)).await?;
                Ok(true)
            }
            Err(why) => {
                error!("this machine's schedule cannot be read, its units run on unchanged: {why}");
                Ok(false)
            }
        }
    }
}

fn decode_leader(pair: &KeyValue) -> Option<Entry<Leader>> {
    Entry::decode(pair).map_err(|why| error!("the leader's record cannot be read: {why}")).ok()
}
