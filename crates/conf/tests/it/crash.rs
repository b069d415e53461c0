//! A crash at each step of a commit, and the life after it.

use std::collections::BTreeSet;
use std::fs;

use flota_conf::apply::Owed;
use flota_conf::keys::Snapshot;
use flota_conf::plan::Event;
use flota_conf::resource::Reload;

use crate::rig::Place;

/// Two files that commit together; the reload writes down what it sees of them.
fn place() -> Place {
    let place = Place::new();
    let reload = format!("cat {0}/a {0}/b >> {0}/log; echo >> {0}/log", place.path("out").display());
    let table = |name: &str| {
        format!("[[template]]\nsrc = \"{name}\"\ndest = \"OUT/{name}\"\nkeys = [\"/k\"]\nreload_cmd = \"{reload}\"\n")
    };
    place.resource("g.toml", &(table("a") + &table("b")));
    place.template("a", "a{{getv \"/k\"}}");
    place.template("b", "b{{getv \"/k\"}}");
    place
}

async fn live(place: &Place) {
    let mut engine = place.engine();
    engine.set_snapshot(Snapshot::new(1, [("/k", "2")]));
    let owed = engine.owed();
    engine.handle(Event::Begin(owed));
    while !engine.is_idle() {
        let event = engine.next().await;
        engine.handle(event);
    }
}

/// The journal as it is from before the first rename until the reload is done.
fn note(place: &Place) {
    let groups = place.groups();
    let reloads: BTreeSet<Reload> = groups[0].reloads();
    let resource = groups[0].resource.file.clone();
    place.journal().note(&Owed { resource, reloads, kept: Vec::new() }).unwrap();
}

#[tokio::test]
async fn after_a_crash_at_any_step_the_files_are_whole_and_the_reload_is_done_once() {
    for (step, a, b) in [
        ("before the journal", "a1", "b1"),
        ("before the first rename", "a1", "b1"),
        ("between the renames", "a2", "b1"),
        ("before the reload", "a2", "b2"),
    ] {
        let place = place();
        fs::write(place.path("out/a"), a).unwrap();
        fs::write(place.path("out/b"), b).unwrap();
        if step != "before the journal" {
            note(&place);
        }
        live(&place).await;
        assert_eq!((place.read("a").as_str(), place.read("b").as_str()), ("a2", "b2"), "{step}");
        assert_eq!(place.read("log"), "a2b2\n", "{step}");
        live(&place).await;
        assert_eq!(place.read("log"), "a2b2\n", "{step}: nothing is owed any more");
    }
}

#[tokio::test]
async fn without_a_crash_nothing_is_left_in_the_state_directory() {
    let place = place();
    live(&place).await;
    assert_eq!(place.read("log"), "a2b2\n");
    assert_eq!(fs::read_dir(place.path("state")).unwrap().count(), 0);
    let names = fs::read_dir(place.path("out")).unwrap().count();
    assert_eq!(names, 3, "two files and the log, no staged ones");
}
