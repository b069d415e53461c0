//! The daemon's bond with the store, step by step as `crates/daemon/src/session.rs` holds it: lease, announcement, watches.

use flota_engine::Outcome;
use flota_mvcc::KeyRange;
use flota_registry::{
    Capacity, Change, Entry, Key, KeyValue, Leader, LeaseId, Machine as Announcement, MachineId, Member, Millis, Op,
    Schedule, codec::encode, keys, put_machine,
};

use crate::call::{Answer, Call, CallId};
use crate::daemon::{Feed, Purpose, RETRY_FIRST, RETRY_MAX, Session, Step, Watch};
use crate::world::{Action, Origin, World};

/// How long a broken cluster watch waits before everything is read again.
const RELOAD_WAIT: Millis = Millis(200);
/// How long a text or a report that did not get through waits.
const RETRY: Millis = Millis(500);
/// A lease is renewed this many times before it could end.
const RENEWALS_PER_LEASE: i64 = 3;

/// That the machine belongs to the cluster, and can be asked after.
fn membership(id: &MachineId) -> Op {
    let address = id.short().to_owned();
    let member = Member { peer: Some(format!("{address}:4002")), address, down_unix_ms: None };
    Op::Put { key: Key::Member(id.clone()).to_string(), value: encode(&member), lease: None }
}

impl World {
    /// Opens a session.
    pub(crate) fn connect(&mut self, to: &Origin) {
        let Some(daemon) = self.daemon(to).filter(|daemon| daemon.session == Session::Away) else { return };
        daemon.sessions += 1;
        self.step(to, Step::Cluster, Call::EnsureCluster);
    }

    fn step(&mut self, to: &Origin, step: Step, call: Call) {
        let Some(daemon) = self.daemon(to) else { return };
        daemon.session = Session::Opening(step);
        let session = daemon.sessions;
        self.call(to, Purpose::Session(session), call);
    }

    /// Takes in an answer, or that there is none.
    pub(crate) fn hear(&mut self, to: &Origin, id: CallId, answer: Answer) {
        let Some(daemon) = self.daemon(to) else { return };
        let Some(purpose) = daemon.pending.remove(&id) else { return };
        match purpose {
            Purpose::Session(number) if number == daemon.sessions => self.go_on(to, answer),
            Purpose::Feed(number) if daemon.feed.is_some_and(|feed| feed.number == number) => match answer {
                Answer::Cluster(snapshot) => {
                    daemon.set_next(Watch::Cluster, snapshot.revision() + 1);
                    self.tell_engine(to, flota_engine::Event::Snapshot(snapshot));
                }
                _ => self.after(RELOAD_WAIT, Action::Reload { to: to.clone(), feed: number }),
            },
            Purpose::Commit(ticket) => {
                let outcome = match answer {
                    Answer::Committed(revision) => Outcome::Committed(revision),
                    Answer::Timeout => Outcome::Unknown,
                    _ => Outcome::Refused,
                };
                self.tell_engine(to, flota_engine::Event::Finished { ticket, outcome });
            }
            Purpose::Text(hash) => {
                daemon.texts.remove(&hash);
                match answer {
                    Answer::Text(pair) => self.take_text(to, hash, pair.as_ref()),
                    _ => self.after(RETRY, Action::Refetch { to: to.clone(), hash }),
                }
            }
            Purpose::Publish => {
                daemon.publishing = false;
                let (done, newer) = (matches!(answer, Answer::Committed(_)), daemon.report.is_some());
                if !done {
                    self.after(RETRY, Action::Republish { to: to.clone() });
                } else if newer {
                    self.publish(to);
                }
            }
            // The leader key tells; what belongs to an earlier session or feed is nobody's business.
            Purpose::Campaign | Purpose::Session(_) | Purpose::Feed(_) => {}
        }
    }

    fn take_text(&mut self, to: &Origin, hash: flota_unit::UnitHash, pair: Option<&KeyValue>) {
        let event = match pair.and_then(|pair| flota_registry::file_text(pair).ok()) {
            Some(text) => flota_agent::Event::Text { hash, text },
            None => flota_agent::Event::NoText { hash, why: "is not in the store".to_owned() },
        };
        self.tell_agent(to, event);
    }

    /// The next step of a session.
    fn go_on(&mut self, to: &Origin, answer: Answer) {
        let Some(daemon) = self.daemon(to) else { return };
        let (session, last) = (daemon.session.clone(), daemon.last_lease);
        match (session, answer) {
            (Session::Opening(Step::Cluster), Answer::Done) => match last {
                Some(lease) => self.step(to, Step::Renewal, Call::KeepAlive(lease)),
                None => self.step(to, Step::Lease, Call::Grant),
            },
            (Session::Opening(Step::Renewal), Answer::Lease(None)) => self.step(to, Step::Lease, Call::Grant),
            (Session::Opening(Step::Renewal | Step::Lease), Answer::Lease(Some(lease))) => {
                daemon.last_lease = Some(lease);
                let mut txn = put_machine(&to.machine, &self.announcement(to), lease);
                txn.ops.push(membership(&to.machine));
                self.step(to, Step::Announced(lease), Call::Announce(txn));
            }
            (Session::Opening(Step::Announced(lease)), Answer::Committed(_)) => {
                self.step(to, Step::Own(lease), Call::ReadOwn);
            }
            (Session::Opening(Step::Own(lease)), Answer::Own { revision, leader, schedule }) => {
                self.open(to, lease, revision, leader.as_ref(), schedule.as_ref());
            }
            (Session::Open { .. }, Answer::Lease(Some(_))) => {}
            _ => self.end_session(to),
        }
    }

    fn announcement(&self, to: &Origin) -> Announcement {
        let machine = self.machines.get(&to.machine);
        let zone = machine.map_or("", |machine| machine.zone).to_owned();
        Announcement {
            address: to.machine.short().to_owned(),
            metadata: [("zone".to_owned(), zone)].into(),
            capacity: Capacity::default(),
            version: "0.1.0".to_owned(),
            boot_id: machine.map(|machine| machine.host.boot_id()).unwrap_or_default(),
            frozen: None,
        }
    }

    fn open(&mut self, to: &Origin, lease: LeaseId, at: i64, leader: Option<&KeyValue>, schedule: Option<&KeyValue>) {
        let Some(daemon) = self.daemon(to) else { return };
        daemon.session = Session::Open { lease, leader: at + 1, schedule: at + 1 };
        daemon.wait = RETRY_FIRST;
        let session = daemon.sessions;
        self.note(format!("{} connected with lease {}", to.machine.short(), lease.0));
        self.after(self.renewal(), Action::Renew { to: to.clone(), session });
        let leader = leader.and_then(|pair| Entry::<Leader>::decode(pair).ok());
        self.tell_engine(to, flota_engine::Event::Connected { lease, leader });
        self.tell_agent(to, flota_agent::Event::Connected);
        self.offer(to, schedule);
        // What could not be done without a store is done now.
        self.publish(to);
    }

    fn renewal(&self) -> Millis {
        Millis(u64::try_from(self.script.lease_seconds * 1000 / RENEWALS_PER_LEASE).unwrap_or(1))
    }

    pub(crate) fn renew(&mut self, to: &Origin, session: u64) {
        let every = self.renewal();
        let Some(daemon) = self.daemon(to).filter(|daemon| daemon.sessions == session) else { return };
        let Some(lease) = daemon.lease() else { return };
        self.call(to, Purpose::Session(session), Call::KeepAlive(lease));
        self.after(every, Action::Renew { to: to.clone(), session });
    }

    pub(crate) fn broken(&mut self, to: &Origin, session: u64) {
        if self.daemon(to).is_some_and(|daemon| daemon.sessions == session && daemon.session != Session::Away) {
            self.end_session(to);
        }
    }

    fn end_session(&mut self, to: &Origin) {
        let Some(daemon) = self.daemon(to) else { return };
        let was_open = daemon.lease().is_some();
        daemon.session = Session::Away;
        // Answers to it are nobody's business any more.
        daemon.sessions += 1;
        daemon.delivering.clear();
        let wait = daemon.wait;
        daemon.wait = Millis((wait.0 * 2).min(RETRY_MAX.0));
        self.after(wait, Action::Connect { to: to.clone() });
        if was_open {
            self.note(format!("{} lost the store", to.machine.short()));
            self.tell_engine(to, flota_engine::Event::Disconnected);
        }
    }

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

    // === Watches ===

    /// Sends on their way what the watches have not told yet.
    pub(crate) fn poke_watches(&mut self) {
        if !self.is_up() {
            return;
        }
        let revision = self.store.revision();
        let mut due = Vec::new();
        for (id, machine) in self.machines.iter_mut().filter(|(_, machine)| machine.link.is_whole()) {
            let Some(daemon) = &mut machine.daemon else { continue };
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
        let Some(next) = daemon.next(watch).filter(|_| reachable) else { return };
        let range = match watch {
            Watch::Leader => KeyRange::new(Key::Leader.to_string().as_bytes(), &[]),
            Watch::Schedule => KeyRange::new(Key::Schedule(to.machine.clone()).to_string().as_bytes(), &[]),
            Watch::Cluster => KeyRange::prefix(keys::PREFIX.as_bytes()),
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
            // A schedule that vanishes is silence, not an order.
            Watch::Schedule => changes.iter().for_each(|change| {
                if let Change::Put(pair) = change {
                    self.offer(to, Some(pair));
                }
            }),
        }
    }

    fn offer(&mut self, to: &Origin, schedule: Option<&KeyValue>) {
        if let Some(entry) = schedule.and_then(|pair| Entry::<Schedule>::decode(pair).ok()) {
            self.tell_agent(to, flota_agent::Event::Schedule(entry.value));
        }
    }
}
