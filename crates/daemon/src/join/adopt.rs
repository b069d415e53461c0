//! The first start after a machine joined: what it remembers of its own cluster is put aside.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use anyhow::Context;
use flota_etcd::Membership;
use tracing::{info, warn};

use crate::disk::DataDir;

/// Puts aside, for a machine that joined another cluster than it remembers, its agent's memory and its store: nothing
/// is deleted. A machine that still holds units keeps its memory, and with it its mistrust of the other cluster.
pub fn adopt(data: &DataDir, membership: &Membership) -> anyhow::Result<()> {
    // A cluster that moved back into this daemon has its store here.
    if membership.store.endpoints.is_empty() {
        return Ok(());
    }
    let held = data.agent().read_held()?;
    let joined = &membership.cluster;
    match held.belongs().map(|known| known.cluster) {
        Some(before) if before == *joined => return Ok(()),
        Some(before) if held.schedule.is_some_and(|schedule| !schedule.units.is_empty()) => {
            warn!("this machine holds units of cluster {before}, and was told to join {joined}");
            return Ok(());
        }
        // One that never ran anything may remember nothing, and have a store all the same.
        _ => info!("this machine joined cluster {joined}"),
    }
    put_aside(&data.store(), joined.short())?;
    put_aside(&data.agent().held_path(), joined.short())
}

/// Gives a file or folder another name beside it. One of that name is from an attempt before: it stays.
fn put_aside(path: &Path, joined: &str) -> anyhow::Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let names = (0..u32::MAX).map(|number| path.with_file_name(format!("{name}.before-{joined}.{number}")));
    let Some(free) = names.into_iter().find(|name| !name.exists()) else { return Ok(()) };
    match fs::rename(path, &free) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot move {} to {}", path.display(), free.display()))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use flota_agent::Held;
    use flota_etcd::MembershipStore;
    use flota_registry::{ClusterId, Generation, Schedule, ScheduledUnit, TargetState};

    use super::*;

    const OWN: &str = "00000000000000000000000000000001";
    const OTHER: &str = "00000000000000000000000000000002";

    fn cluster(text: &str) -> ClusterId {
        text.parse().unwrap()
    }

    fn membership(text: &str) -> Membership {
        let store = MembershipStore { endpoints: vec!["https://10.0.0.1:2379".to_owned()] };
        Membership { cluster: cluster(text), store, tls: None }
    }

    /// A machine that remembers its own cluster, with a store.
    fn machine(folder: &Path, units: &[&str]) -> DataDir {
        let data = DataDir::open(folder).unwrap();
        let unit = ScheduledUnit {
            hash: "1c6fb6f3684bafb0c173d8b8b957ceff031180c1".parse().unwrap(),
            target: TargetState::Launched,
            cause: "only machine".to_owned(),
            exclusive: false,
        };
        let units = units.iter().map(|name| (name.parse().unwrap(), unit.clone())).collect();
        let schedule = Schedule { cluster: cluster(OWN), generation: Generation(3), units };
        data.agent().write_held(&Held { schedule: Some(schedule), ..Held::default() }).unwrap();
        fs::create_dir(data.store()).unwrap();
        fs::write(data.store().join("log"), "x").unwrap();
        data
    }

    #[test]
    fn what_it_remembers_of_its_own_cluster_is_kept_under_another_name() {
        let folder = tempfile::tempdir().unwrap();
        let data = machine(folder.path(), &[]);
        adopt(&data, &membership(OTHER)).unwrap();
        assert_eq!(data.agent().read_held().unwrap(), Held::default());
        assert_eq!(fs::read_to_string(folder.path().join("store.before-00000000.0/log")).unwrap(), "x");
        assert!(folder.path().join("agent/held.json.before-00000000.0").exists());
        // And once more, after it had left again.
        drop(data);
        let data = machine(folder.path(), &[]);
        adopt(&data, &membership(OTHER)).unwrap();
        assert!(folder.path().join("store.before-00000000.1/log").exists());
    }

    #[test]
    fn the_store_of_a_machine_that_never_ran_anything_is_kept_too() {
        let folder = tempfile::tempdir().unwrap();
        let data = machine(folder.path(), &[]);
        fs::remove_file(data.agent().held_path()).unwrap();
        let here = MembershipStore { endpoints: Vec::new() };
        adopt(&data, &Membership { store: here, ..membership(OTHER) }).unwrap();
        assert!(data.store().exists(), "the cluster's store is in this daemon");
        adopt(&data, &membership(OTHER)).unwrap();
        assert!(!data.store().exists() && folder.path().join("store.before-00000000.0/log").exists());
        adopt(&data, &membership(OTHER)).unwrap();
    }

    #[test]
    fn a_machine_with_units_keeps_its_memory_and_so_does_a_member() {
        for (units, told) in [(&["a.service"][..], OTHER), (&[], OWN)] {
            let folder = tempfile::tempdir().unwrap();
            let data = machine(folder.path(), units);
            let before = data.agent().read_held().unwrap();
            adopt(&data, &membership(told)).unwrap();
            assert_eq!(data.agent().read_held().unwrap(), before);
            assert!(data.store().join("log").exists());
        }
    }
}
