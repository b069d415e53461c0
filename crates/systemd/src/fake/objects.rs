//! The D-Bus objects of the fake: the manager and its units.

use std::path::Path;

use zbus::{Connection, DBusError, OwnedObjectPath, OwnedVariant, fdo, interface};

use super::world::{FakeSystemd, Verb, job_path, object_path};
use crate::{
    proxy::{UnitFileChange, UnitRow},
    pump::ROOT_PATH,
};

pub(super) const MANAGER: &str = "org.freedesktop.systemd1.Manager";

/// systemd's own errors, by their names on the bus.
#[derive(Debug, DBusError)]
#[zbus(prefix = "org.freedesktop.systemd1")]
pub(super) enum Refusal {
    #[zbus(error)]
    Bus(zbus::Error),
    NoSuchUnit(String),
    BadUnitSetting(String),
    UnitExists(String),
    NotModelled(String),
}

/// Fails loudly when a caller leaves the part of systemd that is modelled here.
fn only(holds: bool, what: &str) -> Result<(), Refusal> {
    if holds { Ok(()) } else { Err(Refusal::NotModelled(format!("the fake knows only {what}"))) }
}

/// The manager object.
pub(super) struct Manager(pub(super) FakeSystemd);

impl Manager {
    fn require(&self, unit: &str) -> Result<(), Refusal> {
        match self.0.world().file(unit) {
            Some(_) => Ok(()),
            None => Err(Refusal::NoSuchUnit(format!("Unit {unit} not found."))),
        }
    }

    fn row(&self, unit: &str) -> fdo::Result<UnitRow> {
        let stem = unit.rsplit_once('.').map(|(stem, _)| stem);
        if unit.contains('/') || stem.is_none_or(|stem| stem.is_empty() || stem.ends_with('@')) {
            let message = format!("Unit name {unit} is neither a valid invocation ID nor unit name.");
            return Err(fdo::Error::InvalidArgs(message));
        }
        let world = self.0.world();
        let load = match world.file(unit) {
            Some(_) => "loaded",
            None => "not-found",
        };
        let loaded = world.loaded.get(unit);
        let (active, sub) = loaded.map_or(("inactive", "dead"), |u| (u.active, u.sub));
        let [load, active, sub] = [load, active, sub].map(str::to_owned);
        Ok((
            unit.to_owned(),
            String::new(),
            load,
            active,
            sub,
            String::new(),
            object_path(unit),
            0,
            String::new(),
            OwnedObjectPath::default(),
        ))
    }
}

#[interface(name = "org.freedesktop.systemd1.Manager")]
impl Manager {
    fn subscribe(&self, #[zbus(connection)] connection: &Connection) {
        self.0.subscribe(connection);
    }

    async fn reload(&self) {
        self.0.record("reload".to_owned());
        self.0.emit(ROOT_PATH, MANAGER, "Reloading", &(true,)).await;
        {
            let mut world = self.0.world();
            let links = world.links.clone();
            for (name, unit) in &mut world.loaded {
                if let Some(file) = links.get(name) {
                    unit.file.clone_from(file);
                }
            }
        }
        self.0.emit(ROOT_PATH, MANAGER, "Reloading", &(false,)).await;
    }

    async fn link_unit_files(
        &self,
        files: Vec<String>,
        runtime: bool,
        force: bool,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<Vec<UnitFileChange>, Refusal> {
        only(runtime && force, "links in /run that replace others")?;
        let mut changes = Vec::new();
        for file in files {
            let path = Path::new(&file);
            let name = path.file_name().and_then(|n| n.to_str());
            let Some(name) = name.filter(|_| path.is_file()) else {
                return Err(Refusal::NoSuchUnit(format!("Unit {file} does not exist")));
            };
            self.0.record(format!("link {name}"));
            self.0.world().links.insert(name.to_owned(), path.to_owned());
            self.0.serve_unit(connection, name).await?;
            let link = format!("/run/systemd/system/{name}");
            changes.push(("symlink".to_owned(), link, file));
        }
        Ok(changes)
    }

    async fn enable_unit_files(
        &self,
        files: Vec<String>,
        runtime: bool,
        force: bool,
        #[zbus(connection)] connection: &Connection,
    ) -> Result<(bool, Vec<UnitFileChange>), Refusal> {
        only(!force, "links that replace none")?;
        let bad = |file: &String| Path::new(file).file_name().is_some_and(|name| self.0.refuses_install(name));
        if let Some(file) = files.iter().find(|file| bad(file)) {
            return Err(Refusal::BadUnitSetting(format!("{file}: \"Alias=\" names another type of unit")));
        }
        let kind = if runtime { "enable" } else { "enable for good" };
        for file in &files {
            let name = Path::new(file).file_name().and_then(|name| name.to_str()).unwrap_or_default();
            self.0.record(format!("{kind} {name}"));
        }
        if !runtime {
            return Ok((true, Vec::new()));
        }
        Ok((true, self.link_unit_files(files, true, true, connection).await?))
    }

    fn disable_unit_files(&self, files: Vec<String>, runtime: bool) -> Result<Vec<UnitFileChange>, Refusal> {
        only(runtime, "links in /run")?;
        let mut changes = Vec::new();
        for name in files {
            if self.0.world().links.remove(&name).is_none() {
                let message = format!("Unit file {name} does not exist.");
                return Err(Refusal::NoSuchUnit(message));
            }
            self.0.record(format!("unlink {name}"));
            let link = format!("/run/systemd/system/{name}");
            changes.push(("unlink".to_owned(), link, String::new()));
        }
        Ok(changes)
    }

    async fn start_unit(&self, name: &str, mode: &str) -> Result<OwnedObjectPath, Refusal> {
        only(mode == "replace", "mode replace")?;
        self.0.record(format!("start {name}"));
        self.require(name)?;
        Ok(job_path(self.0.queue_job(name, Verb::Start).await))
    }

    async fn stop_unit(&self, name: &str, mode: &str) -> Result<OwnedObjectPath, Refusal> {
        only(mode == "replace", "mode replace")?;
        self.0.record(format!("stop {name}"));
        if !self.0.world().loaded.contains_key(name) {
            return Err(Refusal::NoSuchUnit(format!("Unit {name} not loaded.")));
        }
        Ok(job_path(self.0.queue_job(name, Verb::Stop).await))
    }

    async fn restart_unit(&self, name: &str, mode: &str) -> Result<OwnedObjectPath, Refusal> {
        only(mode == "replace", "mode replace")?;
        self.0.record(format!("restart {name}"));
        self.require(name)?;
        Ok(job_path(self.0.queue_job(name, Verb::Restart).await))
    }

    async fn try_restart_unit(&self, name: &str, mode: &str) -> Result<OwnedObjectPath, Refusal> {
        only(mode == "replace", "mode replace")?;
        self.0.record(format!("try-restart {name}"));
        self.require(name)?;
        Ok(job_path(self.0.queue_job(name, Verb::Restart).await))
    }

    async fn reload_unit(&self, name: &str, mode: &str) -> Result<OwnedObjectPath, Refusal> {
        only(mode == "replace", "mode replace")?;
        self.0.record(format!("reload {name}"));
        self.require(name)?;
        // Only a unit that runs can be told anything.
        let active = self.0.world().loaded.get(name).map(|unit| unit.active);
        match active {
            Some("active") => Ok(job_path(self.0.queue_job(name, Verb::Start).await)),
            _ => Err(Refusal::NoSuchUnit(format!("Job type reload is not applicable for unit {name}."))),
        }
    }

    async fn kill_unit(&self, name: &str, whom: &str, signal: i32) -> Result<(), Refusal> {
        if whom == "main" {
            self.0.record(format!("signal {signal} to {name}"));
            return self.require(name);
        }
        only(whom == "all" && signal == 9, "SIGKILL to all of a unit's processes")?;
        self.0.record(format!("kill {name}"));
        if !self.0.world().loaded.contains_key(name) {
            return Err(Refusal::NoSuchUnit(format!("Unit {name} not loaded.")));
        }
        self.0.killed(name).await;
        Ok(())
    }

    async fn start_transient_unit(
        &self,
        name: &str,
        mode: &str,
        properties: Vec<(String, OwnedVariant)>,
        auxiliary: Vec<(String, Vec<(String, OwnedVariant)>)>,
    ) -> Result<OwnedObjectPath, Refusal> {
        only(mode == "replace" && auxiliary.is_empty(), "mode replace, and one unit at a time")?;
        only(properties.iter().any(|(name, _)| name == "ExecStart"), "services that run something")?;
        self.0.record(format!("transient {name}"));
        if self.0.world().file(name).is_some() {
            return Err(Refusal::UnitExists(format!("Unit {name} was already loaded or has a fragment file.")));
        }
        self.0.world().transient(name);
        Ok(job_path(self.0.queue_job(name, Verb::Start).await))
    }

    fn reset_failed_unit(&self, name: &str) -> Result<(), Refusal> {
        self.0.record(format!("reset {name}"));
        let mut world = self.0.world();
        match world.loaded.get(name) {
            None => Err(Refusal::NoSuchUnit(format!("Unit {name} not loaded."))),
            Some(unit) => {
                if unit.active == "failed" {
                    world.loaded.remove(name);
                }
                Ok(())
            }
        }
    }

    fn list_units_by_names(&self, names: Vec<String>) -> fdo::Result<Vec<UnitRow>> {
        names.iter().map(|name| self.row(name)).collect()
    }

    #[expect(clippy::unused_self, reason = "a property is a method to the bus")]
    #[zbus(property)]
    fn version(&self) -> &'static str {
        "257 (fake)"
    }
}

/// One unit's properties.
pub(super) struct UnitObject {
    pub(super) systemd: FakeSystemd,
    pub(super) name: String,
}

#[interface(name = "org.freedesktop.systemd1.Unit")]
impl UnitObject {
    #[zbus(property)]
    fn state_change_timestamp(&self) -> u64 {
        let world = self.systemd.world();
        world.loaded.get(&self.name).map_or(0, |unit| unit.since)
    }

    #[zbus(property, name = "InvocationID")]
    fn invocation_id(&self) -> Vec<u8> {
        self.systemd.world().invocation(&self.name)
    }
}
