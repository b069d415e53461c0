//! The types of units: which can be handed to systemd as a file, and which cannot.

use flota_unit::{Requirements, UnitFile, UnitKind, UnitName};

fn judge(unit: &str) -> Result<Requirements, String> {
    let name: UnitName = unit.parse().unwrap_or_else(|error| panic!("{unit}: {error}"));
    let file = UnitFile::parse("[Unit]\nDescription=x\n").expect("valid");
    Requirements::from_unit(&name, &file).map_err(|problems| problems[0].to_string())
}

#[test]
fn types_that_systemd_loads_from_files_are_taken() {
    for kind in ["service", "socket", "timer", "path", "mount", "automount", "swap", "target", "slice"] {
        judge(&format!("x.{kind}")).unwrap_or_else(|why| panic!("{kind}: {why}"));
    }
    for kind in ["service", "socket", "timer", "path", "target"] {
        judge(&format!("x@.{kind}")).unwrap_or_else(|why| panic!("{kind}: {why}"));
        judge(&format!("x@1.{kind}")).unwrap_or_else(|why| panic!("{kind}: {why}"));
    }
}

#[test]
fn types_that_systemd_loads_from_no_file_are_refused_with_the_reason() {
    for (unit, why) in [
        (
            "x.scope",
            "x.scope cannot run anywhere: a scope holds processes that a program started: systemd loads none from a file",
        ),
        (
            "x.device",
            "x.device cannot run anywhere: a device is there when the kernel finds it: systemd neither starts nor stops one",
        ),
        ("x.snapshot", "x.snapshot cannot run anywhere: systemd has no units of this kind any more"),
        ("x.busname", "x.busname cannot run anywhere: systemd has no units of this kind any more"),
    ] {
        assert_eq!(judge(unit), Err(why.to_owned()));
    }
    let refused = UnitKind::ALL.iter().filter(|kind| kind.refusal().is_some());
    assert_eq!(refused.count(), 4);
}

#[test]
fn a_section_counts_when_it_holds_an_option() {
    let file = UnitFile::parse("[Service]\nExecStart=/x\n[Install]\n").expect("valid");
    assert!(file.has_section("Service") && !file.has_section("Install") && !file.has_section("service"));
}
