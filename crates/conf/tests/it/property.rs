//! Whatever happens, the files end as a fresh rendering would have them.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use flota_conf::keys::Snapshot;
use flota_conf::plan::{Event, Health};
use proptest::prelude::*;

use crate::rig::{PATIENCE, Place};

#[derive(Debug, Clone)]
enum Step {
    Put(u8, u8),
    Delete(u8),
    Check(bool),
    Reload(bool),
    /// All keys are read again: the store was away.
    Restart,
    /// This process ends and another one begins.
    Crash,
    Drift,
    Wait,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (0..4u8, any::<u8>()).prop_map(|(key, value)| Step::Put(key, value)),
        2 => (0..4u8).prop_map(Step::Delete),
        1 => any::<bool>().prop_map(Step::Check),
        1 => any::<bool>().prop_map(Step::Reload),
        1 => Just(Step::Restart),
        1 => Just(Step::Crash),
        1 => Just(Step::Drift),
        2 => Just(Step::Wait),
    ];
    proptest::collection::vec(step, 1..30)
}

fn place() -> Place {
    let place = Place::new();
    let dir = place.dir.path().display().to_string();
    let common = format!(
        "keys = [\"/k\"]\ncheck_cmd = \"test ! -e {dir}/bad-check\"\nreload_cmd = \"test ! -e {dir}/bad-reload && cp OUT/a {dir}/taken\"\n"
    );
    place.resource("one.toml", &format!("[template]\nsrc = \"a\"\ndest = \"OUT/a\"\n{common}rollback = true\n"));
    place.resource(
        "two.toml",
        "[[template]]\nsrc = \"b\"\ndest = \"OUT/b\"\nkeys = [\"/k\"]\n[[template]]\nsrc = \"c\"\ndest = \"OUT/c\"\nkeys = [\"/k\"]\n",
    );
    place.template("a", "a{{range gets \"/k/*\"}} {{.Key}}={{.Value}}{{end}}");
    place.template("b", "b{{range ls \"/k\"}} {{.}}{{end}}");
    place.template("c", "c {{getv \"/k/0\" \"none\"}}");
    place
}

fn fresh(keys: &BTreeMap<String, String>) -> [String; 3] {
    let pairs = keys.iter().map(|(key, value)| format!(" {key}={value}")).collect::<Vec<_>>().concat();
    let names = keys.keys().map(|key| format!(" {}", &key[3..])).collect::<Vec<_>>().concat();
    [format!("a{pairs}"), format!("b{names}"), format!("c {}", keys.get("/k/0").map_or("none", String::as_str))]
}

async fn live(steps: Vec<Step>) {
    let place = place();
    let mut keys = BTreeMap::new();
    let mut engine = place.engine();
    engine.handle(Event::Everything);
    let flag = |name: &str, bad: bool| {
        let path = place.path(name);
        if bad { fs::write(path, "").unwrap() } else { drop(fs::remove_file(path)) }
    };
    for step in steps {
        match step {
            Step::Put(key, value) => {
                let (key, value) = (format!("/k/{key}"), value.to_string());
                keys.insert(key.clone(), value.clone());
                let changed = engine.change(0, vec![(key, Some(value.into()))]);
                engine.handle(Event::Changed(changed));
            }
            Step::Delete(key) => {
                keys.remove(&format!("/k/{key}"));
                let changed = engine.change(0, vec![(format!("/k/{key}"), None)]);
                engine.handle(Event::Changed(changed));
            }
            Step::Check(good) => flag("bad-check", !good),
            Step::Reload(good) => flag("bad-reload", !good),
            Step::Restart => {
                engine.set_snapshot(Snapshot::new(0, keys.iter().map(|(key, value)| (key, value.as_str()))));
                engine.handle(Event::Everything);
            }
            Step::Crash => {
                engine = place.engine();
                engine.set_snapshot(Snapshot::new(0, keys.iter().map(|(key, value)| (key, value.as_str()))));
                let owed = engine.owed();
                engine.handle(Event::Begin(owed));
            }
            Step::Drift => {
                fs::write(place.path("out/b"), "edited").unwrap();
                engine.handle(Event::Everything);
            }
            Step::Wait => {
                let some = async {
                    loop {
                        let event = engine.next().await;
                        engine.handle(event);
                    }
                };
                let _ = tokio::time::timeout(Duration::from_millis(3), some).await;
            }
        }
    }
    flag("bad-check", false);
    flag("bad-reload", false);
    let settled = async {
        while !engine.is_idle() {
            let event = engine.next().await;
            engine.handle(event);
        }
    };
    tokio::time::timeout(PATIENCE, settled).await.unwrap();
    let files = ["a", "b", "c"].map(|name| place.read(name));
    assert_eq!(files, fresh(&keys));
    assert_eq!(fs::read_to_string(place.path("taken")).unwrap(), files[0], "the last reload saw the last file");
    assert!(engine.health().all(|(_, health, _)| health == Health::Ok));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    #[test]
    fn the_files_end_as_a_fresh_rendering_would_have_them(steps in steps()) {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(live(steps));
    }
}
