//! The model behind the fake, and the levers for tests.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    ffi::OsStr,
    os::unix::net::UnixStream,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use zbus::{Connection, Guid, Variant, connection::Builder};

use super::objects::{MANAGER, Manager, UnitObject};
use crate::{JobOutcome, pump::ROOT_PATH, signals::path_of_unit};

/// What starting a unit leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Script {
    /// How the job ends. The unit is active after `Done` and failed after anything else.
    pub outcome: JobOutcome,
    /// How long the job takes.
    pub delay: Duration,
    /// The job ends before the call that queued it is answered.
    pub before_reply: bool,
}

impl Default for Script {
    fn default() -> Self {
        Self { outcome: JobOutcome::Done, delay: Duration::ZERO, before_reply: false }
    }
}

/// The fake. Its units outlive its connections, as PID 1's units outlive a lost bus.
#[derive(Debug, Clone, Default)]
pub struct FakeSystemd(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    world: Mutex<World>,
    servers: Mutex<Vec<Server>>,
}

/// Our end of one connection.
#[derive(Debug, Clone)]
struct Server {
    connection: Connection,
    subscribed: bool,
}

#[derive(Debug, Default)]
pub(super) struct World {
    pub(super) links: BTreeMap<String, PathBuf>,
    pub(super) loaded: BTreeMap<String, Loaded>,
    scripts: BTreeMap<String, Script>,
    bad_installs: BTreeSet<String>,
    /// Units whose stop jobs end only with a kill.
    stubborn: BTreeSet<String>,
    calls: Vec<String>,
    last_job: u32,
    jobs: BTreeMap<String, (u32, Verb)>,
    /// How often each unit was started.
    starts: BTreeMap<String, u128>,
}

/// A unit that systemd holds in memory because it runs or failed.
#[derive(Debug, Clone)]
pub(super) struct Loaded {
    pub(super) file: PathBuf,
    pub(super) active: &'static str,
    pub(super) sub: &'static str,
    pub(super) since: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verb {
    Start,
    Stop,
    Restart,
}

impl World {
    /// The file that systemd would run for this unit now.
    pub(super) fn file(&self, unit: &str) -> Option<PathBuf> {
        let loaded = self.loaded.get(unit).map(|u| u.file.clone());
        loaded.or_else(|| self.links.get(unit).filter(|path| path.is_file()).cloned())
    }

    /// The unit exists without a file from now on.
    pub(super) fn transient(&mut self, unit: &str) {
        let file = PathBuf::from(format!("/run/systemd/transient/{unit}"));
        self.loaded.insert(unit.to_owned(), Loaded { file, active: "inactive", sub: "dead", since: 0 });
    }

    /// The unit's invocation id: none before its first start, then a new one at each.
    pub(super) fn invocation(&self, unit: &str) -> Vec<u8> {
        self.starts.get(unit).map_or(Vec::new(), |starts| starts.to_be_bytes().to_vec())
    }

    fn set(&mut self, unit: &str, active: &'static str, sub: &'static str) {
        if active == "inactive" {
            self.loaded.remove(unit);
        } else if let Some(file) = self.file(unit) {
            let since = SystemTime::now().duration_since(UNIX_EPOCH);
            let since = since.map_or(0, |d| d.as_micros() as u64);
            let loaded = Loaded { file, active, sub, since };
            self.loaded.insert(unit.to_owned(), loaded);
        }
    }
}

impl FakeSystemd {
    /// A new connection to this systemd, for [`crate::Systemd::connect_to`].
    pub async fn connect(&self) -> zbus::Result<Connection> {
        let (ours, theirs) = UnixStream::pair()?;
        let server = Builder::unix_stream(ours)
            .server(Guid::generate())
            .p2p()
            .serve_at(ROOT_PATH, Manager(self.clone()))
            .build();
        let client = Builder::unix_stream(theirs).p2p().build();
        // Both ends shake hands, so they must be awaited together.
        let (server, client) = tokio::try_join!(server, client)?;
        let units: Vec<String> = self.world().links.keys().cloned().collect();
        for unit in &units {
            self.serve_unit(&server, unit).await?;
        }
        self.servers().push(Server { connection: server, subscribed: false });
        Ok(client)
    }

    /// Cuts all connections, as a lost bus or `daemon-reexec` does. Units and links stay.
    pub async fn disconnect(&self) {
        let servers = std::mem::take(&mut *self.servers());
        for server in servers {
            // A connection that is closed already is as cut as it can be.
            let _ = server.connection.close().await;
        }
    }

    /// Says what happens when this unit is started from now on.
    pub fn script(&self, unit: &str, script: Script) {
        self.world().scripts.insert(unit.to_owned(), script);
    }

    /// The unit does not stop from now on, unless it is killed.
    pub fn does_not_stop(&self, unit: &str) {
        self.world().stubborn.insert(unit.to_owned());
    }

    /// All processes of the unit are gone. A stop that waited for that has ended, else the unit has failed.
    pub(super) async fn killed(&self, unit: &str) {
        let stop = {
            let mut world = self.world();
            world.stubborn.remove(unit);
            world.jobs.get(unit).copied().filter(|(_, verb)| *verb == Verb::Stop)
        };
        match stop {
            Some((job, verb)) => self.run_job(job, unit, verb, &Script::default()).await,
            None => self.die(unit).await,
        }
    }

    /// The unit's `[Install]` is one that systemd refuses from now on.
    pub fn refuse_install(&self, unit: &str) {
        self.world().bad_installs.insert(unit.to_owned());
    }

    pub(super) fn refuses_install(&self, unit: &OsStr) -> bool {
        unit.to_str().is_some_and(|unit| self.world().bad_installs.contains(unit))
    }

    /// The unit's process dies by itself.
    pub async fn die(&self, unit: &str) {
        self.world().set(unit, "failed", "failed");
        self.emit_changed(unit).await;
    }

    /// The unit and its link are gone, as if somebody stopped it and removed the file.
    pub async fn vanish(&self, unit: &str) {
        {
            let mut world = self.world();
            world.loaded.remove(unit);
            world.links.remove(unit);
        }
        self.emit_changed(unit).await;
        let body = (unit, object_path(unit));
        self.emit(ROOT_PATH, MANAGER, "UnitRemoved", &body).await;
    }

    /// Announces changes of this unit that mean nothing, as systemd does for dependencies.
    pub async fn emit_changed(&self, unit: &str) {
        let nothing = HashMap::<&str, Variant<'_>>::new();
        let body = ("org.freedesktop.systemd1.Unit", nothing, Vec::<&str>::new());
        let properties = "org.freedesktop.DBus.Properties";
        self.emit(&path_of_unit(unit), properties, "PropertiesChanged", &body).await;
    }

    /// What was asked so far, oldest first: `link web.service`, `reload`, `start web.service`, ...
    pub fn calls(&self) -> Vec<String> {
        self.world().calls.clone()
    }

    /// The active units with the file each one was started from, by name.
    pub fn active(&self) -> BTreeMap<String, PathBuf> {
        let world = self.world();
        let active = world.loaded.iter().filter(|(_, u)| u.active == "active");
        active.map(|(name, u)| (name.clone(), u.file.clone())).collect()
    }

    /// The linked units with the file each link points to, by name.
    pub fn links(&self) -> BTreeMap<String, PathBuf> {
        self.world().links.clone()
    }

    pub(super) fn record(&self, call: String) {
        self.world().calls.push(call);
    }

    pub(super) fn world(&self) -> MutexGuard<'_, World> {
        self.0.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn servers(&self) -> MutexGuard<'_, Vec<Server>> {
        self.0.servers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes the unit's properties readable on one connection.
    pub(super) async fn serve_unit(&self, server: &Connection, unit: &str) -> zbus::Result<()> {
        let object = UnitObject { systemd: self.clone(), name: unit.to_owned() };
        // False means that it is served already.
        server.object_server().at(path_of_unit(unit), object).await?;
        Ok(())
    }

    /// Queues a job in mode "replace" and returns its number: an equal job is joined, another one is cancelled.
    pub(super) async fn queue_job(&self, unit: &str, verb: Verb) -> u32 {
        let (job, replaced, script) = {
            let mut world = self.world();
            let running = world.jobs.get(unit).copied();
            if let Some((job, running)) = running
                && running == verb
            {
                return job;
            }
            world.last_job += 1;
            let job = world.last_job;
            world.jobs.insert(unit.to_owned(), (job, verb));
            let script = match verb {
                Verb::Start | Verb::Restart => world.scripts.get(unit).cloned(),
                Verb::Stop => None,
            };
            let script = script.unwrap_or_default();
            let down = world.loaded.get(unit).is_none_or(|unit| unit.active == "failed");
            if verb == Verb::Restart || (verb == Verb::Start && down) {
                *world.starts.entry(unit.to_owned()).or_default() += 1;
            }
            if !script.delay.is_zero() {
                world.set(unit, "activating", "start");
            }
            (job, running, script)
        };
        if let Some((old, _)) = replaced {
            self.emit_job_removed(old, unit, &JobOutcome::Canceled).await;
        }
        if verb == Verb::Stop && self.world().stubborn.contains(unit) {
            self.world().set(unit, "deactivating", "stop-sigterm");
        } else if script.before_reply {
            self.run_job(job, unit, verb, &script).await;
        } else {
            let (systemd, unit) = (self.clone(), unit.to_owned());
            tokio::spawn(async move { systemd.run_job(job, &unit, verb, &script).await });
        }
        job
    }

    async fn run_job(&self, job: u32, unit: &str, verb: Verb, script: &Script) {
        if !script.delay.is_zero() {
            self.emit_changed(unit).await;
            tokio::time::sleep(script.delay).await;
        }
        {
            let mut world = self.world();
            if world.jobs.get(unit).is_none_or(|(id, _)| *id != job) {
                // Replaced by another job, which has told so.
                return;
            }
            world.jobs.remove(unit);
            match (verb, &script.outcome) {
                (Verb::Stop, _) => world.set(unit, "inactive", "dead"),
                (_, JobOutcome::Done) => world.set(unit, "active", "running"),
                _ => world.set(unit, "failed", "failed"),
            }
        }
        self.emit_changed(unit).await;
        self.emit_job_removed(job, unit, &script.outcome).await;
    }

    async fn emit_job_removed(&self, job: u32, unit: &str, outcome: &JobOutcome) {
        let body = (job, job_path(job), unit, outcome.as_str());
        self.emit(ROOT_PATH, MANAGER, "JobRemoved", &body).await;
    }

    /// From now on this connection gets signals.
    pub(super) fn subscribe(&self, connection: &Connection) {
        for server in self.servers().iter_mut() {
            // Each server end was given an id of its own.
            server.subscribed |= server.connection.server_guid() == connection.server_guid();
        }
    }

    /// Sends a signal on every connection that subscribed.
    pub(super) async fn emit<B>(&self, path: &str, interface: &str, member: &str, body: &B)
    where
        B: zbus::export::serde::Serialize + zbus::DynamicType,
    {
        let servers = self.servers().clone();
        for server in servers.iter().filter(|s| s.subscribed) {
            let sent = server.connection.emit_signal(None::<&str>, path, interface, member, body);
            if let Err(error) = sent.await {
                tracing::debug!(path, member, %error, "nobody listens on this connection any more");
            }
        }
    }
}

pub(super) fn job_path(job: u32) -> zbus::OwnedObjectPath {
    // Made of a constant and digits only.
    zbus::OwnedObjectPath::try_from(format!("{ROOT_PATH}/job/{job}")).unwrap_or_default()
}

pub(super) fn object_path(unit: &str) -> zbus::OwnedObjectPath {
    // The escaping leaves nothing that an object path cannot hold.
    zbus::OwnedObjectPath::try_from(path_of_unit(unit)).unwrap_or_default()
}
