//! When nothing may be placed at all: what runs where is not known.

use flota_registry::{ClusterSnapshot, Key};

/// Why placement stands still, if it does: a schedule that a later version wrote, so that what its machine runs is
/// unknown; or a machine that takes no orders, so that it would not give up what another machine is given.
pub(crate) fn standstill(snapshot: &ClusterSnapshot) -> Option<String> {
    let mut unreadable = snapshot.unreadable().iter().filter(|(key, _)| matches!(key, Key::Schedule(_) | Key::Cluster));
    if let Some((key, why)) = unreadable.next() {
        return Some(format!("{key}: {why}"));
    }
    let mut machines = snapshot.machines().iter();
    machines.find_map(|(id, entry)| {
        let why = entry.value.frozen.as_ref()?;
        Some(format!("machine {} takes no orders: {why}", id.short()))
    })
}
