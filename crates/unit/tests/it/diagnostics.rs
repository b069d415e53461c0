//! What people see when a unit file is wrong.

use expect_test::{Expect, expect};
use flota_unit::{Diagnostic, Requirements, UnitFile};

fn problems(text: &[u8]) -> Vec<Diagnostic> {
    match UnitFile::parse_bytes(text) {
        Ok(file) => Requirements::from_unit(&"web.service".parse().expect("name"), &file).expect_err("a problem"),
        Err(problems) => problems,
    }
}

#[track_caller]
fn check(text: &[u8], expected: Expect) {
    let rendered: Vec<String> = problems(text).iter().map(|problem| problem.render("web.service")).collect();
    expected.assert_eq(&rendered.concat());
}

#[test]
fn rendered() {
    check(
        b"[Service]\nExecStart=/bin/true\n\n[X-Fleet]\n\tMachinOf = db.service\nGlobal=perhaps\n",
        expect![[r#"
            web.service:5:2: error: unknown option MachinOf in [X-Fleet]
               MachinOf = db.service
               ^
            hint: did you mean MachineOf?
            web.service:6:8: error: Global is neither true nor false: "perhaps"
              Global=perhaps
                     ^
            hint: write Global=true or Global=false
        "#]],
    );
    check(
        b"",
        expect![[r"
            web.service: error: unit file is empty
            hint: a service needs at least [Service] and ExecStart=
        "]],
    );
    check(
        b"[Unit]\nDescription=caf\xe9\n",
        expect![[r"
            web.service:2:16: error: byte 0xe9 is not UTF-8
              Description=caf�
                             ^
            hint: convert the file, for example: iconv -f latin1 -t utf-8
        "]],
    );
}

#[test]
fn a_long_line_is_cut_around_its_column() {
    let text = format!("[X-Fleet]\nConflicts={} [ {}\n", "a ".repeat(100), "b ".repeat(50));
    let rendered = problems(text.as_bytes())[0].render("w");
    let lines: Vec<&str> = rendered.lines().collect();
    assert_eq!(lines[0], "w:2:212: error: pattern \"[\" has \"[\" without \"]\"");
    assert_eq!(lines[1].chars().count(), 2 + 120);
    let caret = lines[2].find('^').expect("caret");
    assert_eq!(lines[1].as_bytes()[caret], b'[');
}

#[test]
fn control_characters_do_not_reach_the_terminal() {
    let rendered = problems(b"[X-Fleet]\nWat\x1b[31m=1\n")[0].render("w");
    assert!(!rendered.contains('\u{1b}'), "{rendered:?}");
    assert!(rendered.contains("unknown option Wat\\u{1b}[31m in"), "{rendered:?}");
}

#[test]
fn displayed_in_one_line() {
    let shown: Vec<String> = problems(b"[X-Fleet]\nmachineid=1\n").iter().map(ToString::to_string).collect();
    assert_eq!(shown, ["2:1: unknown option machineid in [X-Fleet] (names are case-sensitive: write MachineID)"]);
    assert_eq!(Diagnostic::whole_file("unit file is empty").to_string(), "unit file is empty");
}
