//! Values that a later version wrote: whatever they say, no unit loses its place.

use crate::cluster::{Cluster, id, name};
use flota_registry::Key;

#[test]
fn a_value_of_a_later_format_takes_no_unit_off_its_machine() {
    let file = crate::cluster::file("").hash();
    let keys = [
        Key::Cluster,
        Key::LeaderNotes,
        Key::Unit(name("a.service")),
        Key::File(file),
        Key::Machine(id(2)),
        Key::Member(id(2)),
        Key::Cordon(id(2)),
        Key::Metadata(id(2)),
        Key::Schedule(id(2)),
        Key::Report(id(2)),
    ];
    for key in keys {
        let mut cluster = Cluster::new(2);
        (1..=2).for_each(|number| cluster.enlist(number, false));
        cluster.launch("a.service", "");
        cluster.launch("b.service", "");
        let before = [1, 2].map(|number| cluster.schedule(number));
        let is_schedule = key == Key::Schedule(id(2));
        cluster.store.put_raw(&key, br#"{"v":2}"#, None);
        // The leader of before, and one that has never seen a readable value.
        for _ in 0..2 {
            cluster.pass(60_000);
            assert_eq!(cluster.schedule(1), before[0], "{key}");
            assert!(is_schedule || cluster.schedule(2) == before[1], "{key}");
            cluster.crash_engine(1);
            cluster.join(1, &[]);
        }
    }
}
