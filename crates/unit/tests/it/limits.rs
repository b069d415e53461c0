//! Sizes: what fits is read in linear time, what does not is refused with a number.

use flota_unit::{MAX_LINE_BYTES, MAX_OPTIONS_PER_UNIT, MAX_SECTION_NAME_BYTES, MAX_UNIT_FILE_BYTES, UnitFile};

fn message(text: &str) -> String {
    let problems = UnitFile::parse(text).expect_err("too large");
    format!("{}: {}", problems[0].line, problems[0].message)
}

#[test]
fn the_longest_line() {
    let line = |bytes: usize| format!("[Service]\nEnvironment={}\nExecStart=/x\n", "x".repeat(bytes - 12));
    let text = line(MAX_LINE_BYTES);
    let file = UnitFile::parse(&text).expect("a line that systemd reads");
    assert_eq!(file.entries().count(), 2);
    assert_eq!(file.canonical(), text);
    assert_eq!(
        message(&line(MAX_LINE_BYTES + 1)),
        "2: line has 1048576 bytes, more than the 1048575 that systemd reads"
    );
}

#[test]
fn a_comment_can_be_too_long_as_well() {
    let text = format!("[S]\nA=b\n#{}\n", "x".repeat(MAX_LINE_BYTES));
    assert_eq!(message(&text), "3: line has 1048576 bytes, more than the 1048575 that systemd reads");
}

#[test]
fn the_longest_continued_line() {
    let text = format!("[S]\nA={}\\\n{}\n", "x".repeat(600_000), "y".repeat(500_000));
    assert_eq!(message(&text), "2: line and its continuation exceed 1048575 bytes, systemd refuses such a file");
}

#[test]
fn the_largest_file() {
    let line = format!("A={}\n", "x".repeat(997));
    let mut text = format!("[S]\n{}", line.repeat(1199));
    text.push_str(&"\n".repeat(MAX_UNIT_FILE_BYTES - text.len()));
    assert_eq!(UnitFile::parse(&text).expect("fits").entries().count(), 1199);
    text.push('\n');
    assert_eq!(message(&text), "0: unit file has 1200001 bytes, more than the 1200000 that a unit may have");
    assert!(UnitFile::parse_bytes(text.as_bytes()).is_err());
}

#[test]
fn many_small_things() {
    let many_options = format!("[S]\n{}", "A=\n".repeat(MAX_OPTIONS_PER_UNIT));
    assert!(UnitFile::parse(&many_options).is_ok());
    assert_eq!(message(&format!("{many_options}A=\n")), "65538: more than 65536 options");

    let sections = (0..60_000).map(|n| format!("[{n}]\nA=\n")).collect::<Vec<_>>().concat();
    let file = UnitFile::parse(&sections).expect("many sections");
    assert_eq!(file.section_names().len(), 60_000);
    assert_eq!(file.canonical().lines().count(), 3 * 60_000 - 1);

    let bad_lines = "x\n".repeat(500_000);
    let problems = UnitFile::parse(&bad_lines).expect_err("bad lines");
    assert_eq!(problems.last().expect("remark").message, "499980 more problems");

    let long_name = "n".repeat(MAX_SECTION_NAME_BYTES + 1);
    assert!(message(&format!("[{long_name}]\nA=b\n")).starts_with("1: invalid section name \"nnn"));
    // One continued line of very many parts.
    let parts = format!("[S]\nA={}b\n", "\\\n".repeat(500_000));
    assert!(UnitFile::parse(&parts).is_ok());
}
