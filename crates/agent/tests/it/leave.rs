//! Leaving a cluster: who may, and what stays.

use std::collections::{BTreeMap, BTreeSet};

use flota_agent::{AtBoot, Held, Here, Keep, Kept, Leave, Leaving, Refusal, Stage, keep, may_leave};
use flota_registry::{Generation, LeaseId, Schedule, ScheduledUnit, TargetState};
use flota_unit::{UnitFile, UnitName};

const LOADED: TargetState = TargetState::Loaded;
const LAUNCHED: TargetState = TargetState::Launched;

fn name(text: &str) -> UnitName {
    text.parse().unwrap()
}

fn held(units: &[(&str, TargetState)]) -> Held {
    let hash = UnitFile::parse("[Service]\nExecStart=/bin/true\n").unwrap().hash();
    let unit = |target| ScheduledUnit { hash, target, cause: String::new(), exclusive: false };
    let units = units.iter().map(|(text, target)| (name(text), unit(*target))).collect();
    let cluster = "000000000000000000000000000000ff".parse().unwrap();
    Held { schedule: Some(Schedule { cluster, generation: Generation(3), units }), ..Held::default() }
}

fn here(units: &[(&str, bool, bool)]) -> BTreeMap<UnitName, Here> {
    units
        .iter()
        .map(|(text, is_wanted, is_taken)| (name(text), Here { is_wanted: *is_wanted, is_taken: *is_taken }))
        .collect()
}

#[test]
fn what_was_launched_is_started_at_boot_as_its_install_section_says_or_with_multi_user() {
    let held =
        held(&[("a.service", LAUNCHED), ("b.service", LAUNCHED), ("c.service", LOADED), ("late.service", LAUNCHED)]);
    let here = here(&[("a.service", true, false), ("b.service", false, false), ("c.service", true, false)]);
    let kept = |text: &str, at_boot| Kept { unit: name(text), at_boot };
    let kept = vec![
        kept("a.service", AtBoot::Install),
        kept("b.service", AtBoot::MultiUser),
        kept("c.service", AtBoot::Nothing),
    ];
    assert_eq!(
        keep(&held, &here).unwrap(),
        Keep { kept, dropped: Vec::new() },
        "one whose file never came is not kept"
    );
}

#[test]
fn what_was_on_its_way_off_is_not_kept() {
    let plan =
        keep(&held(&[("a.service", LAUNCHED)]), &here(&[("a.service", false, false), ("old.service", true, true)]));
    assert_eq!(plan.unwrap().dropped, [name("old.service")]);
    assert_eq!(keep(&Held::default(), &here(&[("a.service", false, false)])).unwrap().kept, []);
}

#[test]
fn files_of_others_are_named_all_at_once_and_nothing_is_planned() {
    let held = held(&[("a.service", LAUNCHED), ("b.service", LOADED), ("c.service", LOADED)]);
    let here = here(&[("a.service", false, true), ("b.service", false, true), ("c.service", false, false)]);
    let refusal = keep(&held, &here).unwrap_err();
    assert_eq!(refusal, Refusal::Taken { units: BTreeSet::from([name("a.service"), name("b.service")]) });
    assert!(refusal.to_string().ends_with("move them away first: a.service, b.service"));
}

#[test]
fn the_last_machine_and_the_one_with_the_store_of_others_may_not_leave() {
    let free = Leaving { keep: false, has_store: false, members: 2, living: 1, holds: 3 };
    assert_eq!(may_leave(&free, false), Ok(()));
    assert_eq!(may_leave(&free, true), Err(Refusal::NotEmpty { holds: 3 }));
    assert_eq!(may_leave(&Leaving { keep: true, ..free.clone() }, true), Ok(()));
    assert_eq!(may_leave(&Leaving { living: 0, ..free.clone() }, false), Err(Refusal::Last));
    let store = Leaving { has_store: true, ..free };
    assert_eq!(may_leave(&store, false), Err(Refusal::HasStore { members: 2 }));
    assert_eq!(may_leave(&Leaving { keep: true, ..store.clone() }, true), Err(Refusal::HasStore { members: 2 }));
    let alone = Leaving { keep: true, members: 0, living: 0, ..store };
    assert_eq!(may_leave(&alone, true), Ok(()), "whoever is alone may keep its units and its store");
}

#[test]
fn the_note_reads_back() {
    let note = Leave {
        cluster: Some("000000000000000000000000000000ff".parse().unwrap()),
        since_unix_ms: 7,
        boot_id: "b".into(),
        lease: Some(LeaseId(9)),
        keep: true,
        tell: true,
        kept: BTreeSet::from([name("a.service")]),
        stage: Stage::Files,
    };
    assert_eq!(Leave::decode(&note.encode()).unwrap(), note);
    assert!(Leave::decode(b"{}").is_err(), "a damaged note is not an absent one");
}
