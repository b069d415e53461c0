//! Unit files: what is read, what is refused, and the canonical form.

use flota_unit::{Diagnostic, UnitFile};

fn options(text: &str) -> Vec<(String, String, String)> {
    let file = UnitFile::parse(text).unwrap_or_else(|problems| panic!("{text:?}: {problems:?}"));
    assert_eq!(file.text(), text);
    file.entries().map(|entry| (entry.section.clone(), entry.name.clone(), entry.value.clone())).collect()
}

/// Checks the options of a text, written as `section|name|value`.
#[track_caller]
fn check(text: &str, expected: &[&str]) {
    let found: Vec<String> =
        options(text).into_iter().map(|(section, name, value)| format!("{section}|{name}|{value}")).collect();
    assert_eq!(found, expected, "{text:?}");
}

/// Checks the problems of a text, written as `line:column: message`.
#[track_caller]
fn refuse(text: &str, expected: &[&str]) {
    let problems = UnitFile::parse(text).expect_err(text);
    let found: Vec<String> = problems.iter().map(place_and_message).collect();
    assert_eq!(found, expected, "{text:?}");
}

fn place_and_message(problem: &Diagnostic) -> String {
    format!("{}:{}: {}", problem.line, problem.column, problem.message)
}

#[test]
fn order_and_duplicates_are_kept() {
    check(
        "[Unit]\nAfter=a\nAfter=b\n\n[Service]\nExecStart=/x\n[Unit]\nAfter=\n",
        &["Unit|After|a", "Unit|After|b", "Service|ExecStart|/x", "Unit|After|"],
    );
}

#[test]
fn comments_and_blanks() {
    check(
        "# one\n; two\n  # three\n\n[Unit]\n\t; four\n  Description =  a # b ; c \t\n",
        &["Unit|Description|a # b ; c"],
    );
}

#[test]
fn values_keep_equals_quotes_and_escapes() {
    check(
        "[Service]\nEnvironment=\"A=1\" 'B=2'\nExecStart=/bin/sh -c \"x \\\"y\\\"\"",
        &["Service|Environment|\"A=1\" 'B=2'", "Service|ExecStart|/bin/sh -c \"x \\\"y\\\"\""],
    );
}

#[test]
fn continuation() {
    check("[S]\nA=b \\\n  c \\\nd\nE=f", &["S|A|b \\\n  c \\\nd", "S|E|f"]);
    check("[S]\nA=\\\n/bin/x\n", &["S|A|\\\n/bin/x"]);
    // A comment inside is no part of the value, whatever it ends in.
    check("[S]\nA=b \\\n# no \\\n ; no\n c\nE=f\n", &["S|A|b \\\n c", "S|E|f"]);
    // A blank line ends the value.
    check("[S]\nA=b \\\n\nE=f\n", &["S|A|b", "S|E|f"]);
    check("[S]\nA=b \\\n   \nE=f\n", &["S|A|b", "S|E|f"]);
    // So does the end of the file.
    check("[S]\nA=b \\", &["S|A|b"]);
    check("[S]\nA=b \\\n# c", &["S|A|b"]);
    // Two backslashes are one in the value; a blank behind a backslash keeps it from continuing.
    check("[S]\nA=b\\\\\nE=f\n", &["S|A|b\\\\", "S|E|f"]);
    check("[S]\nA=b\\ \nE=f\n", &["S|A|b\\", "S|E|f"]);
    // A header or option-like line in a continuation belongs to the value.
    check("[S]\nA=b \\\n[T]\n", &["S|A|b \\\n[T]"]);
}

#[test]
fn line_ends_and_byte_order_mark() {
    let expected = ["S|A|b", "S|C|d \\\n e"];
    for end in ["\n", "\r\n", "\r", "\n\r"] {
        check(&["[S]", "A=b", "C=d \\", " e", ""].join(end), &expected);
    }
    check("\u{feff}[S]\nA=b\nC=d \\\n e", &expected);
}

#[test]
fn places() {
    let file = UnitFile::parse("# x\n[S]\n  N\u{e4}me =  value\nB=\n").expect("valid");
    let places: Vec<_> =
        file.entries().map(|entry| (entry.span.line, entry.span.column, entry.value_span.column)).collect();
    assert_eq!(places, [(3, 3, 11), (4, 1, 3)]);
}

#[test]
fn refused_files() {
    refuse("", &["0:0: unit file is empty"]);
    refuse("\u{feff}", &["0:0: unit file is empty"]);
    refuse("\n \n# only a comment\n", &["0:0: unit file is empty"]);
    refuse("[Service]\n", &["0:0: unit file is empty: its sections hold no options"]);
    refuse("A=b\n[S]\nC=d", &["1:1: text before the first section"]);
    refuse("garbage\n", &["1:1: text before the first section"]);
    refuse("[S]\n  A\nB=c", &["2:3: option without \"=\""]);
    refuse("[S]\n=b", &["2:1: option without a name before \"=\""]);
    refuse("[S]\nA \\\n=b", &["2:1: option without \"=\""]);
    refuse("[S\nA=b\n", &["1:1: section header is not closed by \"]\""]);
    refuse("[S] # c\nA=b\n", &["1:5: text after the section header"]);
    refuse("[S]] \nA=b\n", &["1:4: text after the section header"]);
    refuse("[]\nA=b", &["1:2: invalid section name \"\""]);
    refuse("[ S ]\nA=b", &["1:2: invalid section name \" S \""]);
    refuse("[a\"b]\nA=b", &["1:2: invalid section name \"a\"b\""]);
    refuse("[S]\\\n\nA=b", &["1:4: section header cannot be continued on the next line"]);
    refuse("[S]\nA=b\0\n", &["2:4: NUL byte"]);
    refuse("[S]\n# \0\nA=b\nC\n", &["2:3: NUL byte", "4:1: option without \"=\""]);
}

#[test]
fn refused_bytes() {
    let latin1 = b"[Unit]\nDescription=Gr\xfc\xdfe \xfc\n";
    let problems = UnitFile::parse_bytes(latin1).expect_err("latin-1");
    assert_eq!(problems.len(), 1);
    assert_eq!(place_and_message(&problems[0]), "2:15: byte 0xfc is not UTF-8");
    assert_eq!(problems[0].source_line.as_deref(), Some("Description=Gr\u{fffd}\u{fffd}e \u{fffd}"));
    let hint = problems[0].hint.as_deref().expect("hint");
    assert!(hint.contains("iconv -f latin1 -t utf-8"), "{hint}");

    let first = UnitFile::parse_bytes(b"\xff\xfe[\0U\0").expect_err("utf-16");
    assert_eq!(place_and_message(&first[0]), "1:1: byte 0xff is not UTF-8");
    let after_line_end = UnitFile::parse_bytes(b"[S]\n\xe9").expect_err("latin-1");
    assert_eq!(place_and_message(&after_line_end[0]), "2:1: byte 0xe9 is not UTF-8");
    let cut_short = UnitFile::parse_bytes("[S]\nA=\u{20ac}".as_bytes().split_last().expect("bytes").1);
    assert_eq!(place_and_message(&cut_short.expect_err("cut")[0]), "2:3: byte 0xe2 is not UTF-8");
    assert!(UnitFile::parse_bytes("[S]\nA=\u{20ac}".as_bytes()).is_ok());
}

#[test]
fn canonical_form_and_hash() {
    let file = UnitFile::parse("[Service]\nExecStart=/bin/sleep 100\n").expect("valid");
    assert_eq!(file.hash().to_string(), "1c6fb6f3684bafb0c173d8b8b957ceff031180c1");

    let same = UnitFile::parse("# why\n[Service]\r\n ExecStart = /bin/sleep 100").expect("valid");
    assert_eq!(same.hash(), file.hash());

    let mixed = UnitFile::parse("[B]\nx=1\n[Empty]\n[A]\ny=2\n[B]\nx=3 \\\n# gone\n 4\n").expect("valid");
    assert_eq!(mixed.canonical(), "[B]\nx=1\nx=3 \\\n 4\n\n[A]\ny=2\n");
    assert_eq!(mixed.section_names(), ["B", "A"]);
    assert_eq!(mixed.get_all("B", "x").collect::<Vec<_>>(), ["1", "3 \\\n 4"]);
    assert_eq!(mixed.get_last("B", "x"), Some("3 \\\n 4"));
    assert_eq!(mixed.get_last("A", "x"), None);
}

#[test]
fn a_last_backslash_never_reaches_for_the_next_option() {
    let file = UnitFile::parse("[A]\nx=1\\ \n[B]\ny=2 \\\n\n[A]\nz=3\n").expect("valid");
    assert_eq!(file.canonical(), "[A]\nx=1\\ \nz=3\n\n[B]\ny=2\n");
    let again = UnitFile::parse(&file.canonical()).expect("canonical");
    assert_eq!(again.get_last("A", "x"), Some("1\\"));
}

fn build(list: &[(&str, &str, &str)]) -> Result<UnitFile, Vec<Diagnostic>> {
    UnitFile::from_options(
        list.iter().map(|(section, name, value)| ((*section).to_owned(), (*name).to_owned(), (*value).to_owned())),
    )
}

#[test]
fn a_byte_order_mark_is_one_only_at_the_start_of_the_file() {
    let file = UnitFile::parse("[S]\nA=\u{feff}b\n").expect("valid");
    assert_eq!(build(&[("S", "A", "\u{feff}b")]), Ok(UnitFile::parse(&file.canonical()).expect("valid")));
    assert_eq!(options("[S]\nA=\u{feff}b\n")[0].2, "\u{feff}b");
}

#[test]
fn options_of_the_http_api() {
    let file = build(&[
        ("Service", "ExecStart", "/bin/sleep 100"),
        ("Unit", "Description", " a \\\n# gone\n b\n"),
        ("Service", "Restart", "always"),
    ])
    .expect("valid");
    assert_eq!(file.text(), "[Service]\nExecStart=/bin/sleep 100\nRestart=always\n\n[Unit]\nDescription=a \\\n b\n");
    assert_eq!(file.text(), file.canonical());
    assert_eq!(build(&[("Service", "ExecStart", "/bin/sleep 100")]).expect("valid").hash().short(), "1c6fb6f");
}

#[test]
fn refused_options() {
    #[track_caller]
    fn refuse(option: (&str, &str, &str), expected: &str) {
        let problems = build(&[("Unit", "After", "x"), option]).expect_err(expected);
        assert_eq!(place_and_message(&problems[0]), format!("0:0: {expected}"));
    }
    refuse(("", "A", "b"), "option 2: invalid section name \"\"");
    refuse(("A]\n[B", "A", "b"), "option 2: invalid section name \"A]\\n[B\"");
    refuse(("S", " ", "b"), "option 2: option without a name in [S]");
    refuse(("S", "A=B", "b"), "option 2: invalid option name \"A=B\" in [S]");
    refuse(("S", "#A", "b"), "option 2: invalid option name \"#A\" in [S]");
    refuse(("S", "[T]", "b"), "option 2: invalid option name \"[T]\" in [S]");
    refuse(("S", "A\nB", "b"), "option 2: invalid option name \"A\\nB\" in [S]");
    refuse(("S", "A", "b\0"), "option 2: value of A in [S] contains a NUL byte");
    let newline = "option 2: value of A in [S] contains a line end that no \"\\\" continues";
    refuse(("S", "A", "b\nExecStart=/evil"), newline);
    refuse(("S", "A", "b\rExecStart=/evil"), newline);
    refuse(("S", "A", "b\\\\\nExecStart=/evil"), newline);
    refuse(("S", "A", "b \\\n c\n[T]"), newline);
    let problems = build(&[]).expect_err("empty");
    assert_eq!(place_and_message(&problems[0]), "0:0: unit file is empty");
}
