//! The fleet sections: every option, every complaint.

use std::collections::{BTreeMap, BTreeSet};

use flota_unit::{Diagnostic, MAX_VALUES_PER_UNIT, Requirements, UnitFile, UnitName};

fn read(unit: &str, text: &str) -> Result<Requirements, Vec<Diagnostic>> {
    let file = UnitFile::parse(text).unwrap_or_else(|problems| panic!("{text:?}: {problems:?}"));
    Requirements::from_unit(&unit.parse().expect("name"), &file)
}

/// The requirements of a unit whose `[X-Fleet]` section holds these lines.
#[track_caller]
fn fleet(lines: &str) -> Requirements {
    fleet_of("foo.service", lines)
}

#[track_caller]
fn fleet_of(unit: &str, lines: &str) -> Requirements {
    read(unit, &format!("[Unit]\nAfter=x\n[X-Fleet]\n{lines}"))
        .unwrap_or_else(|problems| panic!("{lines:?}: {problems:?}"))
}

/// Checks the complaints about these lines of `[X-Fleet]`, of which the first has number 1.
#[track_caller]
fn refuse(lines: &str, expected: &[&str]) {
    refuse_of("foo.service", lines, expected);
}

#[track_caller]
fn refuse_of(unit: &str, lines: &str, expected: &[&str]) {
    let problems = read(unit, &format!("[X-Fleet]\n{lines}")).expect_err(lines);
    let found: Vec<String> = problems
        .iter()
        .map(|problem| format!("{}:{}: {}", problem.line.saturating_sub(1), problem.column, problem.message))
        .collect();
    assert_eq!(found, expected, "{lines:?}");
}

/// Checks the hint of the first complaint.
#[track_caller]
fn hint(text: &str, expected: &str) {
    let problems = read("foo.service", text).expect_err(text);
    assert_eq!(problems[0].hint.as_deref(), Some(expected), "{text:?}");
}

fn names(list: &[&str]) -> BTreeSet<UnitName> {
    list.iter().map(|name| name.parse().expect("name")).collect()
}

fn patterns(globs: &[flota_unit::Glob]) -> Vec<&str> {
    globs.iter().map(flota_unit::Glob::as_str).collect()
}

#[test]
fn nothing_asked() {
    let text = "[Service]\nExecStart=/x\n[X-Other]\nAnything=goes\n[X-Docker]\na=b\n";
    assert_eq!(read("foo.service", text), Ok(Requirements::default()));
    assert!(Requirements::default().matches_machine_id("anything"));
}

#[test]
fn machine_id() {
    for (lines, expected) in [
        ("MachineID=XXX", "XXX"),
        ("MachineID=\"XXX\"", "XXX"),
        ("X-ConditionMachineID=XXX", "XXX"),
        ("X-ConditionMachineBootID=XXX", "XXX"),
        ("X-ConditionMachineBootID=A\nX-ConditionMachineID=XXX", "XXX"),
        ("X-ConditionMachineBootID=A\nX-ConditionMachineID=B\nMachineID=XXX", "XXX"),
        ("MachineID=A\nMachineID=\nMachineID=XXX", "XXX"),
        ("MachineID=XXX\nMachineID=XXX", "XXX"),
    ] {
        assert_eq!(fleet(lines).machine_id.as_deref(), Some(expected), "{lines}");
    }
    assert_eq!(fleet("MachineID=A\nMachineID=").machine_id, None);
    refuse("MachineID=A\nMachineID=B", &["2:11: MachineID names two machines: A and B"]);
    refuse("MachineID=\"A\" \"B\"", &["1:16: MachineID names two machines: A and B"]);
    refuse("MachineID=A B", &["1:11: invalid machine ID \"A B\""]);
}

#[test]
fn machine_id_matches_whole_or_eight_characters() {
    let id = "0123456789abcdef0123456789abcdef";
    for (wanted, expected) in
        [(id, true), ("01234567", true), ("0123456", false), ("012345678", false), ("01234568", false)]
    {
        assert_eq!(fleet(&format!("MachineID={wanted}")).matches_machine_id(id), expected, "{wanted}");
    }
    assert!(!fleet("MachineID=\u{e9}").matches_machine_id("\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}"));
}

#[test]
fn machine_of() {
    for lines in [
        "MachineOf=a.service\nMachineOf=b.service",
        "MachineOf=\"a.service\" \"b.service\"",
        "MachineOf=\"a.service\" \\\n  \"b.service\"",
        "X-ConditionMachineOf=a.service\nMachineOf=b.service",
        "MachineOf=c.service\nMachineOf=\nMachineOf=b.service\nMachineOf=a.service",
    ] {
        assert_eq!(fleet(lines).machine_of, names(&["a.service", "b.service"]), "{lines}");
    }
    refuse("MachineOf=foo", &["1:11: unit name must contain \".\""]);
    refuse("MachineOf=\"a.service\" \"b*.service\"", &["1:24: invalid character '*' in unit name"]);
    refuse("MachineOf=a.service b.service", &["1:11: invalid character ' ' in unit name"]);
    refuse("MachineOf=\"foo\\\"bar\"", &["1:17: no blank after a closing quote"]);
    refuse("MachineOf=\"a.service\" b.service", &["1:23: text outside of quotes in a quoted list"]);
    refuse("MachineOf=\"a.service", &["1:11: quote is not closed"]);
    refuse("MachineOf=\"a.service\" \"\"", &["1:23: empty value in a quoted list"]);
    hint("[X-Fleet]\nMachineOf=foo", "did you mean foo.service?");
}

#[test]
fn machine_metadata() {
    let wanted = fleet(
        "MachineMetadata=region=us-east-1\nMachineMetadata=\"disk=ssd\" \"region=eu\"\nX-ConditionMachineMetadata=az=1",
    );
    let machine = |list: &[(&str, &str)]| -> BTreeMap<String, String> {
        list.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    };
    assert_eq!(wanted.machine_metadata["region"].len(), 2);
    assert!(wanted.matches_metadata(&machine(&[("region", "eu"), ("disk", "ssd"), ("az", "1")])));
    assert!(wanted.matches_metadata(&machine(&[("region", "us-east-1"), ("disk", "ssd"), ("az", "1"), ("x", "")])));
    assert!(!wanted.matches_metadata(&machine(&[("region", "asia"), ("disk", "ssd"), ("az", "1")])));
    assert!(!wanted.matches_metadata(&machine(&[("region", "eu"), ("disk", "ssd")])));
    assert!(fleet("").matches_metadata(&machine(&[])));
    assert!(fleet("MachineMetadata=a=b\nMachineMetadata=").machine_metadata.is_empty());
    for bad in ["foo", "=foo", "foo=", "=", "a=b=c", "a=b c=d", "region = us"] {
        refuse(&format!("MachineMetadata={bad}"), &[&format!("1:17: malformed machine metadata {bad:?}")]);
    }
}

#[test]
fn conflicts() {
    let wanted = fleet("Conflicts=a.service b@*\nConflicts=\"c?.service\" \"d.service e.service\"\nX-Conflicts=f*\n");
    assert_eq!(patterns(&wanted.conflicts), ["a.service", "b@*", "c?.service", "d.service", "e.service", "f*"]);
    assert!(wanted.conflicts_with(&"b@1.service".parse().expect("name")));
    assert!(!wanted.conflicts_with(&"bb.service".parse().expect("name")));
    assert_eq!(patterns(&fleet("Conflicts=a\nConflicts=\nConflicts=b").conflicts), ["b"]);
    refuse("Conflicts=ok [", &["1:14: pattern \"[\" has \"[\" without \"]\""]);
    refuse("Conflicts=ok a,b", &["1:14: pattern \"a,b\" can match no unit name"]);
}

#[test]
fn replaces() {
    let wanted = fleet("Replaces=a.service\nReplaces=\"b.*\" \"c.*\"");
    assert_eq!(patterns(&wanted.replaces), ["a.service", "b.*", "c.*"]);
    assert!(wanted.replaces_unit(&"b.socket".parse().expect("name")));
    assert!(!wanted.replaces_unit(&"d.socket".parse().expect("name")));
    refuse("Replaces=a b", &["1:10: pattern \"a b\" can match no unit name"]);
}

#[test]
fn global() {
    for yes in ["true", "yes", "1", "on", "t", "TRUE", "On", "\"true\""] {
        assert!(fleet(&format!("Global={yes}")).global, "{yes}");
    }
    for no in ["false", "no", "0", "off", "f", "FALSE", "", "true\nGlobal=no", "true\nGlobal="] {
        assert!(!fleet(&format!("Global={no}")).global, "{no}");
    }
    assert!(fleet("Global=false\nGlobal=true").global);
    for bad in ["wat", "2", "tru", "y"] {
        refuse(&format!("Global={bad}"), &[&format!("1:8: Global is neither true nor false: {bad:?}")]);
    }
}

#[test]
fn flota_section_knows_the_modern_names() {
    let text = "[X-Flota]\nMachineMetadata=a=b\nConflicts=x*\n[X-Fleet]\nConflicts=y*\nGlobal=true\n";
    let wanted = read("foo.service", text).expect("valid");
    assert_eq!(patterns(&wanted.conflicts), ["x*", "y*"]);
    assert!(wanted.global);
    hint("[X-Flota]\nX-ConditionMachineBootID=a", "write MachineID");
    hint("[X-Flota]\nX-Conflicts=a", "write Conflicts");
}

#[test]
fn exclusive_is_flotas_own() {
    let exclusive = |lines: &str| read("foo.service", &format!("[X-Flota]\n{lines}\n")).map(|wanted| wanted.exclusive);
    assert!(exclusive("Exclusive=true").unwrap() && exclusive("Exclusive=yes\nMachineOf=a.service").unwrap());
    assert!(!exclusive("Global=true").unwrap() && !exclusive("Exclusive=true\nExclusive=").unwrap());
    refuse("Exclusive=true", &["1:1: unknown option Exclusive in [X-Fleet]"]);
    hint("[X-Fleet]\nExclusive=true", "Exclusive is not fleet's: write it in [X-Flota]");
    hint("[X-Flota]\nExclusiv=true", "did you mean Exclusive?");
    hint("[X-Flota]\nexclusive=true", "names are case-sensitive: write Exclusive");
    let one = |lines: &str| exclusive(lines).unwrap_err()[0].to_string();
    assert!(
        one("Exclusive=maybe").starts_with("2:11: Exclusive is neither true nor false"),
        "{}",
        one("Exclusive=maybe")
    );
    assert_eq!(one("Global=true\nExclusive=true"), "3:1: Global cannot be used with Exclusive");
    assert_eq!(one("Exclusive=true\nGlobal=true"), "2:1: Global cannot be used with Exclusive");
}

#[test]
fn unknown_options() {
    refuse("  MachinOf=a.service", &["1:3: unknown option MachinOf in [X-Fleet]"]);
    hint("[X-Fleet]\nMachinOf=a", "did you mean MachineOf?");
    hint("[X-Fleet]\nConflict=a", "did you mean Conflicts?");
    hint("[X-Fleet]\nConditionMachineID=a", "did you mean X-ConditionMachineID?");
    hint("[X-Fleet]\nmachineid=a", "names are case-sensitive: write MachineID");
    hint("[X-Fleet]\nGLOBAL=true", "names are case-sensitive: write Global");
    hint("[X-Flota]\nreplaces=a", "names are case-sensitive: write Replaces");
    hint("[X-Fleet]\nWat=a", "valid options: MachineID, MachineOf, MachineMetadata, Conflicts, Replaces, Global");
    refuse(
        "Wat=1\nGlobal=maybe\nMachineOf=x",
        &[
            "1:1: unknown option Wat in [X-Fleet]",
            "2:8: Global is neither true nor false: \"maybe\"",
            "3:11: unit name must contain \".\"",
        ],
    );
}

#[test]
fn misspelt_sections() {
    for section in ["X-fleet", "XFleet", "Fleet", "X-Flet", "x_fleet", "X-Fleets", "FLEET"] {
        hint(&format!("[{section}]\nGlobal=true\nGlobal=true"), "did you mean [X-Fleet]?");
    }
    for section in ["X-Flot", "Flota", "X-flota", "XFlota", "X-Folta"] {
        hint(&format!("[{section}]\nGlobal=true"), "did you mean [X-Flota]?");
    }
    for section in ["X-Flatpak", "X-Foo", "Service", "X-Fl", "X-Fleetwood"] {
        assert!(read("foo.service", &format!("[{section}]\nGlobal=true")).is_ok(), "{section}");
    }
    let problems = read("foo.service", "[Fleet]\nA=b\nC=d").expect_err("misspelt");
    assert_eq!(problems.len(), 1, "one complaint for each section: {problems:?}");
}

#[test]
fn specifiers() {
    let wanted = fleet_of(
        "ssh@2.service",
        "MachineOf=%p-side@%i.service\nConflicts=%p@*.socket %n %N.timer\nMachineMetadata=n=100%%",
    );
    assert_eq!(wanted.machine_of, names(&["ssh-side@2.service"]));
    assert_eq!(patterns(&wanted.conflicts), ["ssh@*.socket", "ssh@2.service", "ssh@2.timer"]);
    assert!(wanted.machine_metadata["n"].contains("100%"));
    assert_eq!(patterns(&fleet_of("a.b.service", "Conflicts=%n-%N-%p-%i-").conflicts), ["a.b.service-a.b-a.b--"]);
    refuse("MachineID=%m", &["1:11: unknown specifier \"%m\""]);
    refuse("Conflicts=a b%H", &["1:14: unknown specifier \"%H\""]);
    refuse("Conflicts=b%", &["1:12: unknown specifier \"%\""]);
    // systemd expands the rest, which is none of our business.
    assert!(read("foo.service", "[Unit]\nDescription=%H %m %").is_ok());
}

#[test]
fn templates_are_checked_as_their_instances_would_be() {
    let lines = "MachineOf=db@%i.service\nMachineMetadata=shard=%i\nConflicts=%p@*\nMachineID=\n";
    let wanted = fleet_of("web@.service", lines);
    assert_eq!(wanted.machine_of, names(&["db@.service"]));
    assert!(wanted.machine_metadata.is_empty(), "shard= means nothing without an instance");
    assert_eq!(patterns(&wanted.conflicts), ["web@*"]);
    assert_eq!(fleet_of("web@7.service", lines).machine_of, names(&["db@7.service"]));

    // A peer that matches a pattern is known only when the instance is.
    let lines = "MachineOf=db@%i.service\nConflicts=db@1.service";
    fleet_of("web@.service", lines);
    fleet_of("web@2.service", lines);
    refuse_of(
        "web@1.service",
        lines,
        &["2:1: unresolvable requirements: peer \"db@1.service\" matches conflict \"db@1.service\""],
    );
    refuse_of("web@.service", "MachineOf=db@%i", &["1:11: unit name must contain \".\""]);
    refuse_of("web@.service", "Globl=yes", &["1:1: unknown option Globl in [X-Fleet]"]);
    refuse_of("web@.service", "Global=true\nMachineID=a", &["1:1: MachineID cannot be used with Global"]);
}

#[test]
fn combinations() {
    let cases = [
        ("MachineID", "MachineID=a", "MachineOf=b.service", "Peers"),
        ("MachineID", "MachineID=a", "Conflicts=b", "Conflicts"),
        ("MachineID", "MachineID=a", "Global=true", "Global"),
        ("MachineID", "MachineID=a", "Replaces=b", "Replaces"),
        ("Global", "Global=true", "MachineOf=b.service", "Peers"),
        ("Global", "Global=true", "Replaces=b", "Replaces"),
        ("Conflicts", "Conflicts=a", "Replaces=b", "Replaces"),
    ];
    for (first, one, two, second) in cases {
        let message = format!("{first} cannot be used with {second}");
        refuse(&format!("{one}\n{two}"), &[&format!("2:1: {message}")]);
        refuse(&format!("{two}\n{one}"), &[&format!("1:1: {message}")]);
    }
    for fine in [
        "MachineID=a\nMachineMetadata=a=b",
        "MachineOf=a.service\nMachineMetadata=a=b\nConflicts=b.*",
        "MachineOf=a.service\nReplaces=b.*",
        "Global=true\nMachineMetadata=a=b\nConflicts=b.*",
        "MachineID=a\nGlobal=false",
        "MachineID=a\nConflicts=b\nConflicts=",
    ] {
        fleet(fine);
    }
    refuse(
        "MachineOf=a.service\nReplaces=a.*",
        &["2:1: unresolvable requirements: peer \"a.service\" matches replace \"a.*\""],
    );
}

#[test]
fn the_number_of_values_is_bounded() {
    let many = |count: usize| format!("Conflicts={}", "a* ".repeat(count));
    assert_eq!(fleet(&many(MAX_VALUES_PER_UNIT)).conflicts.len(), MAX_VALUES_PER_UNIT);
    let text = format!("[X-Fleet]\n{}", many(MAX_VALUES_PER_UNIT + 100));
    let problems = read("foo.service", &text).expect_err("too many");
    assert_eq!(problems.len(), flota_unit::MAX_DIAGNOSTICS + 1);
    assert_eq!(problems[0].message, "more than 256 values in the fleet sections");
    assert_eq!(problems[20].message, "80 more problems");
    refuse(&format!("MachineID={}", "%n".repeat(1000)), &["1:11: value has 2000 bytes, more than 1024"]);
}

#[test]
fn requirements_survive_serde() {
    let wanted = fleet("MachineOf=a.service\nMachineMetadata=a=b\nConflicts=b.*");
    let json = serde_json::to_string(&wanted).expect("json");
    assert_eq!(serde_json::from_str::<Requirements>(&json).expect("json"), wanted);
}
