//! Does what the plan says. A step that fails is told, and the others are done all the same: a machine without one file
//! is better than one without ssh.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::coreos::UnitEntry;
use super::plan::Step;
use super::settings::{JoinEntry, Settings};
use super::userdata::{FileEntry, UserEntry};
use crate::host::{HostError, Result, files};
use crate::words::lines;

/// Where the first boot keeps what it leaves for later.
pub(super) const STATE: &str = "var/lib/flota-firstboot";
/// In there: where to join.
const JOIN: &str = "join.json";
/// What whoever logs in is told while the machine has not joined.
const MESSAGE: &str = "run/motd.d/flota";
const CONFIG: &str = "etc/flota/flota.toml";

/// Runs a program of the machine.
pub(super) type Run<'a> = &'a mut dyn FnMut(&[&str]) -> Result<()>;

/// Does all steps below `root`; what failed, in words.
pub(super) fn apply(root: &Path, steps: &[Step], run: Run<'_>) -> Vec<String> {
    let mut machine = Machine { root, run };
    let failed = |step: &Step, error: HostError| format!("{step}: {}", causes(&error));
    steps.iter().filter_map(|step| machine.step(step).err().map(|error| failed(step, error))).collect()
}

fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let _ = write!(text, ": {error}");
        source = error.source();
    }
    text
}

struct Machine<'a> {
    root: &'a Path,
    run: Run<'a>,
}

impl Machine<'_> {
    fn step(&mut self, step: &Step) -> Result<()> {
        match step {
            Step::Name { hostname, fqdn } => self.name(hostname, fqdn.as_deref()),
            Step::User(user) => self.user(user),
            Step::Keys { user, keys } => self.keys(user, keys),
            Step::Environment(variables) => self.variables("etc/environment", variables),
            Step::File(file) => self.file(file),
            Step::Flota(settings) => self.flota(settings),
            Step::Etcd(variables) => {
                let variables = variables.iter().map(|(key, value)| (format!("ETCD_{key}"), value.clone())).collect();
                self.variables("etc/default/etcd", &variables)
            }
            Step::Units(units) => self.units(units),
            Step::Join(join) => self.join(join),
        }
    }

    fn at(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    fn read(&self, path: &str) -> Result<String> {
        Ok(files::read_optional(&self.at(path))?.unwrap_or_default())
    }

    fn name(&mut self, hostname: &str, fqdn: Option<&str>) -> Result<()> {
        files::write(&self.at("etc/hostname"), format!("{hostname}\n").as_bytes(), 0o644)?;
        let names = fqdn.map_or_else(|| hostname.to_owned(), |fqdn| format!("{fqdn} {hostname}"));
        let hosts = self.read("etc/hosts")?;
        let others = lines(hosts.lines().filter(|line| !line.starts_with("127.0.1.1")));
        files::write(&self.at("etc/hosts"), format!("{others}127.0.1.1 {names}\n").as_bytes(), 0o644)?;
        (self.run)(&["hostname", hostname])
    }

    fn user(&mut self, user: &UserEntry) -> Result<()> {
        let groups = user.groups.join(",");
        if self.account(&user.name)?.is_some() {
            if !groups.is_empty() {
                (self.run)(&["usermod", "--append", "--groups", &groups, &user.name])?;
            }
        } else {
            let mut line = vec!["useradd", "--create-home", "--user-group"];
            line.extend(["--shell", user.shell.as_deref().unwrap_or("/bin/bash")]);
            if let Some(gecos) = &user.gecos {
                line.extend(["--comment", gecos]);
            }
            if !groups.is_empty() {
                line.extend(["--groups", &groups]);
            }
            line.push(&user.name);
            (self.run)(&line)?;
        }
        if !user.sudo.is_empty() {
            let rules = lines(user.sudo.iter().map(|rule| format!("{} {rule}", user.name)));
            files::write(&self.at(&format!("etc/sudoers.d/90-{}", user.name)), rules.as_bytes(), 0o440)?;
        }
        Ok(())
    }

    /// The home directory of a user that is there.
    fn account(&self, user: &str) -> Result<Option<String>> {
        let passwd = self.read("etc/passwd")?;
        let line = passwd.lines().find(|line| line.split(':').next() == Some(user));
        Ok(line.and_then(|line| line.split(':').nth(5)).map(str::to_owned))
    }

    fn keys(&mut self, user: &str, keys: &[String]) -> Result<()> {
        let unknown = || HostError::io("find", format!("user {user}"))(io::Error::from(io::ErrorKind::NotFound));
        let dir = format!("{}/.ssh", self.account(user)?.ok_or_else(unknown)?);
        let path = format!("{dir}/authorized_keys");
        let mut text = self.read(&path)?;
        for key in keys.iter().filter(|key| !text.lines().any(|line| line == *key)).collect::<Vec<_>>() {
            text.push_str(key);
            text.push('\n');
        }
        files::write(&self.at(&path), text.as_bytes(), 0o600)?;
        let place = self.at(&dir);
        fs::set_permissions(&place, fs::Permissions::from_mode(0o700))
            .map_err(HostError::io("set the mode of", &place))?;
        (self.run)(&["chown", "-R", &format!("{user}:"), &dir])
    }

    /// Lines NAME=VALUE in a file; others stay.
    fn variables(&mut self, path: &str, variables: &BTreeMap<String, String>) -> Result<()> {
        let before = self.read(path)?;
        let other = |line: &&str| line.split_once('=').is_none_or(|(name, _)| !variables.contains_key(name));
        let mut text = lines(before.lines().filter(other));
        for (name, value) in variables {
            let quoted = value.replace('\\', "\\\\").replace('"', "\\\"");
            let _ = writeln!(text, "{name}=\"{quoted}\"");
        }
        files::write(&self.at(path), text.as_bytes(), 0o644).map(drop)
    }

    fn file(&mut self, file: &FileEntry) -> Result<()> {
        let place = self.at(&file.path);
        let mut content = if file.append { fs::read(&place).unwrap_or_default() } else { Vec::new() };
        content.extend_from_slice(&file.content);
        // A file that is written anew has its mode from the first moment; the same one may have had another.
        files::write(&place, &content, file.mode)?;
        if file.owner != "root:root" {
            (self.run)(&["chown", &file.owner, &file.path])?;
        }
        fs::set_permissions(&place, fs::Permissions::from_mode(file.mode))
            .map_err(HostError::io("set the mode of", &place))
    }

    fn flota(&mut self, settings: &Settings) -> Result<()> {
        let before = self.read(CONFIG)?;
        let wrong = |message| {
            HostError::io("change", format!("/{CONFIG}"))(io::Error::new(io::ErrorKind::InvalidData, message))
        };
        match settings.merged_into(&before).map_err(wrong)? {
            Some(text) => files::write(&self.at(CONFIG), text.as_bytes(), 0o644).map(drop),
            None => Ok(()),
        }
    }

    fn units(&mut self, units: &[UnitEntry]) -> Result<()> {
        for unit in units {
            let dir = match unit.name.rsplit_once('.').map(|(_, kind)| kind) {
                Some("network" | "netdev" | "link") => "etc/systemd/network",
                _ => "etc/systemd/system",
            };
            if let Some(content) = &unit.content {
                files::write(&self.at(&format!("{dir}/{}", unit.name)), content.as_bytes(), 0o644)?;
            }
            for (name, content) in &unit.drop_ins {
                files::write(&self.at(&format!("{dir}/{}.d/{name}", unit.name)), content.as_bytes(), 0o644)?;
            }
        }
        (self.run)(&["systemctl", "daemon-reload"])?;
        // All are tried; the first that fails is told.
        let mut result = Ok(());
        for unit in units {
            for (asked, verb) in [(unit.mask, "mask"), (unit.enable, "enable")] {
                if asked {
                    result = result.and((self.run)(&["systemctl", verb, &unit.name]));
                }
            }
            if let Some(command) = &unit.command {
                // The boot goes on meanwhile: the unit may wait for what comes after us.
                result = result.and((self.run)(&["systemctl", "--no-block", command, &unit.name]));
            }
        }
        result
    }

    fn join(&mut self, join: &JoinEntry) -> Result<()> {
        let text = serde_json::json!({ "address": join.address, "token": join.token }).to_string();
        files::write(&self.root.join(STATE).join(JOIN), text.as_bytes(), 0o600).map(drop)
    }
}

/// Where the first boot wants this machine to join; none when it does not.
pub fn wanted_join(root: &Path) -> Result<Option<JoinEntry>> {
    let path = root.join(STATE).join(JOIN);
    let Some(text) = files::read_optional(&path)? else { return Ok(None) };
    let damaged = |error: serde_json::Error| HostError::io("read", &path)(io::Error::from(error));
    let value: serde_json::Value = serde_json::from_str(&text).map_err(damaged)?;
    let field = |name: &str| value[name].as_str().unwrap_or_default().to_owned();
    Ok(Some(JoinEntry { address: field("address"), token: field("token") }))
}

/// Tells whoever logs in from now on that the machine did not join, and why.
pub fn tell_at_login(root: &Path, why: &str) -> Result<()> {
    let text =
        format!("\n*** flota: {why}\n*** It is tried again all the time: journalctl -u flota-firstboot-join\n\n");
    files::write(&root.join(MESSAGE), text.as_bytes(), 0o644).map(drop)
}

/// Forgets where to join: the machine did.
pub fn forget_join(root: &Path) -> Result<()> {
    files::remove(&root.join(MESSAGE))?;
    files::remove(&root.join(STATE).join(JOIN))
}
