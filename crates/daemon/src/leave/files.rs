//! A leaving machine's unit files: from Flota's folder to the administrator's, and no unit is touched.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use anyhow::Context;
use flota_agent::{AtBoot, Here, Keep, Kept, Refusal, keep};
use flota_systemd::Systemd;
use flota_unit::{UnitFile, UnitName};
use tracing::{info, warn};

use crate::disk::{AgentDir, write_whole};

/// What starts a unit at boot that has no word of its own.
const MULTI_USER_WANTS: &str = "multi-user.target.wants";

/// What would become of the unit files that are here, were the machine to leave now.
pub fn plan(dir: &AgentDir, etc: &Path) -> anyhow::Result<Result<Keep, Refusal>> {
    let held = dir.read_held()?;
    let files = dir.unit_files().context("cannot read this machine's unit files")?;
    let look = |(name, file): (UnitName, UnitFile)| {
        let is_taken = is_taken(&etc.join(name.as_str()), file.text().as_bytes());
        (name, Here { is_wanted: is_wanted(&file), is_taken })
    };
    Ok(keep(&held, &files.into_iter().map(look).collect()))
}

/// Whether its `[Install]` section says what starts it.
fn is_wanted(file: &UnitFile) -> bool {
    let says = |name: &str| matches!(name, "WantedBy" | "RequiredBy" | "UpheldBy");
    file.entries().any(|entry| entry.section == "Install" && says(&entry.name) && !entry.value.is_empty())
}

/// Whether the path is anything but a file with this content, such as an earlier try left it.
fn is_taken(path: &Path, content: &[u8]) -> bool {
    match fs::symlink_metadata(path) {
        Err(error) => error.kind() != ErrorKind::NotFound,
        Ok(found) => !found.is_file() || fs::read(path).ok().as_deref() != Some(content),
    }
}

/// Makes plain systemd units of what is kept: files, links for the next boot, and one daemon-reload. Each step is done
/// already or done again, so a crash in between costs nothing.
pub async fn hand_over(systemd: &Systemd, dir: &AgentDir, etc: &Path, keep: &Keep) -> anyhow::Result<()> {
    let (moved, from, to) = (keep.clone(), dir.clone(), etc.to_owned());
    tokio::task::spawn_blocking(move || write(&moved, &from, &to)).await??;
    enable(systemd, etc, &keep.kept).await?;
    let (gone, from) = (keep.clone(), dir.clone());
    tokio::task::spawn_blocking(move || {
        let units = gone.kept.iter().map(|kept| &kept.unit).chain(&gone.dropped);
        from.unlink(&units.collect::<Vec<_>>()).context("cannot remove links in /run/systemd/system")
    })
    .await??;
    // Until now systemd knows the files by their old links; from now on by their new names.
    systemd.reload().await.context("systemd does not read its unit files again")?;
    info!("{} units are plain systemd units now", keep.kept.len());
    Ok(())
}

fn write(keep: &Keep, dir: &AgentDir, etc: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(etc).with_context(|| format!("cannot make {}", etc.display()))?;
    for Kept { unit, at_boot } in &keep.kept {
        let (source, target) = (dir.unit_path(unit), etc.join(unit.as_str()));
        let bytes = fs::read(&source).with_context(|| format!("cannot read {}", source.display()))?;
        if fs::read(&target).ok().as_deref() != Some(&*bytes) {
            write_whole(&target, &bytes).with_context(|| format!("cannot write {}", target.display()))?;
        }
        if *at_boot == AtBoot::MultiUser {
            want(etc, unit)?;
        }
    }
    Ok(())
}

/// `multi-user.target` wants the unit.
fn want(etc: &Path, unit: &UnitName) -> anyhow::Result<()> {
    let folder = etc.join(MULTI_USER_WANTS);
    let link = folder.join(unit.as_str());
    let made = fs::create_dir_all(&folder)
        .and_then(|()| make_link(&etc.join(unit.as_str()), &link))
        .and_then(|()| fs::File::open(&folder)?.sync_all());
    made.with_context(|| format!("cannot make {}", link.display()))
}

fn make_link(target: &Path, link: &PathBuf) -> io::Result<()> {
    match std::os::unix::fs::symlink(target, link) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        made => made,
    }
}

/// Applies `[Install]` sections, all at once; where systemd refuses one, `multi-user.target` wants that unit instead.
async fn enable(systemd: &Systemd, etc: &Path, kept: &[Kept]) -> anyhow::Result<()> {
    let units: Vec<&UnitName> =
        kept.iter().filter(|kept| kept.at_boot == AtBoot::Install).map(|kept| &kept.unit).collect();
    let names: Vec<String> = units.iter().map(ToString::to_string).collect();
    if systemd.enable_for_good(&names).await.is_ok() {
        return Ok(());
    }
    for (unit, name) in units.into_iter().zip(names) {
        if let Err(error) = systemd.enable_for_good(&[name]).await {
            warn!("{unit}: its [Install] is not applied, multi-user.target starts it: {error:#}");
            want(etc, unit)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use flota_agent::Held;
    use flota_registry::{Generation, Schedule, ScheduledUnit, TargetState};
    use flota_systemd::fake::FakeSystemd;

    use super::*;
    use crate::disk::DataDir;

    const PLAIN: &str = "[Service]\nExecStart=/bin/true\n";
    const WANTED: &str = "[Service]\nExecStart=/bin/true\n[Install]\nWantedBy=x.target\n";
    const ALIAS: &str = "[Service]\nExecStart=/bin/true\n[Install]\nAlias=y.service\n";

    /// A machine that holds these units, and a unit of yesterday.
    fn machine(folder: &Path, units: &[(&str, &str)]) -> (DataDir, AgentDir, PathBuf) {
        let data = DataDir::open(folder).unwrap();
        let (runtime, etc) = (folder.join("run"), folder.join("etc"));
        fs::create_dir_all(&runtime).unwrap();
        let dir = AgentDir::new(folder, &runtime);
        let mut held = Held::default();
        let cluster = "000000000000000000000000000000ff".parse().unwrap();
        let schedule = held.schedule.insert(Schedule { cluster, generation: Generation(1), units: [].into() });
        for (name, text) in units.iter().copied().chain([("old.service", PLAIN)]) {
            let unit: UnitName = name.parse().unwrap();
            dir.write_unit(&unit, text).unwrap();
            std::os::unix::fs::symlink(dir.unit_path(&unit), runtime.join(name)).unwrap();
            let hash = UnitFile::parse(text).unwrap().hash();
            let target = TargetState::Launched;
            if name != "old.service" {
                schedule.units.insert(unit, ScheduledUnit { hash, target, cause: String::new(), exclusive: false });
            }
        }
        dir.write_held(&held).unwrap();
        (data, dir, etc)
    }

    fn list(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = entries.collect();
        names.sort();
        names
    }

    #[tokio::test]
    async fn files_go_to_the_administrators_folder_as_often_as_it_is_tried() {
        let folder = tempfile::tempdir().unwrap();
        let units = [("a.service", PLAIN), ("b.service", WANTED), ("c.service", ALIAS), ("d.service", WANTED)];
        let (_data, dir, etc) = machine(folder.path(), &units);
        let fake = FakeSystemd::default();
        fake.refuse_install("d.service");
        let (systemd, _signals) = Systemd::connect_to(fake.connect().await.unwrap()).await.unwrap();
        for _ in 0..2 {
            let keep = plan(&dir, &etc).unwrap().unwrap();
            hand_over(&systemd, &dir, &etc, &keep).await.unwrap();
            assert_eq!(list(&etc), ["a.service", "b.service", "c.service", "d.service", MULTI_USER_WANTS]);
            assert_eq!(fs::read_to_string(etc.join("b.service")).unwrap(), WANTED);
            assert_eq!(list(&etc.join(MULTI_USER_WANTS)), ["a.service", "c.service", "d.service"]);
            assert_eq!(fs::read_link(etc.join(MULTI_USER_WANTS).join("a.service")).unwrap(), etc.join("a.service"));
            assert_eq!(list(&folder.path().join("run")), [""; 0]);
        }
        let calls = fake.calls();
        assert!(calls.contains(&"enable for good b.service".to_owned()), "{calls:?}");
        assert!(calls.iter().all(|call| !call.starts_with("start") && !call.starts_with("stop")), "{calls:?}");
        assert_eq!(calls.iter().filter(|call| *call == "reload").count(), 2);
        dir.forget().unwrap();
        assert!(dir.unit_files().unwrap().is_empty());
        assert_eq!(dir.read_held().unwrap(), Held::default());
    }

    #[test]
    fn files_of_others_stand_in_the_way() {
        let folder = tempfile::tempdir().unwrap();
        let (_data, dir, etc) = machine(folder.path(), &[("a.service", PLAIN), ("b.service", PLAIN)]);
        fs::create_dir_all(&etc).unwrap();
        fs::write(etc.join("a.service"), "[Service]\nExecStart=/bin/false\n").unwrap();
        std::os::unix::fs::symlink("/dev/null", etc.join("old.service")).unwrap();
        let refusal = plan(&dir, &etc).unwrap().unwrap_err().to_string();
        assert!(refusal.ends_with("move them away first: a.service"), "{refusal}");
    }
}
