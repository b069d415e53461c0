//! The daemon's bond with the store, step by step as `crates/daemon/src/session.rs` holds it: whether the store is believed,
//! lease, announcement, watches.

use flota_agent::trust::{Distrust, Known, Verdict, doubt_schedule, judge};
use flota_engine::Outcome;
use flota_registry::{
    Capacity, Compare, Entry, Key, KeyValue, Leader, LeaseId, Machine as Announcement, MachineId, Member, Millis, Op,
    Schedule, codec::encode, put_machine,
};

use crate::call::{Answer, Call, CallId};
use crate::daemon::{Purpose, RETRY_FIRST, RETRY_MAX, Session, Step, Watch};
use crate::world::{Action, Origin, World};

/// How long a broken cluster watch waits before everything is read again.
const RELOAD_WAIT: Millis = Millis(200);
/// How long a text or a report that did not get through waits.
const RETRY: Millis = Millis(500);
/// A lease is renewed this many times before it could end.
const RENEWALS_PER_LEASE: i64 = 3;
/// How often a store is looked at again to which nothing may be said.
const LOOK_AGAIN: u64 = 3_000;
/// How long a machine that has put back what it holds stands still.
const SETTLE: Millis = Millis(5_000);
/// What a machine says that puts back what the store has lost.
const UNREADY: &str = "it puts back what the store has lost";

/// That the machine belongs to the cluster, and can be asked after.
fn membership(id: &MachineId) -> Op {
    let address = id.short().to_owned();
    let member = Member { peer: Some(format!("{address}:4002")), address, down_unix_ms: None };
    Op::Put { key: Key::Member(id.clone()).to_string(), value: encode(&member), lease: None }
}

impl World {
    /// Opens a session.
    pub(crate) fn connect(&mut self, to: &Origin) {
        if self.daemon(to).is_some_and(|daemon| daemon.session == Session::Away) {
            self.look(to);
        }
    }

    /// Looks at the store, to judge it; for the first time, or anew because its record changed.
    pub(crate) fn look(&mut self, to: &Origin) {
        let store = self.store.id;
        let Some(daemon) = self.daemon(to) else { return };
        daemon.sessions += 1;
        daemon.store = store;
        self.step(to, Step::Look, Call::Look);
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
            Purpose::Renewal(number, sent) if number == daemon.leases && daemon.lease.is_some() => {
                self.take_renewal(to, sent, &answer);
            }
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
            Purpose::Campaign | Purpose::Session(_) | Purpose::Renewal(..) | Purpose::Feed(_) => {}
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
        let Session::Opening(step) = daemon.session else { return self.end_session(to) };
        match (step, answer) {
            (Step::Look, Answer::Shown(shown, record, schedule, is_member)) => {
                daemon.record = record;
                let mut verdict = judge(daemon.known.as_ref(), &shown);
                let schedule = schedule.and_then(|pair| Entry::<Schedule>::decode(&pair).ok());
                let schedule = schedule.as_ref().map(|entry| &entry.value);
                if let Verdict::Ours(known) = &verdict
                    && let Some(machine) = self.machines.get(&to.machine)
                    && let Some(doubt) = doubt_schedule(&machine.host.held(), known, schedule, is_member)
                {
                    verdict = Verdict::Frozen(Distrust { known: known.clone(), doubt });
                }
                self.follow(to, verdict);
            }
            (Step::Found, Answer::Done) => self.step(to, Step::Look, Call::Look),
            (Step::Renewal, Answer::Lease(None, _)) => self.take_lease(to, None),
            (Step::Renewal | Step::Lease, Answer::Lease(Some(lease), _)) => {
                daemon.last_lease = Some(lease);
                daemon.lease = Some(lease);
                daemon.leases += 1;
                let (number, doubted) = (daemon.leases, daemon.distrust.as_ref().map(ToString::to_string));
                self.after(self.renewal(), Action::Renew { to: to.clone(), number });
                match doubted {
                    Some(why) => self.announce(to, Step::Announced, Some(why), None),
                    None => self.step(to, Step::Lost, Call::ReadLost),
                }
            }
            (Step::Lost, Answer::Lost { schedule, is_member }) => self.return_what_is_lost(to, schedule, is_member),
            (Step::Unready, Answer::Committed(_)) => match self.held_schedule(to) {
                Some(held) => self.step(to, Step::PuttingBack, Call::PutBack(held)),
                None => self.end_session(to),
            },
            (Step::PuttingBack, Answer::Done) => {
                daemon.session = Session::Opening(Step::Settling);
                let session = daemon.sessions;
                self.after(SETTLE, Action::Settled { to: to.clone(), session });
            }
            (Step::Announced, Answer::Committed(_)) if daemon.distrust.is_some() => self.stand_by(to),
            (Step::Announced, Answer::Committed(_)) => self.step(to, Step::Own, Call::ReadOwn),
            (Step::Own, Answer::Own { revision, leader, schedule }) => {
                self.open(to, revision, leader.as_ref(), schedule.as_ref());
            }
            _ => self.end_session(to),
        }
    }

    /// Does what the verdict on the store asks for.
    fn follow(&mut self, to: &Origin, verdict: Verdict) {
        let Some(daemon) = self.daemon(to) else { return };
        match verdict {
            Verdict::Found => self.step(to, Step::Found, Call::Found),
            Verdict::Ours(known) => {
                let last = daemon.last_lease;
                daemon.judged = Some(known);
                daemon.distrust = None;
                self.take_lease(to, last);
            }
            Verdict::Frozen(why) => {
                let (own, last) = (why.is_own_cluster(), daemon.last_lease);
                if daemon.distrust.replace(why.clone()).as_ref() != Some(&why) {
                    self.note(format!("{} FROZEN: {why}", to.machine.short()));
                }
                self.unlink(to);
                if own {
                    return self.take_lease(to, last);
                }
                // Nothing is said to it.
                if let Some(daemon) = self.daemon(to) {
                    daemon.session = Session::Away;
                    daemon.lease = None;
                }
                let wait = Millis(self.random.u64(50..LOOK_AGAIN));
                self.after(wait, Action::Connect { to: to.clone() });
            }
        }
    }

    /// Renews the lease of the last session, or takes a new one.
    fn take_lease(&mut self, to: &Origin, last: Option<LeaseId>) {
        let now = self.now;
        let Some(daemon) = self.daemon(to) else { return };
        daemon.renewed = now;
        match last {
            Some(lease) => self.step(to, Step::Renewal, Call::KeepAlive(lease)),
            None => self.step(to, Step::Lease, Call::Grant),
        }
    }

    fn return_what_is_lost(&mut self, to: &Origin, seen: Option<i64>, is_member: bool) {
        let held = self.held_schedule(to);
        let Some(daemon) = self.daemon(to) else { return };
        let incarnation = |known: &Option<Known>| known.as_ref().map(|known| known.incarnation);
        let is_new = daemon.known.is_some() && incarnation(&daemon.known) < incarnation(&daemon.judged);
        let cluster = daemon.judged.as_ref().map(|known| known.cluster.clone());
        let held = held.filter(|held| Some(&held.cluster) == cluster.as_ref());
        let seen = seen.filter(|_| held.is_some());
        match (held.filter(|_| seen.is_none()), is_new) {
            (Some(_), true) => self.announce(to, Step::Unready, Some(UNREADY.to_owned()), None),
            (Some(_), false) if !is_member => self.leave(to),
            _ => self.announce(to, Step::Announced, None, seen),
        }
    }

    fn held_schedule(&self, to: &Origin) -> Option<Schedule> {
        self.machines.get(&to.machine)?.host.held().schedule
    }

    /// The others have had the time to put back theirs.
    pub(crate) fn settled(&mut self, to: &Origin, session: u64) {
        let waits = Session::Opening(Step::Settling);
        if self.daemon(to).is_some_and(|daemon| daemon.sessions == session && daemon.session == waits) {
            self.announce(to, Step::Announced, None, None);
        }
    }

    fn announce(&mut self, to: &Origin, step: Step, frozen: Option<String>, seen: Option<i64>) {
        let Some(lease) = self.daemon(to).and_then(|daemon| daemon.lease) else { return self.end_session(to) };
        let machine = self.machines.get(&to.machine);
        let announcement = Announcement {
            address: to.machine.short().to_owned(),
            metadata: [("zone".to_owned(), machine.map_or("", |machine| machine.zone).to_owned())].into(),
            capacity: Capacity::default(),
            version: "0.1.0".to_owned(),
            boot_id: machine.map(|machine| machine.host.boot_id()).unwrap_or_default(),
            frozen,
        };
        let mut txn = put_machine(&to.machine, &announcement, lease);
        txn.ops.push(membership(&to.machine));
        let key = Key::Schedule(to.machine.clone()).to_string();
        txn.compares.extend(seen.map(|mod_revision| Compare::Unchanged { key, mod_revision }));
        self.step(to, step, Call::Announce(txn));
    }

    /// The store of the own cluster knows why its word does not count; it gets reports, and gives no orders.
    fn stand_by(&mut self, to: &Origin) {
        let Some(daemon) = self.daemon(to) else { return };
        daemon.session = Session::StandingBy;
        daemon.linked = true;
        self.tell_agent(to, flota_agent::Event::Connected);
        self.publish(to);
    }

    fn open(&mut self, to: &Origin, at: i64, leader: Option<&KeyValue>, schedule: Option<&KeyValue>) {
        let Some(daemon) = self.daemon(to) else { return };
        let (Some(lease), Some(known)) = (daemon.lease, daemon.judged.clone()) else { return self.end_session(to) };
        daemon.session = Session::Open { leader: at + 1, schedule: at + 1 };
        daemon.wait = RETRY_FIRST;
        daemon.linked = true;
        daemon.ordered = false;
        daemon.known = Some(known.clone());
        let sent = daemon.renewed;
        self.note(format!("{} connected with lease {}", to.machine.short(), lease.0));
        self.tell_agent(to, flota_agent::Event::Believed(known));
        let leader = leader.and_then(|pair| Entry::<Leader>::decode(pair).ok());
        self.tell_engine(to, flota_engine::Event::Connected { lease, leader });
        self.tell_agent(to, flota_agent::Event::Connected);
        self.offer(to, schedule);
        if self.daemon(to).is_some_and(|daemon| daemon.ordered) {
            self.tell_agent(to, flota_agent::Event::LeaseRenewed { sent });
        }
        // What could not be done without a store is done now.
        self.publish(to);
    }

    fn renewal(&self) -> Millis {
        Millis(u64::try_from(self.script.lease_seconds * 1000 / RENEWALS_PER_LEASE).unwrap_or(1))
    }

    /// Renews the lease, if it is still the one with this number.
    pub(crate) fn renew(&mut self, to: &Origin, number: u64) {
        let (every, now) = (self.renewal(), self.now);
        let Some(daemon) = self.daemon(to).filter(|daemon| daemon.leases == number) else { return };
        let Some(lease) = daemon.lease else { return };
        self.call(to, Purpose::Renewal(number, now), Call::KeepAlive(lease));
        self.after(every, Action::Renew { to: to.clone(), number });
    }

    fn take_renewal(&mut self, to: &Origin, sent: Millis, answer: &Answer) {
        let Some(daemon) = self.daemon(to) else { return };
        let Answer::Lease(Some(_), revision) = answer else { return self.end_session(to) };
        daemon.renewed = daemon.renewed.max(sent);
        if !matches!(daemon.session, Session::Open { .. }) {
            return;
        }
        let ordered = daemon.ordered;
        let further = daemon.known.as_mut().filter(|known| known.revision < *revision).map(|known| {
            known.revision = *revision;
            known.clone()
        });
        if let Some(known) = further {
            self.tell_agent(to, flota_agent::Event::Believed(known));
        }
        if ordered {
            self.tell_agent(to, flota_agent::Event::LeaseRenewed { sent });
        }
    }

    pub(crate) fn broken(&mut self, to: &Origin, session: u64) {
        if self.daemon(to).is_some_and(|daemon| daemon.sessions == session && daemon.session != Session::Away) {
            self.end_session(to);
        }
    }

    fn end_session(&mut self, to: &Origin) {
        let Some(daemon) = self.daemon(to) else { return };
        daemon.session = Session::Away;
        daemon.lease = None;
        // Answers to it are nobody's business any more.
        daemon.sessions += 1;
        let wait = daemon.wait;
        daemon.wait = Millis((wait.0 * 2).min(RETRY_MAX.0));
        self.after(wait, Action::Connect { to: to.clone() });
        self.unlink(to);
    }

    fn unlink(&mut self, to: &Origin) {
        let Some(daemon) = self.daemon(to) else { return };
        daemon.delivering.clear();
        if std::mem::take(&mut daemon.linked) {
            self.note(format!("{} lost the store", to.machine.short()));
            self.tell_engine(to, flota_engine::Event::Disconnected);
        }
    }
}
