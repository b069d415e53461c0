//! Reading states: one per name whatever the names are.

use std::time::{SystemTime, UNIX_EPOCH};

use flota_systemd::{JobOutcome, fake::Script};

use crate::{Rig, names, soon};

fn line(state: &flota_systemd::UnitState) -> String {
    format!("{} {} {} {}", state.name, state.load, state.active, state.sub)
}

#[tokio::test]
async fn each_name_gets_its_state_in_order() {
    let rig = Rig::new().await;
    for unit in ["runs.service", "idle.service", "fails.service"] {
        rig.link(unit).await;
    }
    let script = Script { outcome: JobOutcome::Failed, ..Script::default() };
    rig.fake.script("fails.service", script);
    soon(rig.systemd.start("runs.service")).await.unwrap();
    soon(rig.systemd.start("fails.service")).await.unwrap();
    let asked = names(["none.service", "runs.service", "idle.service", "fails.service"]);
    let states = rig.systemd.states(&asked).await.unwrap();
    let lines: Vec<String> = states.iter().map(line).collect();
    assert_eq!(
        lines,
        [
            "none.service not-found inactive dead",
            "runs.service loaded active running",
            "idle.service loaded inactive dead",
            "fails.service loaded failed failed",
        ]
    );
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64;
    let since = states[1].since.unwrap();
    assert!(since <= now && now - since < 60_000, "{since} is not a moment ago in milliseconds");
    assert_eq!([states[0].since, states[2].since], [None, None]);
}

#[tokio::test]
async fn names_that_systemd_refuses_do_not_spoil_the_others() {
    let rig = Rig::new().await;
    rig.link("runs.service").await;
    soon(rig.systemd.start("runs.service")).await.unwrap();
    let asked = names(["tmpl@.service", "", "runs.service", "no/unit.service", "runs.service"]);
    let states = rig.systemd.states(&asked).await.unwrap();
    let lines: Vec<String> = states.iter().map(line).collect();
    assert_eq!(
        lines,
        [
            "tmpl@.service not-found inactive dead",
            " not-found inactive dead",
            "runs.service loaded active running",
            "no/unit.service not-found inactive dead",
            "runs.service loaded active running",
        ]
    );
    assert!(rig.systemd.states(&[]).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_failure_is_forgotten_on_request() {
    let rig = Rig::new().await;
    rig.link("web.service").await;
    soon(rig.systemd.start("web.service")).await.unwrap();
    rig.fake.die("web.service").await;
    let states = rig.systemd.states(&names(["web.service"])).await.unwrap();
    assert_eq!(line(&states[0]), "web.service loaded failed failed");
    rig.systemd.reset_failed("web.service").await.unwrap();
    let states = rig.systemd.states(&names(["web.service"])).await.unwrap();
    assert_eq!(line(&states[0]), "web.service loaded inactive dead");
}

#[tokio::test]
async fn each_start_is_another_life_and_a_unit_that_is_not_there_has_none() {
    let rig = Rig::new().await;
    rig.link("web.service").await;
    let asked = names(["web.service", "gone.service", "no/name"]);
    let lives = rig.systemd.lives(&asked).await.unwrap();
    assert!(lives.iter().all(|life| life.active == "inactive" && life.invocation.is_empty()), "{lives:?}");
    let mut seen = Vec::new();
    for _ in 0..2 {
        soon(rig.systemd.restart("web.service")).await.unwrap();
        let life = rig.systemd.lives(&asked[..1]).await.unwrap().remove(0);
        assert_eq!((life.name.as_str(), life.active.as_str(), life.invocation.len()), ("web.service", "active", 32));
        seen.push(life.invocation);
    }
    assert_ne!(seen[0], seen[1]);
}
