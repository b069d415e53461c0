//! What the store tells by itself: the watches of a daemon, and the feed of the one that leads.

use flota_mvcc::KeyRange;
use flota_registry::{Change, Entry, Key, KeyValue, Schedule, keys};

use crate::call::Call;
use crate::daemon::{Feed, Purpose, Watch};
use crate::world::{Action, Origin, World};

impl World {
    // === The cluster's feed ===

    pub(crate) fn start_feed(&mut self, to: &Origin) {
        let Some(daemon) = self.daemon(to) else { return };
        daemon.feeds += 1;
        let number = daemon.feeds;
        daemon.feed = Some(Feed { number, next: None });
        self.call(to, Purpose::Feed(number), Call::Range);
    }

    pub(crate) fn reload(&mut self, to: &Origin, feed: u64) {
        if self.daemon(to).and_then(|daemon| daemon.feed).is_some_and(|open| open.number == feed) {
            self.start_feed(to);
        }
    }

    /// The revision of the cluster's record; 0: there is none.
    pub(crate) fn record(&mut self) -> i64 {
        let revision = self.store.revision();
        if (self.record_seen.0, self.record_seen.1) != (self.store.id, revision) {
            let pair = self.store.get(&Key::Cluster.to_string());
            self.record_seen = (self.store.id, revision, pair.map_or(0, |pair| pair.mod_revision));
        }
        self.record_seen.2
    }

    // === Watches ===

    /// Sends on their way what the watches have not told yet.
    pub(crate) fn poke_watches(&mut self) {
        if !self.is_up() {
            return;
        }
        let revision = self.store.revision();
        let (record, store) = (self.record(), self.store.id);
        let mut due = Vec::new();
        for (id, machine) in self.machines.iter_mut().filter(|(_, machine)| machine.link.is_whole()) {
            let Some(daemon) = &mut machine.daemon else { continue };
            let stale = daemon.store == store && daemon.record != record && daemon.has_settled_view();
            if stale && daemon.delivering.insert(Watch::Record) {
                let to = Origin { machine: id.clone(), epoch: daemon.epoch };
                due.push((machine.link.latency(&mut self.random), Action::Deliver { to, watch: Watch::Record }));
            }
            for watch in [Watch::Leader, Watch::Schedule, Watch::Cluster] {
                if daemon.next(watch).is_some_and(|next| next <= revision) && daemon.delivering.insert(watch) {
                    let to = Origin { machine: id.clone(), epoch: daemon.epoch };
                    due.push((machine.link.latency(&mut self.random), Action::Deliver { to, watch }));
                }
            }
        }
        for (span, action) in due {
            self.after(span, action);
        }
    }

    /// Brings a watch what is new by now. One that cannot get through stays open and is poked again.
    pub(crate) fn deliver(&mut self, to: &Origin, watch: Watch) {
        let reachable = self.is_up() && self.machines.get(&to.machine).is_some_and(|it| it.link.is_whole());
        let Some(daemon) = self.daemon(to) else { return };
        if !daemon.delivering.remove(&watch) {
            return;
        }
        if watch == Watch::Record {
            if reachable && daemon.has_settled_view() {
                self.look(to);
            }
            return;
        }
        let Some(next) = daemon.next(watch).filter(|_| reachable) else { return };
        let range = match watch {
            Watch::Leader => KeyRange::new(Key::Leader.to_string().as_bytes(), &[]),
            Watch::Schedule => KeyRange::new(Key::Schedule(to.machine.clone()).to_string().as_bytes(), &[]),
            Watch::Cluster | Watch::Record => KeyRange::prefix(keys::PREFIX.as_bytes()),
        };
        let (batches, next) = self.store.changes(&range, next);
        for (revision, changes) in batches {
            // One by one: what the engine decides now it decides from this revision.
            if let Some(daemon) = self.daemon(to) {
                daemon.set_next(watch, revision + 1);
            }
            self.tell(to, watch, revision, changes);
        }
        if let Some(daemon) = self.daemon(to).filter(|daemon| daemon.next(watch).is_some()) {
            daemon.set_next(watch, next);
        }
    }

    fn tell(&mut self, to: &Origin, watch: Watch, revision: i64, changes: Vec<Change>) {
        match watch {
            Watch::Cluster => self.tell_engine(to, flota_engine::Event::Changes { revision, changes }),
            Watch::Leader => changes.iter().for_each(|change| {
                let leader = if let Change::Put(pair) = change { Entry::decode(pair).ok() } else { None };
                self.tell_engine(to, flota_engine::Event::LeaderChanged(leader));
            }),
            Watch::Record => {}
            // A schedule that vanishes is silence, not an order.
            Watch::Schedule => changes.iter().for_each(|change| {
                if let Change::Put(pair) = change {
                    self.offer(to, Some(pair));
                }
            }),
        }
    }

    pub(crate) fn offer(&mut self, to: &Origin, schedule: Option<&KeyValue>) {
        if let Some(entry) = schedule.and_then(|pair| Entry::<Schedule>::decode(pair).ok()) {
            if let Some(daemon) = self.daemon(to) {
                daemon.ordered = true;
            }
            self.tell_agent(to, flota_agent::Event::Schedule(entry.value));
        }
    }
}
