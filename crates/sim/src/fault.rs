//! What goes wrong, and what people do meanwhile.

use flota_engine::Settings;
use flota_registry::{DesiredState, DesiredUnit, Key, MachineId, Millis, destroy_unit, put_unit};
use flota_unit::{UnitFile, UnitName};

use crate::daemon::Daemon;
use crate::host::Host;
use crate::link::Link;
use crate::world::{Action, Health, Origin, World};

/// The units that come and go.
const UNITS: [&str; 11] = [
    "a.service",
    "b.service",
    "c.service",
    "d.service",
    "e@1.service",
    "e@2.service",
    "e@3.service",
    "f.service",
    "x@1.service",
    "x@2.service",
    "x@3.service",
];
/// Whose names begin so are exclusive most of the time.
const EXCLUSIVE: &str = "x@";
/// How many, at the end of all.
const EXCLUSIVES: usize = 3;

/// What they ask for.
const SHAPES: [&str; 10] = [
    "",
    "",
    "Conflicts=e@*",
    "Conflicts=*",
    "MachineOf=b.service",
    "MachineID=00000001",
    "MachineMetadata=zone=b",
    "Global=true",
    "Replaces=[cd].service",
    "MachineOf=b.service\nReplaces=c.service",
];

/// The longest pause between two faults.
const PAUSE: u64 = 6_000;

/// How late, at most, the processes of a slow machine are: what exclusive units are killed before the lease's end covers it.
const MAX_LAG: u64 = 150;
/// The longest time that a machine is held off; shorter than in production, for the world has to settle after the last fault.
const MAX_HOLD: Millis = Millis(60_000);
/// The longest time that a daemon is away which was killed.
const LONGEST_AWAY: u64 = 25_000;

/// What kind of world it is.
#[derive(Debug, Clone)]
pub struct Script {
    /// Machines.
    pub machines: u32,
    /// Faults and commands before everything is repaired.
    pub faults: u32,
    /// How long a machine's lease lives, in seconds.
    pub lease_seconds: i64,
}

impl Default for Script {
    fn default() -> Script {
        Script { machines: 5, faults: 60, lease_seconds: 5 }
    }
}

impl World {
    /// Does the next thing, then plans the one after it.
    pub(crate) fn next_fault(&mut self) {
        if self.faults_left == 0 {
            return self.after(Millis(1), Action::Calm);
        }
        self.faults_left -= 1;
        match self.random.u32(0..100) {
            0..30 => self.submit(),
            30..34 => self.destroy(),
            34..41 => self.power_off(),
            41..49 => self.power_on(),
            49..57 => self.kill_daemon(),
            57..66 => self.cut(),
            66..76 => self.heal(),
            76..82 => self.hurt_store(),
            82..85 => self.replay(),
            85..89 => self.slow_down(),
            89..94 => self.cordon(),
            94..96 => self.remove(),
            96..98 => self.submit(),
            _ => self.lose_store(),
        }
        let pause = Millis(match self.random.u32(0..3) {
            0 => self.random.u64(1..50),
            1 => self.random.u64(50..1_000),
            _ => self.random.u64(1_000..PAUSE * 2),
        });
        self.after(pause, Action::Fault);
    }

    pub(crate) fn any_machine(&mut self) -> Option<MachineId> {
        let nth = self.random.usize(0..self.machines.len().max(1));
        self.machines.keys().nth(nth).cloned()
    }

    // === People ===

    fn submit(&mut self) {
        let (Some(name), shape) = (self.any_unit(), SHAPES[self.random.usize(0..SHAPES.len())]) else { return };
        let desired = match self.random.u32(0..6) {
            0 => DesiredState::Inactive,
            1 => DesiredState::Loaded,
            _ => DesiredState::Launched,
        };
        let exclusive = name.as_str().starts_with(EXCLUSIVE) && self.random.u32(0..8) > 0;
        let own = if exclusive && !shape.contains("Global") { "[X-Flota]\nExclusive=true\n" } else { "" };
        let text = format!("[Service]\nExecStart=/bin/true\n[X-Fleet]\n{shape}\n{own}");
        let Ok(file) = UnitFile::parse(&text) else { return self.violate(format!("not a unit file: {text}")) };
        if self.is_up() && self.is_own_store() {
            self.texts.insert(file.hash(), file.clone());
            let shape = format!("{shape} {}", own.trim_end());
            self.note(format!("submit {name} {desired:?} {}", shape.replace('\n', " ")));
            let seen = self.store.get(&Key::Unit(name.clone()).to_string()).map(|pair| pair.mod_revision);
            let unit = DesiredUnit { hash: file.hash(), desired };
            self.store.commit(self.now, &put_unit(&name, &unit, &file, seen));
        }
    }

    fn destroy(&mut self) {
        let Some(name) = self.any_unit() else { return };
        let found =
            self.store.get(&Key::Unit(name.clone()).to_string()).filter(|_| self.is_up() && self.is_own_store());
        if let Some(pair) = found {
            self.note(format!("destroy {name}"));
            self.store.commit(self.now, &destroy_unit(&name, pair.mod_revision));
        }
    }

    fn any_unit(&mut self) -> Option<UnitName> {
        // Every other time one of the exclusive ones.
        let units = if self.random.bool() { &UNITS[..] } else { &UNITS[UNITS.len() - EXCLUSIVES..] };
        units[self.random.usize(0..units.len())].parse().ok()
    }

    // === Machines ===

    fn power_off(&mut self) {
        let Some(id) = self.any_machine() else { return };
        self.note(format!("power off {}", id.short()));
        if let Some(machine) = self.machine(&id) {
            machine.daemon = None;
            machine.host.power_off();
        }
    }

    fn power_on(&mut self) {
        let off = self.machines.iter().find(|(_, machine)| !machine.host.powered).map(|(id, _)| id.clone());
        if let Some(id) = off {
            self.switch_on(&id);
        }
    }

    fn switch_on(&mut self, id: &MachineId) {
        self.note(format!("power on {}", id.short()));
        if let Some(machine) = self.machine(id) {
            machine.host.power_on();
        }
        self.start_daemon(id);
    }

    /// A daemon dies, and starts again; at once, or when somebody has looked after it.
    fn kill_daemon(&mut self) {
        let Some(id) = self.any_machine() else { return };
        let Some(machine) = self.machine(&id).filter(|machine| machine.daemon.is_some()) else { return };
        machine.daemon = None;
        self.note(format!("kill the daemon of {}", id.short()));
        if self.random.bool() {
            return self.start_daemon(&id);
        }
        let span = Millis(self.random.u64(50..LONGEST_AWAY));
        self.after(span, Action::StartDaemon { machine: id });
    }

    pub(crate) fn start_missing_daemon(&mut self, id: &MachineId) {
        if self.machines.get(id).is_some_and(|machine| machine.host.powered && machine.daemon.is_none()) {
            self.start_daemon(id);
        }
    }

    /// Ends the daemon that is there, if any, and starts a new one.
    pub(crate) fn start_daemon(&mut self, id: &MachineId) {
        self.epochs += 1;
        let lease = Millis(u64::try_from(self.script.lease_seconds).unwrap_or_default() * 1_000);
        let (epoch, settings) = (self.epochs, Settings { lease, max_hold: MAX_HOLD, ..Settings::default() });
        let Some(machine) = self.machine(id) else { return };
        let host: &Host = &machine.host;
        let (held, boot_id, installed) = (host.held(), host.boot_id(), host.installed());
        let found = host.guarded.clone();
        machine.daemon = Some(Daemon::new(epoch, id.clone(), settings, &held, found));
        self.note(format!("the daemon of {} starts", id.short()));
        let to = Origin { machine: id.clone(), epoch };
        self.tell_agent(&to, flota_agent::Event::Boot { held, boot_id, installed, copies: [].into() });
        self.tell_agent(&to, flota_agent::Event::Changed(None));
        self.after(Millis(1), Action::Connect { to });
    }

    // === Network ===

    fn cut(&mut self) {
        let Some(id) = self.any_machine() else { return };
        let (out, back) = match self.random.u32(0..4) {
            0 => (false, true),
            1 => (true, false),
            _ => (false, false),
        };
        self.note(format!("cut {}: out {out}, back {back}", id.short()));
        if let Some(machine) = self.machine(&id) {
            machine.link = Link { out, back, ..machine.link.clone() };
        }
    }

    fn heal(&mut self) {
        let hurt = self.machines.values_mut().filter(|machine| !machine.link.is_whole()).count();
        if hurt == 0 {
            return;
        }
        let nth = self.random.usize(0..hurt);
        let healed = self.machines.iter_mut().filter(|(_, machine)| !machine.link.is_whole()).nth(nth);
        if let Some((id, machine)) = healed {
            machine.link = Link::default();
            let line = format!("heal {}", id.short());
            self.note(line);
        }
    }

    fn slow_down(&mut self) {
        let Some(id) = self.any_machine() else { return };
        let slowest = Millis(self.random.u64(10..2_500));
        let lag = Millis(self.random.u64(0..MAX_LAG));
        self.note(format!("slow down {}: {} ms, and {} ms late", id.short(), slowest.0, lag.0));
        if let Some(machine) = self.machine(&id) {
            machine.link.slowest = slowest;
            machine.lag = lag;
        }
    }

    /// All schedules that the machine had arrive again, the newest first. Then the connection breaks.
    fn replay(&mut self) {
        let Some(id) = self.any_machine() else { return };
        let daemon = self.machines.get(&id).and_then(|machine| machine.daemon.as_ref());
        let Some((epoch, session)) = daemon.map(|daemon| (daemon.epoch, daemon.sessions)) else { return };
        self.note(format!("old schedules reach {}", id.short()));
        let to = Origin { machine: id, epoch };
        for schedule in self.store.past_schedules(&to.machine).into_iter().rev() {
            self.tell_agent(&to, flota_agent::Event::Schedule(schedule));
        }
        self.after(Millis(1), Action::Broken { to, session });
    }

    // === Store ===

    fn hurt_store(&mut self) {
        if self.swapping {
            return;
        }
        let health = match (self.health, self.random.bool()) {
            (Health::Up, true) => Health::Down,
            (Health::Up, false) => Health::Frozen,
            _ => Health::Up,
        };
        self.set_health(health);
    }

    pub(crate) fn set_health(&mut self, health: Health) {
        if health == self.health {
            return;
        }
        self.note(format!("the store is {health:?}"));
        let before = std::mem::replace(&mut self.health, health);
        match (before, health) {
            (_, Health::Down) => {
                self.drop_requests();
                self.break_connections();
            }
            (Health::Down, _) => self.store.renew_leases(self.now),
            (_, Health::Up) => self.thaw(),
            _ => {}
        }
        if let Some(at) = self.store.next_expiry() {
            self.after(at.since(self.now).plus(Millis(1)), Action::Expire);
        }
    }

    /// Who is reached learns at once that the store has ended; the others when nothing comes back.
    fn break_connections(&mut self) {
        let mut broken = Vec::new();
        for (id, machine) in self.machines.iter().filter(|(_, machine)| machine.link.back) {
            if let Some(daemon) = &machine.daemon {
                let to = Origin { machine: id.clone(), epoch: daemon.epoch };
                broken.push(Action::Broken { to, session: daemon.sessions });
            }
        }
        for action in broken {
            self.after(Millis(1), action);
        }
    }

    /// Repairs everything; what takes people longer is for [`World::tidy`].
    pub(crate) fn calm(&mut self) {
        self.note("everything is repaired".to_owned());
        if !self.swapping {
            self.set_health(Health::Up);
        }
        let ids: Vec<MachineId> = self.machines.keys().cloned().collect();
        for id in ids {
            if let Some(machine) = self.machine(&id) {
                machine.link = Link::default();
                machine.lag = Millis(0);
                if !machine.host.powered {
                    self.switch_on(&id);
                }
            }
        }
        self.calm_since = Some(self.now);
        self.tidy();
    }
}
