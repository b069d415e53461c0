//! Looks at the machine below Flota.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use flota_doctor::{Blind, Bus, Cgroups, Clock, Engine, Kernel, Look, Security, Systemd};
use flota_etcd::chain;

use super::exists;
use super::look::{last_line, program, properties, within};

/// What containers need of the kernel: the modules' names.
const MODULES: [&str; 3] = ["overlay", "bridge", "veth"];
/// Where control groups are.
const CGROUPS: &str = "/sys/fs/cgroup";
/// How each engine says its version, only if it works.
const ENGINES: [(&str, &[&str]); 2] = [
    ("docker", &["docker", "version", "--format", "{{.Server.Version}}"]),
    ("podman", &["podman", "info", "--format", "{{.Version.Version}}"]),
];

/// Whether this machine is a container.
pub fn container() -> bool {
    exists("/run/systemd/container") || exists("/run/host/container-manager") || exists("/.dockerenv")
}

pub fn kernel() -> Kernel {
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    let folder = Path::new("/lib/modules").join(&release);
    let lists: Vec<String> = ["modules.builtin", "modules.dep"]
        .iter()
        .filter_map(|name| fs::read_to_string(folder.join(name)).ok())
        .collect();
    let file_systems = fs::read_to_string("/proc/filesystems").unwrap_or_default();
    let is_there = |module: &str| {
        let file = format!("/{module}.ko");
        exists(&format!("/sys/module/{module}"))
            || file_systems.lines().any(|line| line.split_whitespace().last() == Some(module))
            || lists.iter().any(|list| list.contains(&file))
    };
    let missing = MODULES.into_iter().filter(|module| !is_there(module)).map(str::to_owned).collect();
    Kernel { release, has_modules: !lists.is_empty(), missing }
}

pub fn cgroups() -> Look<Cgroups> {
    let path = Path::new(CGROUPS).join("cgroup.controllers");
    match fs::read_to_string(&path) {
        Ok(text) => Ok(Cgroups { version: 2, controllers: text.split_whitespace().map(str::to_owned).collect() }),
        Err(_) if Path::new(CGROUPS).is_dir() => Ok(Cgroups { version: 1, controllers: BTreeSet::new() }),
        Err(_) => Err(Blind::Because(format!("nothing is mounted at {CGROUPS}"))),
    }
}

pub async fn systemd() -> Look<Systemd> {
    if !exists("/run/systemd/system") {
        let name = fs::read_to_string("/proc/1/comm").unwrap_or_default();
        return Ok(Systemd::NotInit(name.trim().to_owned()));
    }
    let ask = async {
        let (systemd, _signals) = flota_systemd::Systemd::connect().await?;
        Ok(Bus { version: systemd.version().await?, state: systemd.system_state().await? })
    };
    let asked = within("D-Bus", async { Ok::<Result<Bus, flota_systemd::SystemdError>, Blind>(ask.await) }).await;
    // Systemd that says nothing is as bad as one that refuses.
    let answer = asked.map_err(|late| late.to_string()).and_then(|answer| answer.map_err(|error| chain(&error)));
    Ok(Systemd::Init(answer))
}

pub async fn clock() -> Look<Clock> {
    let line = ["timedatectl", "show", "-p", "NTPSynchronized", "-p", "CanNTP", "-p", "NTP"];
    let value = within("timedatectl", properties(&line)).await?;
    let is = |name: &str| value(name) == "yes";
    Ok(Clock { synchronised: is("NTPSynchronized"), can_ntp: is("CanNTP"), ntp: is("NTP") })
}

pub async fn engines() -> Look<Vec<Engine>> {
    let [docker, podman] = ENGINES;
    let (docker, podman) = tokio::join!(engine(docker), engine(podman));
    Ok([docker, podman].into_iter().flatten().collect())
}

/// A program that runs containers; nothing where it is not there.
async fn engine((name, line): (&'static str, &[&str])) -> Option<Engine> {
    let asked = within(name, async { program(line).await.map_err(|error| Blind::Because(error.to_string())) }).await;
    let answer = match asked {
        Ok(None) => return None,
        Err(why) => Err(why),
        Ok(Some(output)) if output.status.success() => {
            Ok(Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned()))
        }
        Ok(Some(output)) => match last_line(&output.stderr) {
            why if why.contains("permission denied") => Err(Blind::NotAllowed(format!("ask {name}"))),
            why => Ok(Err(why)),
        },
    };
    Some(Engine { name, answer })
}

pub fn security() -> Security {
    let says = |path: &str, word: &str| fs::read_to_string(path).is_ok_and(|text| text.trim() == word);
    Security {
        apparmor: says("/sys/module/apparmor/parameters/enabled", "Y"),
        apparmor_parser: exists("/usr/sbin/apparmor_parser") || exists("/sbin/apparmor_parser"),
        selinux_enforces: says("/sys/fs/selinux/enforce", "1"),
    }
}
