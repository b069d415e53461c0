//! The store's side of each call.

use std::collections::BTreeSet;

use flota_agent::trust::{Shown, StoreId, to_put_back};
use flota_registry::{
    Cluster, DesiredState, DesiredUnit, Entry, Key, MachineId, Millis, Schedule, TargetState, create_cluster,
    put_back_schedule, put_unit,
};
use flota_unit::UnitName;

use crate::call::{Answer, Call};
use crate::promises;
use crate::world::{Action, Origin, World};

/// The cluster of this world.
pub(crate) const CLUSTER: &str = "00000000000000000000000000000001";

impl World {
    pub(crate) fn serve(&mut self, from: &Origin, call: Call) -> Answer {
        let now = self.now;
        self.store.expire(now);
        let committed = |revision: Option<i64>| revision.map_or(Answer::Refused, Answer::Committed);
        let answer = match call {
            Call::Look => self.show(&from.machine),
            Call::Found => {
                if let Ok(id) = CLUSTER.parse() {
                    self.store.commit(now, &create_cluster(&Cluster { id, created_unix_ms: 0, incarnation: 0 }));
                }
                Answer::Done
            }
            Call::KeepAlive(lease) => {
                let kept = self.store.keep_alive(now, lease);
                Answer::Lease(Some(lease).filter(|_| kept), self.store.revision())
            }
            Call::Grant => {
                self.leases += 1;
                let lease = self.store.grant(now, self.leases, self.script.lease_seconds);
                Answer::Lease(lease, self.store.revision())
            }
            Call::ReadLost => {
                let revision = |key: Key| self.store.get(&key.to_string()).map(|pair| pair.mod_revision);
                let schedule = revision(Key::Schedule(from.machine.clone()));
                Answer::Lost { schedule, is_member: revision(Key::Member(from.machine.clone())).is_some() }
            }
            Call::PutBack(held) => {
                self.put_back(&from.machine, held);
                Answer::Done
            }
            Call::Announce(txn) | Call::Campaign(txn) => committed(self.store.commit(now, &txn)),
            Call::ReadOwn => self.read_own(&from.machine),
            Call::Range => Answer::Cluster(Box::new(self.store.snapshot())),
            Call::Commit { txn, seen } => {
                let (unfenced, misplaced, barred) = (
                    promises::unfenced(&self.store, &from.machine, &txn),
                    promises::misplaced(&self.store, seen, &txn),
                    promises::barred(&self.store, seen, &txn),
                );
                let revision = self.store.commit(now, &txn);
                if let Some(revision) = revision {
                    if promises::changes_schedules(&txn) {
                        self.commits += 1;
                        self.last_commit = now;
                    }
                    self.note(format!("{} committed revision {revision}", from.machine.short()));
                    self.check(unfenced);
                    self.check(misplaced);
                    self.check(barred);
                }
                committed(revision)
            }
            Call::Text(hash) => Answer::Text(self.store.get(&flota_registry::Key::File(hash).to_string())),
            Call::Publish(report) => {
                let lease = self.daemon(from).and_then(|daemon| daemon.link());
                let txn = lease.map(|lease| flota_registry::publish_report(&from.machine, &report, lease));
                committed(txn.and_then(|txn| self.store.commit(now, &txn)))
            }
        };
        if let Some(at) = self.store.next_expiry() {
            self.after(at.since(now).plus(Millis(1)), Action::Expire);
        }
        answer
    }

    fn read_own(&self, me: &MachineId) -> Answer {
        let key = |key: flota_registry::Key| self.store.get(&key.to_string());
        Answer::Own {
            revision: self.store.revision(),
            leader: key(flota_registry::Key::Leader),
            schedule: key(flota_registry::Key::Schedule(me.clone())),
        }
    }

    fn show(&self, me: &MachineId) -> Answer {
        let pair = self.store.get(&Key::Cluster.to_string());
        let entry = pair.and_then(|pair| Entry::<Cluster>::decode(&pair).ok());
        let record = entry.as_ref().map_or(0, |entry| entry.mod_revision);
        let store = Some(StoreId(self.store.id));
        let shown = Shown { cluster: entry.map(|entry| entry.value), revision: self.store.revision(), store };
        let is_member = self.store.get(&Key::Member(me.clone()).to_string()).is_some();
        Answer::Shown(shown, record, self.store.get(&Key::Schedule(me.clone()).to_string()), is_member)
    }

    /// As `crates/daemon/src/session/put_back.rs` does it.
    fn put_back(&mut self, me: &MachineId, held: Schedule) {
        let now = self.now;
        let snapshot = self.store.snapshot();
        let installed = self.machines.get(me).map(|machine| machine.host.installed()).unwrap_or_default();
        let elsewhere: BTreeSet<UnitName> =
            snapshot.schedules().values().flat_map(|entry| entry.value.units.keys().cloned()).collect();
        let mut back = to_put_back(&held, &elsewhere);
        for (name, unit) in &held.units {
            let installed = installed.get(name).map(|file| file.hash);
            let stored = Some(unit.hash).filter(|hash| snapshot.files().contains_key(hash));
            let hash = installed.filter(|hash| *hash == unit.hash).or(stored).or(installed);
            let Some((hash, file)) = hash.and_then(|hash| Some((hash, self.texts.get(&hash)?.clone()))) else {
                back.units.remove(name);
                continue;
            };
            let desired = match unit.target {
                TargetState::Loaded => DesiredState::Loaded,
                TargetState::Launched => DesiredState::Launched,
            };
            self.store.commit(now, &put_unit(name, &DesiredUnit { hash, desired }, &file, None));
            if let Some(unit) = back.units.get_mut(name) {
                unit.hash = hash;
            }
        }
        if back.units != held.units {
            back.generation = back.generation.next();
        }
        self.store.commit(now, &put_back_schedule(me, &back));
        self.note(format!("{} put back {} units", me.short(), back.units.len()));
    }
}
