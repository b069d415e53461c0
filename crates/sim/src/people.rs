//! What people do with machines as a whole, and with the store.

use flota_agent::trust::{Distrust, accepted};
use flota_registry::{
    Cluster, Cordon, CordonMode, Entry, Key, MachineId, Millis, accept_store, create_cluster, put_cordon, remove_cordon,
};

use crate::host::Host;
use crate::serve::CLUSTER;
use crate::store::Store;
use crate::world::{Action, Health, Origin, World};

/// How long people take to put another store in the place of one: longer than a lease, as docs/trust.md asks for.
const SWAP: std::ops::Range<u64> = 6_000..15_000;
/// How soon people who do not wait accept a wiped store.
const AT_ONCE: std::ops::Range<u64> = 100..4_000;
/// How long a machine lies about that was removed, until people put another disk in.
const REINSTALL: std::ops::Range<u64> = 2_000..20_000;
/// How long a machine is away that was removed while it lived: until it is forgotten.
const TAKEN_AWAY: Millis = Millis(30_000);
/// How often people look whether anything is left to be done, once everything was repaired.
const TIDY: Millis = Millis(10_000);

impl World {
    // === Machines ===

    /// Takes a machine out of service, or back into it.
    pub(crate) fn cordon(&mut self) {
        let Some(id) = self.any_machine().filter(|_| self.is_up() && self.is_own_store()) else { return };
        let current = self.cordon_of(&id);
        let mode = if self.random.bool() { CordonMode::Cordoned } else { CordonMode::Draining };
        match current {
            Some(entry) if entry.value.mode == CordonMode::Removed => {}
            Some(_) if self.random.bool() => self.uncordon(&id),
            seen => self.put_cordon(&id, mode, seen.map(|entry| entry.mod_revision)),
        }
    }

    /// Removes a machine: a dead one, or, by force, one that lives.
    pub(crate) fn remove(&mut self) {
        let Some(id) = self.any_machine().filter(|_| self.is_up() && self.is_own_store()) else { return };
        let is_there = |key: Key| self.store.get(&key.to_string()).is_some();
        let (member, lives) = (is_there(Key::Member(id.clone())), is_there(Key::Machine(id.clone())));
        if member && (!lives || self.random.u32(0..4) == 0) {
            let seen = self.cordon_of(&id).map(|entry| entry.mod_revision);
            self.put_cordon(&id, CordonMode::Removed, seen);
        }
    }

    fn cordon_of(&self, id: &MachineId) -> Option<Entry<Cordon>> {
        let pair = self.store.get(&Key::Cordon(id.clone()).to_string())?;
        Entry::decode(&pair).ok()
    }

    fn put_cordon(&mut self, id: &MachineId, mode: CordonMode, seen: Option<i64>) {
        self.note(format!("{} is to be {mode:?}", id.short()));
        let cordon = Cordon { mode, reason: None, since_unix_ms: 0 };
        self.store.commit(self.now, &put_cordon(id, &cordon, seen));
    }

    fn uncordon(&mut self, id: &MachineId) {
        if let Some(entry) = self.cordon_of(id).filter(|entry| entry.value.mode != CordonMode::Removed) {
            self.note(format!("{} is back in service", id.short()));
            self.store.commit(self.now, &remove_cordon(id, entry.mod_revision));
        }
    }

    /// The machine found that it was removed. What runs on it runs on, until people put another disk in.
    pub(crate) fn leave(&mut self, to: &Origin) {
        self.note(format!("{} leaves", to.machine.short()));
        if let Some(machine) = self.machine(&to.machine) {
            machine.daemon = None;
        }
        let span = Millis(self.random.u64(REINSTALL));
        self.after(span, Action::Reinstall { machine: to.machine.clone() });
    }

    pub(crate) fn reinstall(&mut self, id: &MachineId) {
        self.note(format!("{} is new", id.short()));
        if let Some(machine) = self.machine(id) {
            machine.daemon = None;
            machine.host = Host::reinstalled(machine.host.boot + 1);
        }
        self.start_daemon(id);
    }

    // === The store ===

    pub(crate) fn is_own_store(&self) -> bool {
        let pair = self.store.get(&Key::Cluster.to_string());
        pair.and_then(|pair| Entry::<Cluster>::decode(&pair).ok())
            .is_some_and(|entry| entry.value.id.as_str() == CLUSTER)
    }

    /// Something happens to the store that makes it forget, or people mend it.
    pub(crate) fn lose_store(&mut self) {
        if self.swapping || !self.is_up() {
            return;
        }
        if self.kept.is_some() {
            return self.mend_store();
        }
        match (self.random.u32(0..4), self.backup) {
            (0, _) => self.backup = Some(self.store.backup()),
            (1, _) => self.wipe_store(),
            (2, Some(backup)) => self.restore_backup(backup),
            (3, _) => self.confuse_stores(),
            _ => {}
        }
    }

    fn wipe_store(&mut self) {
        self.note("the store is wiped".to_owned());
        self.kept = Some(self.store.restored(self.store.backup(), self.store.id));
        self.doubtful = true;
        self.store.wipe(self.now);
        if self.random.bool() {
            let span = Millis(self.random.u64(AT_ONCE));
            self.after(span, Action::AcceptStore);
        }
    }

    fn restore_backup(&mut self, backup: usize) {
        let id = if self.random.bool() { self.store.id } else { self.next_store() };
        self.note(format!("the store is restored from an older backup, as store {id}"));
        let older = self.store.restored(backup, id);
        self.swap_store(older);
    }

    fn confuse_stores(&mut self) {
        self.note("the store is another cluster's".to_owned());
        let mut foreign = Store::new(self.next_store());
        if let Ok(id) = "000000000000000000000000000000ff".parse() {
            foreign.commit(self.now, &create_cluster(&Cluster { id, created_unix_ms: 0, incarnation: 0 }));
        }
        self.swap_store(foreign);
    }

    fn next_store(&mut self) -> u64 {
        self.stores += 1;
        self.stores
    }

    fn swap_store(&mut self, other: Store) {
        self.doubtful = true;
        self.set_health(Health::Down);
        let before = std::mem::replace(&mut self.store, other);
        self.kept.get_or_insert(before);
        self.backup = None;
        self.come_up_later();
    }

    fn come_up_later(&mut self) {
        self.swapping = true;
        let span = Millis(self.random.u64(SWAP));
        self.after(span, Action::StoreUp);
    }

    pub(crate) fn bring_store_up(&mut self) {
        self.swapping = false;
        self.set_health(Health::Up);
    }

    /// People bring the right store back, or take the one that is there for the truth.
    pub(crate) fn mend_store(&mut self) {
        if self.random.bool() && self.accept() {
            return;
        }
        if let Some(right) = self.kept.take() {
            self.note("the right store is brought back".to_owned());
            self.set_health(Health::Down);
            self.store = right;
            self.come_up_later();
        }
    }

    /// People take the store for the truth, if a machine that doubts it can tell them what it knows. They ask the one that
    /// saw the last store which was accepted.
    pub(crate) fn accept(&mut self) -> bool {
        let doubts = |distrust: &&Distrust| distrust.is_acceptable();
        let daemons = self.machines.values().filter_map(|machine| machine.daemon.as_ref());
        let all = daemons.filter_map(|daemon| daemon.distrust.as_ref()).filter(doubts);
        let Some(why) = all.max_by_key(|why| why.known.incarnation).cloned() else { return false };
        let pair = self.store.get(&Key::Cluster.to_string());
        let record = pair.and_then(|pair| Entry::<Cluster>::decode(&pair).ok());
        // It may be about another store than this one.
        if record.as_ref().is_some_and(|entry| entry.value.id != why.known.cluster) {
            return false;
        }
        let next = accepted(&why.known, record.as_ref().map(|entry| &entry.value), 0);
        self.note(format!("the store is accepted, as incarnation {}", next.incarnation));
        self.store.commit(self.now, &accept_store(&next, record.map(|entry| entry.mod_revision)));
        self.kept = None;
        true
    }

    // === In the end ===

    /// Ends what people have begun: nothing is out of service, nobody doubts the store.
    pub(crate) fn tidy(&mut self) {
        self.after(TIDY, Action::Tidy);
        if self.swapping || !self.is_up() {
            return;
        }
        let mut busy = self.kept.is_some();
        if busy {
            self.mend_store();
        } else {
            let doubts =
                |machine: &crate::world::Machine| machine.daemon.as_ref().is_some_and(|it| it.distrust.is_some());
            busy = self.machines.values().any(doubts) && self.accept();
        }
        let ids: Vec<MachineId> = self.machines.keys().cloned().collect();
        for id in ids {
            // A new machine that first saw the other cluster's store belongs to that one now.
            let known = self.machines.get(&id).and_then(|machine| machine.daemon.as_ref()?.known.as_ref());
            if known.is_some_and(|known| known.cluster.as_str() != CLUSTER) {
                self.reinstall(&id);
                busy = true;
            }
            match self.cordon_of(&id).filter(|_| self.is_own_store()).map(|entry| entry.value.mode) {
                Some(CordonMode::Removed) if self.machines.get(&id).is_some_and(|it| it.daemon.is_some()) => {
                    self.note(format!("{} is taken away", id.short()));
                    if let Some(machine) = self.machine(&id) {
                        machine.daemon = None;
                        machine.host.power_off();
                    }
                    self.after(TAKEN_AWAY, Action::Reinstall { machine: id });
                    busy = true;
                }
                Some(CordonMode::Cordoned | CordonMode::Draining) => {
                    self.uncordon(&id);
                    busy = true;
                }
                _ => {}
            }
        }
        if busy {
            self.calm_since = Some(self.now);
        }
    }
}
