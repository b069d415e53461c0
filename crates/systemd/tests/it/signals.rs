//! Hints: which ones come, that they merge, and what happens when nobody reads them.

use std::collections::BTreeSet;

use flota_systemd::{MAX_PENDING_SIGNALS, Signal};

use crate::{Rig, names, soon};

fn changed(unit: &str) -> Signal {
    Signal::UnitChanged(unit.to_owned())
}

#[tokio::test]
async fn changes_of_a_unit_merge_into_one_hint() {
    let mut rig = Rig::new().await;
    for _ in 0..10 {
        rig.fake.emit_changed("web@1.service").await;
        rig.fake.emit_changed("db-main.service").await;
    }
    // Signals and replies come in order: after this answer all hints are in the queue or just before it.
    rig.systemd.version().await.unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    assert_eq!(soon(rig.signals.recv()).await, Some(changed("web@1.service")));
    assert_eq!(soon(rig.signals.recv()).await, Some(changed("db-main.service")));
    assert_eq!(rig.signals.try_recv(), None);
    // Read once, the unit may be hinted at again.
    rig.fake.emit_changed("web@1.service").await;
    assert_eq!(soon(rig.signals.recv()).await, Some(changed("web@1.service")));
}

#[tokio::test]
async fn jobs_deaths_and_reloads_are_hinted_at() {
    let mut rig = Rig::new().await;
    rig.link("web.service").await;
    soon(rig.systemd.start("web.service")).await.unwrap();
    assert_eq!(soon(rig.signals.recv()).await, Some(changed("web.service")));
    rig.fake.die("web.service").await;
    assert_eq!(soon(rig.signals.recv()).await, Some(changed("web.service")));
    rig.fake.vanish("web.service").await;
    assert_eq!(soon(rig.signals.recv()).await, Some(changed("web.service")));
    rig.systemd.reload().await.unwrap();
    assert_eq!(soon(rig.signals.recv()).await, Some(Signal::Reloaded));
    rig.systemd.states(&names(["web.service"])).await.unwrap();
    assert_eq!(rig.signals.try_recv(), None, "reading causes no hints");
}

#[tokio::test]
async fn too_many_unread_hints_become_one_lagged() {
    let mut rig = Rig::new().await;
    for n in 0..=MAX_PENDING_SIGNALS + 500 {
        rig.fake.emit_changed(&format!("many@{n}.service")).await;
    }
    // Nobody reads the hints, and calls are still answered.
    rig.link("web.service").await;
    soon(rig.systemd.start("web.service")).await.unwrap();
    assert_eq!(soon(rig.signals.recv()).await, Some(Signal::Lagged));
    let mut rest = BTreeSet::new();
    while let Some(Signal::UnitChanged(unit)) = rig.signals.try_recv() {
        rest.insert(unit);
    }
    assert!(rest.len() <= 500, "what Lagged covers was dropped");
    rig.fake.emit_changed("late.service").await;
    assert_eq!(soon(rig.signals.recv()).await, Some(changed("late.service")));
}
