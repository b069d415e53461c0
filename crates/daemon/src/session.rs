//! The daemon's bond with the store: whether it is believed, lease, machine key, and the watches that every machine has.

mod goodbye;
mod put_back;
#[cfg(test)]
mod tests;

use std::convert::Infallible;
use std::time::Duration;

use anyhow::Context;
use flota_agent::Held;
use flota_agent::trust::{Distrust, Known, Shown, StoreId, Verdict, doubt_schedule, judge};
use flota_etcd::{Committed, EtcdError, KeepAlive, StoreClient};
use flota_registry::{
    Change, Cluster, Compare, Entry, Key, KeyValue, Leader, LeaseId, Machine, MachineId, Member, Millis, Schedule,
    create_cluster, put_machine, put_member,
};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use self::goodbye::say_goodbye;
pub use self::goodbye::{MAX_GOODBYE, machine_goes_down};
use self::put_back::put_back;
use crate::clock::now_unix_ms;
use crate::config::PortChoice;
use crate::disk::AgentDir;
use crate::leave::Desk;
use crate::tasks::Clock;

/// First and longest wait before the store is tried again.
const RETRY_FIRST: Duration = Duration::from_millis(50);
const RETRY_MAX: Duration = Duration::from_secs(2);
/// A lease is renewed this many times before it could end.
const RENEWALS_PER_LEASE: u32 = 3;
/// How often a store that is not believed is looked at again, should the watch of its record be silent.
const LOOK_AGAIN: Duration = Duration::from_secs(3);
/// How long a machine that has put back what it holds stands still, so that no leader decides before the others have
/// put back theirs.
const SETTLE: Duration = Duration::from_secs(5);

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
    /// Where it answers whoever asks whether it lives.
    pub peer: PortChoice,
    pub ttl: Duration,
    pub clock: Clock,
    /// What it remembers of its cluster's store.
    pub known: Option<Known>,
    /// What the agent has on its disk.
    pub held: watch::Receiver<Held>,
    pub dir: AgentDir,
    /// Why the store is not believed, while it is not.
    pub distrust: watch::Sender<Option<Distrust>>,
    pub link: watch::Sender<Option<Link>>,
    pub leader: watch::Sender<Option<MachineId>>,
    pub engine: mpsc::Sender<flota_engine::Event>,
    pub agent: mpsc::Sender<flota_agent::Event>,
    /// The machine goes down: its units are handed over, and there is no session any more.
    pub goodbye: CancellationToken,
    /// Takes the order to leave the cluster.
    pub desk: Desk,
}

impl Session {
    /// Holds a session with the store until `shutdown`; a lost one is taken up again, with the same lease if that
    /// still lives. The lease is left to end by itself: a daemon that stops does not hand its units over, unless the
    /// whole machine goes down.
    pub async fn run(mut self, shutdown: CancellationToken) {
        let mut lease = None;
        let mut wait = RETRY_FIRST;
        let mut complained = false;
        loop {
            let goodbye = self.goodbye.clone();
            let ended = tokio::select! {
                () = shutdown.cancelled() => return,
                () = goodbye.cancelled() => return self.end(lease).await,
                ended = self.hold(&mut lease) => ended,
            };
            if self.disconnect().await {
                wait = RETRY_FIRST;
                complained = false;
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

    /// Takes the link away; says whether there was one.
    async fn disconnect(&self) -> bool {
        let was_linked = self.link.send_replace(None).is_some();
        if was_linked {
            self.leader.send_replace(None);
            // The receiver is gone only when the daemon ends.
            let _ = self.engine.send(flota_engine::Event::Disconnected).await;
        }
        was_linked
    }

    /// Says goodbye to the store. One that is just out of reach is told, too: the member of etcd on this machine goes down with
    /// it, and may have been the first to end. One that is not believed is told only if it knows of this machine.
    async fn end(&self, lease: Option<LeaseId>) {
        let was_linked = self.disconnect().await;
        let may_know = was_linked || self.distrust.borrow().is_none();
        if let Some(lease) = lease.filter(|_| may_know) {
            let member = self.member(&self.machine.borrow().clone());
            say_goodbye(&self.client, &self.me, member, lease).await;
        }
    }

    /// Opens a session and holds it, for as long as the store can be reached; whenever the cluster's record changes, the
    /// store is judged anew.
    async fn hold(&mut self, lease: &mut Option<LeaseId>) -> anyhow::Result<Infallible> {
        loop {
            let shown = self.look().await?;
            match judge(self.known.as_ref(), &shown) {
                Verdict::Found => self.found().await?,
                Verdict::Ours(known) => match self.doubt_own_schedule(&known).await? {
                    Some(why) => {
                        self.complain(&why);
                        self.stand_by(&why, shown.revision, lease).await?;
                    }
                    None => self.follow(known, lease).await?,
                },
                Verdict::Frozen(why) => {
                    let at = shown.revision;
                    self.complain(&why);
                    if why.is_own_cluster() { self.stand_by(&why, at, lease).await? } else { self.stay_out(at).await? }
                }
            }
        }
    }

    /// What the store shows of itself.
    async fn look(&self) -> anyhow::Result<Shown> {
        let key = Key::Cluster.to_string();
        let look = self.client.look(&key).await?;
        let cluster = look.pair.as_ref().map(Entry::<Cluster>::decode).transpose().context(key)?;
        Ok(Shown {
            cluster: cluster.map(|entry| entry.value),
            revision: look.revision,
            store: (look.store_id != 0).then_some(StoreId(look.store_id)),
        })
    }

    /// What the schedule that the store has for this machine says against it.
    async fn doubt_own_schedule(&self, known: &Known) -> anyhow::Result<Option<Distrust>> {
        let schedule = self.client.get(&Key::Schedule(self.me.clone()).to_string()).await?.1;
        let is_member = self.client.get(&Key::Member(self.me.clone()).to_string()).await?.1.is_some();
        let shown = match schedule.as_ref().map(Entry::<Schedule>::decode) {
            // One that cannot be read is no proof of anything, and no order either.
            Some(Err(_)) => return Ok(None),
            Some(Ok(entry)) => Some(entry.value),
            None => None,
        };
        let doubt = doubt_schedule(&self.held.borrow(), known, shown.as_ref(), is_member);
        Ok(doubt.map(|doubt| Distrust { known: known.clone(), doubt }))
    }

    async fn found(&self) -> anyhow::Result<()> {
        let id = uuid::Uuid::new_v4().simple().to_string().parse()?;
        let cluster = Cluster { id, created_unix_ms: now_unix_ms(), incarnation: 0 };
        if let Committed::Yes(_) = self.client.commit(&create_cluster(&cluster)).await? {
            info!("founded cluster {}", cluster.id);
        }
        Ok(())
    }

    /// Says loudly, and once, why this store's word does not count.
    fn complain(&self, why: &Distrust) {
        if self.distrust.send_replace(Some(why.clone())).as_ref() != Some(why) {
            error!("FROZEN: this machine takes no orders, its units run on: {why}");
        }
    }

    /// Another cluster's store, or an empty one: nothing is said to it, until its record changes.
    async fn stay_out(&self, at: i64) -> anyhow::Result<()> {
        self.disconnect().await;
        let mut record = self.client.watch_key(&Key::Cluster.to_string(), at + 1).await?;
        tokio::select! {
            changed = record.next() => changed.map(drop).map_err(Into::into),
            () = tokio::time::sleep(LOOK_AGAIN) => Ok(()),
        }
    }

    /// The cluster's own store, but one that knows less than this machine does: it is told so, and nothing is taken from
    /// it until its record changes. Its lease proves nothing either, so exclusive units do not count on it.
    async fn stand_by(&self, why: &Distrust, at: i64, lease: &mut Option<LeaseId>) -> anyhow::Result<()> {
        if self.link.borrow().is_some() {
            // Of a time when the store was believed.
            self.disconnect().await;
        }
        let mut record = self.client.watch_key(&Key::Cluster.to_string(), at + 1).await?;
        let (id, keep_alive, _) = self.take_lease(*lease).await?;
        *lease = Some(id);
        let frozen = Some(why.to_string());
        let mut machine = self.machine.clone();
        self.announce(&mut machine, frozen.clone(), id).await?;
        self.link.send_replace(Some(Link { client: self.client.clone(), lease: id }));
        self.agent.send(flota_agent::Event::Connected).await?;
        let renewal = renew(self.clock, self.ttl, keep_alive, watch::Sender::new(Renewal::default()));
        tokio::pin!(renewal);
        loop {
            tokio::select! {
                error = &mut renewal => return Err(error).context("cannot renew the lease"),
                Ok(()) = machine.changed() => self.announce(&mut machine, frozen.clone(), id).await?,
                changed = record.next() => return changed.map(drop).map_err(Into::into),
            }
        }
    }

    /// The cluster's store, whose word counts, until its record changes.
    async fn follow(&mut self, known: Known, lease: &mut Option<LeaseId>) -> anyhow::Result<()> {
        let cluster = known.cluster.clone();
        let mut record_watch = self.client.watch_key(&Key::Cluster.to_string(), known.revision + 1).await?;
        let (id, keep_alive, sent) = self.take_lease(*lease).await?;
        *lease = Some(id);
        let (renewals, mut renewed) = watch::channel(Renewal { sent, revision: 0 });
        renewed.mark_changed();
        let (client, clock, ttl) = (self.client.clone(), self.clock, self.ttl);
        let renewal = renew(clock, ttl, keep_alive, renewals);
        tokio::pin!(renewal);
        let seen = tokio::select! {
            error = &mut renewal => return Err(error).context("cannot renew the lease"),
            seen = self.return_what_is_lost(&known, id) => seen?,
        };
        let mut machine = self.machine.clone();
        self.announce_while(seen, &mut machine, None, id).await?;

        let (leader_at, leader) = client.get(&Key::Leader.to_string()).await?;
        let (schedule_at, schedule) = client.get(&Key::Schedule(self.me.clone()).to_string()).await?;
        let mut leader_watch = client.watch_key(&Key::Leader.to_string(), leader_at + 1).await?;
        let schedule_key = Key::Schedule(self.me.clone()).to_string();
        let mut schedule_watch = client.watch_key(&schedule_key, schedule_at + 1).await?;

        info!("connected to the store of cluster {cluster} with lease {:x}", id.0);
        self.believe(known).await?;
        self.link.send_replace(Some(Link { client, lease: id }));
        let leader = leader.as_ref().and_then(decode_leader);
        self.note_leader(leader.as_ref());
        self.engine.send(flota_engine::Event::Connected { lease: id, leader }).await?;
        self.agent.send(flota_agent::Event::Connected).await?;
        // Exclusive units count on the lease only where this store has orders for this machine, and after those are known.
        let mut ordered = false;
        if let Some(pair) = schedule {
            ordered = self.offer_schedule(&pair).await?;
        }
        loop {
            tokio::select! {
                error = &mut renewal => return Err(error).context("cannot renew the lease"),
                Ok(()) = renewed.changed() => {
                    let Renewal { sent, revision } = *renewed.borrow_and_update();
                    self.reach(revision).await?;
                    if ordered {
                        self.agent.send(flota_agent::Event::LeaseRenewed { sent }).await?;
                    }
                }
                Ok(()) = machine.changed() => self.announce(&mut machine, None, id).await?,
                changed = record_watch.next() => return changed.map(drop).map_err(Into::into),
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
                    let batch = batch?;
                    self.reach(batch.revision).await?;
                    for change in batch.changes {
                        // A schedule that vanishes is silence, not an order.
                        if let Change::Put(pair) = change {
                            ordered |= self.offer_schedule(&pair).await?;
                        }
                    }
                }
            }
        }
    }

    /// After people accepted a store: puts back what it has lost of this machine. Meanwhile, and a moment longer for the
    /// sake of the other machines, this one says that it is not ready, and no leader decides. Tells the revision of the
    /// schedule that the store has for this machine, if it had one.
    async fn return_what_is_lost(&self, known: &Known, lease: LeaseId) -> anyhow::Result<Option<i64>> {
        let is_new = self.known.as_ref().is_some_and(|before| before.incarnation < known.incarnation);
        let held = self.held.borrow().schedule.clone().filter(|held| held.cluster == known.cluster);
        let Some(held) = held else { return Ok(None) };
        let key = Key::Schedule(self.me.clone()).to_string();
        if let Some(pair) = self.client.get(&key).await?.1 {
            return Ok(Some(pair.mod_revision));
        }
        if !is_new {
            return self.leave_if_removed(held, lease).await.map(|()| None);
        }
        let why = "it puts back what the store has lost".to_owned();
        self.announce(&mut self.machine.clone(), Some(why), lease).await?;
        put_back(&self.client, &self.me, held, &self.dir).await?;
        tokio::time::sleep(SETTLE).await;
        Ok(None)
    }

    /// A store that lost nothing, and knows nothing of a machine that had a schedule: people removed it while it was
    /// away. What it holds runs elsewhere, so it takes no part any more; what runs here is not stopped by anybody's
    /// silence.
    async fn leave_if_removed(&self, held: Schedule, lease: LeaseId) -> anyhow::Result<()> {
        if self.client.get(&Key::Member(self.me.clone()).to_string()).await?.1.is_some() {
            return Ok(());
        }
        let units = held.units.len();
        error!(
            "this machine was removed from its cluster while it was away: it leaves; what runs here of {units} units runs on"
        );
        self.client.revoke(lease).await?;
        self.desk.order_removed(held);
        // The rest of the daemon ends now.
        std::future::pending().await
    }

    /// From now on this store's word counts.
    async fn believe(&mut self, known: Known) -> anyhow::Result<()> {
        if self.distrust.send_replace(None).is_some() {
            info!("this machine takes orders again: the store's word counts");
        }
        self.known = Some(known.clone());
        self.agent.send(flota_agent::Event::Believed(known)).await.map_err(Into::into)
    }

    /// Remembers that the store has come as far as `revision`.
    async fn reach(&mut self, revision: i64) -> anyhow::Result<()> {
        let Some(known) = self.known.as_mut().filter(|known| known.revision < revision) else { return Ok(()) };
        known.revision = revision;
        self.agent.send(flota_agent::Event::Believed(known.clone())).await.map_err(Into::into)
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

    async fn announce(
        &self,
        machine: &mut watch::Receiver<Machine>,
        frozen: Option<String>,
        lease: LeaseId,
    ) -> anyhow::Result<()> {
        self.announce_while(None, machine, frozen, lease).await
    }

    /// Announces this machine for as long as its lease lives, and that it belongs to the cluster and is up. Not if its
    /// schedule is no more what it was at revision `seen`: the leader may be forgetting a removed machine right now, and
    /// who is announced after that would be taken for a new one.
    async fn announce_while(
        &self,
        seen: Option<i64>,
        machine: &mut watch::Receiver<Machine>,
        frozen: Option<String>,
        lease: LeaseId,
    ) -> anyhow::Result<()> {
        let machine = Machine { frozen, ..machine.borrow_and_update().clone() };
        let member = self.member(&machine);
        let key = Key::Member(self.me.clone()).to_string();
        let (_, pair) = self.client.get(&key).await?;
        let mut txn = put_machine(&self.me, &machine, lease);
        // At once with it: whoever sees that the machine is not down any more sees that it lives.
        if pair.and_then(|pair| Entry::<Member>::decode(&pair).ok()).is_none_or(|entry| entry.value != member) {
            txn.ops.extend(put_member(&self.me, &member).ops);
        }
        let schedule = Key::Schedule(self.me.clone()).to_string();
        txn.compares.extend(seen.map(|mod_revision| Compare::Unchanged { key: schedule, mod_revision }));
        match self.client.commit(&txn).await.context("cannot announce this machine")? {
            Committed::Yes(_) => Ok(()),
            Committed::No => anyhow::bail!("this machine's schedule has changed while it was about to announce itself"),
        }
    }

    fn member(&self, machine: &Machine) -> Member {
        let (address, peer) = (machine.address.clone(), self.peer.announced(&machine.address));
        Member { address, peer, down_unix_ms: None }
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

/// A renewal of the lease that was answered.
#[derive(Debug, Clone, Copy, Default)]
struct Renewal {
    /// When it had been sent.
    sent: Millis,
    /// How far the store was.
    revision: i64,
}

/// Renews the lease for ever, and tells of each renewal that was answered; returns only with what went wrong.
async fn renew(clock: Clock, ttl: Duration, mut keep_alive: KeepAlive, renewals: watch::Sender<Renewal>) -> EtcdError {
    loop {
        tokio::time::sleep(ttl / RENEWALS_PER_LEASE).await;
        let sent = clock.now();
        match keep_alive.renew().await {
            Ok(revision) => drop(renewals.send_replace(Renewal { sent, revision })),
            Err(error) => return error,
        }
    }
}

fn decode_leader(pair: &KeyValue) -> Option<Entry<Leader>> {
    Entry::decode(pair).map_err(|why| error!("the leader's record cannot be read: {why}")).ok()
}
