//! The tree of an image: Debian's packages, then the base's and the spec's files, users and units.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use super::{Order, base, inside};
use crate::debian::{self, Tree};
use crate::error::{ImageError, Result};
use crate::host::run::{command, run};
use crate::host::{Progress, files};
use crate::prepare;
use crate::spec::{Content, Spec, User};
use crate::words::lines;

/// What programs leave behind while packages are configured: caches, logs and backups that differ from build to build,
/// and options that were meant for the build alone.
const LEFT_BEHIND: &[&str] = &[
    "etc/.pwd.lock",
    "etc/apt/apt.conf.d/99mmdebstrap",
    "etc/dpkg/dpkg.cfg.d/99mmdebstrap",
    "etc/group-",
    "etc/gshadow-",
    "etc/passwd-",
    "etc/shadow-",
    "etc/subgid-",
    "etc/subuid-",
    "var/cache/ldconfig/aux-cache",
    "var/lib/dbus",
    "var/lib/systemd/catalog/database",
    "var/lib/systemd/random-seed",
    "var/log/alternatives.log",
    "var/log/apt",
    "var/log/bootstrap.log",
    "var/log/dpkg.log",
];

/// Directories whose content belongs to the build; they stay, empty. That of the journal has it kept on disk: without the
/// directory it would be in memory, 8 MB from the first line on, and gone at each reboot.
const EMPTIED: &[&str] =
    &["tmp", "var/tmp", "var/cache/apt", "var/lib/apt/lists", "var/cache/debconf", "var/log/journal", "run"];

/// Makes the tree at `target`.
pub(crate) fn make(order: &Order, target: &Path, progress: &mut dyn Progress) -> Result<()> {
    progress.step(&format!("install Debian {} with its packages (minutes)", order.suite.as_str()));
    let spec = &order.spec;
    let packages = base::packages(order.suite, &spec.without, &spec.packages);
    let packages: Vec<&str> = packages.iter().map(String::as_str).collect();
    let mirror = spec.mirror.clone().map_or_else(debian::mirror, Ok)?;
    let sources = base::sources(order.suite, &mirror, &debian::security_mirror()?);
    let (mut options, mut environment) = order.flota.hooks();
    options.push(format!("--dpkgopt=path-include={}", base::LICENCES));
    environment.push(("SOURCE_DATE_EPOCH", order.epoch.to_string()));
    let tree = Tree {
        sources: &sources,
        options: &options,
        environment: &environment,
        ..Tree::new(order.suite, "minbase", &packages)
    };
    debian::make_tree(tree, target, progress)?;
    progress.step("complete the tree");
    prepare::forget_identity(target)?;
    order.flota.install(target)?;
    let default_user = spec.users.first().map_or("root", |user| user.name.as_str());
    for (path, mode, content) in base::files(&spec.hostname, default_user) {
        inside::write(target, path, content.as_bytes(), mode)?;
    }
    let resolv = target.join("etc/resolv.conf");
    files::remove(&resolv)?;
    symlink("../run/systemd/resolve/stub-resolv.conf", &resolv).map_err(ImageError::io("link", &resolv))?;
    add_users(order, target)?;
    add_files(order, target)?;
    settle_units(spec, target)?;
    forget_the_build(target)
}

/// A program of the tree, run in it.
fn within(tree: &Path, epoch: u64, line: &[&str]) -> Command {
    let mut command = command("chroot", [tree.as_os_str()]);
    // The day of a password's last change is that of the epoch, too.
    command.args(line).env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").env("LC_ALL", "C.UTF-8");
    command.env("SOURCE_DATE_EPOCH", epoch.to_string());
    command
}

fn add_users(order: &Order, tree: &Path) -> Result<()> {
    authorize(order, tree, "root", "/root", &order.spec.ssh_keys)?;
    for user in &order.spec.users {
        if user.name != "root" {
            let mut line = vec!["useradd", "--create-home", "--user-group"];
            line.extend(["--shell", user.shell.as_deref().unwrap_or("/bin/bash")]);
            let groups = user.groups.join(",");
            if !groups.is_empty() {
                line.extend(["--groups", &groups]);
            }
            run(&mut within(tree, order.epoch, &[&line[..], &[&user.name]].concat()))?;
        }
        let home = if user.name == "root" { "/root".to_owned() } else { format!("/home/{}", user.name) };
        authorize(order, tree, &user.name, &home, &user.ssh_keys)?;
        allow_sudo(tree, user)?;
    }
    Ok(())
}

fn authorize(order: &Order, tree: &Path, user: &str, home: &str, keys: &[String]) -> Result<()> {
    if keys.is_empty() {
        return Ok(());
    }
    let dir = format!("{home}/.ssh");
    let text = lines(keys.iter().map(|key| key.trim()));
    inside::write(tree, &format!("{dir}/authorized_keys"), text.as_bytes(), 0o600)?;
    run(&mut within(tree, order.epoch, &["chmod", "0700", &dir]))?;
    run(&mut within(tree, order.epoch, &["chown", "-R", &format!("{user}:{user}"), &dir]))?;
    Ok(())
}

fn allow_sudo(tree: &Path, user: &User) -> Result<()> {
    if user.sudo && user.name != "root" {
        let text = format!("{} ALL=(ALL) NOPASSWD:ALL\n", user.name);
        inside::write(tree, &format!("/etc/sudoers.d/90-{}", user.name), text.as_bytes(), 0o440)?;
    }
    Ok(())
}

fn add_files(order: &Order, tree: &Path) -> Result<()> {
    for file in &order.spec.files {
        let content = match &file.content {
            Content::Text(text) => text.clone().into_bytes(),
            Content::Source(source) => {
                let source = order.spec_dir.join(source);
                fs::read(&source).map_err(ImageError::io("read", source))?
            }
        };
        inside::write(tree, &file.path, &content, file.mode)?;
        if file.owner != "root:root" {
            run(&mut within(tree, order.epoch, &["chown", &file.owner, &file.path]))?;
            // Changing the owner takes these bits away.
            if file.mode & 0o6000 != 0 {
                run(&mut within(tree, order.epoch, &["chmod", &format!("{:o}", file.mode), &file.path]))?;
            }
        }
    }
    Ok(())
}

/// What starts at boot: the base's choice, then the spec's.
fn settle_units(spec: &Spec, tree: &Path) -> Result<()> {
    prepare::remove_wants(tree, base::DISABLED)?;
    let wanted = |unit: &&str| !spec.disable.iter().chain(&spec.mask).any(|other| other == unit);
    let there = |unit: &&str| {
        ["etc/systemd/system", "usr/lib/systemd/system"].iter().any(|dir| tree.join(dir).join(unit).exists())
    };
    let enabled: Vec<&str> = base::ENABLED.iter().copied().filter(wanted).filter(there).collect();
    for (verb, units) in [
        ("enable", enabled),
        ("disable", spec.disable.iter().map(String::as_str).collect()),
        ("enable", spec.enable.iter().map(String::as_str).collect()),
        ("mask", spec.mask.iter().map(String::as_str).collect()),
    ] {
        if units.is_empty() {
            continue;
        }
        let root = format!("--root={}", tree.display());
        run(command("systemctl", ["--quiet", "--no-reload", &root, verb]).args(units))?;
    }
    Ok(())
}

fn forget_the_build(tree: &Path) -> Result<()> {
    for path in LEFT_BEHIND {
        files::remove(&tree.join(path))?;
    }
    for path in EMPTIED {
        let dir = tree.join(path);
        for name in files::names_in(&dir)? {
            files::remove(&dir.join(name))?;
        }
    }
    Ok(())
}
