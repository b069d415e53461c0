//! Any bytes as a unit file: read or refused, and what is read says the same after it was written again.
#![no_main]

use flota_unit::{Requirements, UnitFile, UnitName};
use libfuzzer_sys::fuzz_target;

/// A plain unit, a template, an instance, and a kind that cannot run.
const NAMES: [&str; 4] = ["a.service", "a@.service", "a@b.socket", "a.scope"];

fuzz_target!(|bytes: &[u8]| {
    let file = match UnitFile::parse_bytes(bytes) {
        Ok(file) => file,
        Err(problems) => {
            assert!(!problems.is_empty());
            problems.iter().for_each(|problem| drop(problem.render("fuzz.service")));
            return;
        }
    };
    assert_eq!(file.text().as_bytes(), bytes, "a unit file is kept as it was written");
    let canonical = file.canonical();
    let again = UnitFile::parse(&canonical).expect("what was written is read");
    assert_eq!(again.canonical(), canonical);
    assert_eq!(again.hash(), file.hash());
    for name in NAMES {
        let name: UnitName = name.parse().expect("a valid name");
        match (Requirements::from_unit(&name, &file), Requirements::from_unit(&name, &again)) {
            (Ok(wanted), Ok(same)) => assert_eq!(wanted, same),
            (Err(problems), Err(_)) => problems.iter().for_each(|problem| drop(problem.render("fuzz.service"))),
            (one, other) => panic!("{name}: {one:?}, but written again {other:?}"),
        }
    }
    // What the HTTP API does with options that it is given one by one.
    let options = file.entries().map(|entry| (entry.section.clone(), entry.name.clone(), entry.value.clone()));
    let rebuilt = UnitFile::from_options(options).expect("options of a file that was read");
    assert_eq!(rebuilt.text(), canonical);
});
