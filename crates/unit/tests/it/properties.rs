//! What holds for every input.

use flota_unit::{Glob, Requirements, UnitFile, UnitName};
use proptest::prelude::*;

/// Text made of what unit files are made of, so that most of the grammar is reached.
fn unit_text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("[Service]".to_owned()),
        Just("[X-Fleet]".to_owned()),
        Just("[X-Flota]".to_owned()),
        Just("[Unit]\n".to_owned()),
        Just("\n".to_owned()),
        Just("\n".to_owned()),
        Just("\r\n".to_owned()),
        Just("\\\n".to_owned()),
        Just("\\".to_owned()),
        Just("#".to_owned()),
        Just(";".to_owned()),
        Just(" ".to_owned()),
        Just("\t".to_owned()),
        Just("=".to_owned()),
        Just("\"".to_owned()),
        Just("\nMachineOf=".to_owned()),
        Just("\nMachineMetadata=".to_owned()),
        Just("\nConflicts=".to_owned()),
        Just("\nGlobal=".to_owned()),
        Just("\nMachineID=%i".to_owned()),
        "[a-zA-Z0-9.@%*\\[\\]]{1,8}",
        "\\PC{1,3}",
    ];
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

/// Files that parse: sections of options with awkward values.
fn valid_text() -> impl Strategy<Value = String> {
    let value = prop::collection::vec(
        prop_oneof![
            "[a-z =\"#;%\\[\\]]{0,6}",
            Just("\\\n".to_owned()),
            Just("\\\n# c\n".to_owned()),
            Just("\\\\".to_owned()),
            Just("\\ ".to_owned()),
            Just("\u{feff}".to_owned())
        ],
        0..6,
    );
    let option = ("[A-Z][a-z]{0,3}", value).prop_map(|(name, value)| format!("{name}={}\n\n", value.concat()));
    let section = ("[A-C]", prop::collection::vec(option, 1..4));
    prop::collection::vec(section, 1..5).prop_map(|sections| {
        sections
            .into_iter()
            .map(|(name, options)| format!("[{name}]\n{}", options.concat()))
            .collect::<Vec<_>>()
            .concat()
    })
}

/// Tries everything, in exponential time.
fn reference_matches(pattern: &[char], name: &[char]) -> bool {
    match pattern {
        [] => name.is_empty(),
        ['*', rest @ ..] => {
            reference_matches(rest, name)
                || matches!(name, [c, tail @ ..] if *c != '/' && reference_matches(pattern, tail))
        }
        ['?', rest @ ..] => matches!(name, [c, tail @ ..] if *c != '/' && reference_matches(rest, tail)),
        ['[', '^', low, '-', high, ']', rest @ ..] => {
            matches!(name, [c, tail @ ..] if !(*low..=*high).contains(c) && reference_matches(rest, tail))
        }
        ['[', low, '-', high, ']', rest @ ..] => {
            matches!(name, [c, tail @ ..] if (*low..=*high).contains(c) && reference_matches(rest, tail))
        }
        ['\\', literal, rest @ ..] | [literal, rest @ ..] => {
            matches!(name, [c, tail @ ..] if c == literal && reference_matches(rest, tail))
        }
    }
}

fn pattern() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        3 => Just("*".to_owned()),
        2 => Just("?".to_owned()),
        4 => "[a-c]",
        1 => Just("\\*".to_owned()),
        1 => "\\[[a-c]-[a-c]\\]",
        1 => "\\[\\^[a-c]-[a-c]\\]",
    ];
    prop::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat())
}

fn triples(file: &UnitFile) -> Vec<(String, String, String)> {
    file.entries().map(|entry| (entry.section.clone(), entry.name.clone(), entry.value.clone())).collect()
}

/// What must hold of any text that parses.
fn check_file(text: &str) -> Result<(), TestCaseError> {
    let Ok(file) = UnitFile::parse(text) else {
        return Ok(());
    };
    prop_assert_eq!(file.text(), text);
    let canonical = file.canonical();
    let again =
        UnitFile::parse(&canonical).map_err(|error| TestCaseError::fail(format!("{canonical:?}: {error:?}")))?;
    prop_assert_eq!(&again.canonical(), &canonical);
    prop_assert_eq!(again.hash(), file.hash());
    let mut grouped = Vec::new();
    for section in file.section_names() {
        grouped.extend(triples(&file).into_iter().filter(|(name, _, _)| name == section));
    }
    prop_assert_eq!(triples(&again), grouped, "canonical form keeps every option");
    let rebuilt = UnitFile::from_options(triples(&file)).map_err(|error| TestCaseError::fail(format!("{error:?}")))?;
    prop_assert_eq!(rebuilt.text(), &canonical);
    Ok(())
}

/// How a person may write a list of values.
#[derive(Debug, Clone, Copy)]
enum Style {
    Lines,
    Quoted,
    QuotedOverLines,
    QuotedOneByOne,
}

/// Lines of one option that mean exactly these values, after others that a reset takes back.
fn written(option: &str, values: &[String], style: Style, taken_back: &[String]) -> String {
    let mut lines: Vec<String> = taken_back.iter().map(|value| format!("{option}={value}\n")).collect();
    if !taken_back.is_empty() {
        lines.push(format!("{option}=\n"));
    }
    let quoted: Vec<String> = values.iter().map(|value| format!("\"{value}\"")).collect();
    match style {
        _ if values.is_empty() => {}
        Style::Lines => lines.extend(values.iter().map(|value| format!("{option}={value}\n"))),
        Style::Quoted => lines.push(format!("{option} = {}\n", quoted.join(" "))),
        Style::QuotedOverLines => lines.push(format!("{option}={}\n", quoted.join(" \\\n# a comment\n  "))),
        Style::QuotedOneByOne => lines.extend(quoted.iter().map(|value| format!("  {option}=\t{value} \n; x\n"))),
    }
    lines.concat()
}

fn style() -> impl Strategy<Value = Style> {
    prop_oneof![Just(Style::Lines), Just(Style::Quoted), Just(Style::QuotedOverLines), Just(Style::QuotedOneByOne)]
}

/// An option with its values, how they are written, and what was written before a reset.
fn list(option: &'static str, value: &'static str) -> impl Strategy<Value = (&'static str, Vec<String>, String)> {
    let values = || prop::collection::vec(value, 0..4);
    (values(), style(), values())
        .prop_map(move |(values, style, before)| (option, values.clone(), written(option, &values, style, &before)))
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(500) })]

    #[test]
    fn lists_mean_the_same_however_they_are_quoted_continued_and_reset(
        peers in list("MachineOf", "[a-m]{1,4}@?[a-m]{1,2}\\.(service|socket|timer)"),
        metadata in list("MachineMetadata", "[a-c]=[a-z0-9.]{1,3}"),
        conflicts in list("Conflicts", "[n-z]{1,3}[*?]"),
        section in prop_oneof![Just("X-Fleet"), Just("X-Flota")],
    ) {
        let text = format!("[Service]\nExecStart=/x\n[{section}]\n{}{}{}", peers.2, metadata.2, conflicts.2);
        let file = UnitFile::parse(&text).map_err(|error| TestCaseError::fail(format!("{text}: {error:?}")))?;
        let name: UnitName = "other.service".parse().expect("name");
        let read = |file: &UnitFile| {
            Requirements::from_unit(&name, file).map_err(|error| TestCaseError::fail(format!("{text}: {error:?}")))
        };
        let wanted = read(&file)?;
        let mut expected: Vec<&str> = peers.1.iter().map(String::as_str).collect();
        expected.sort_unstable();
        expected.dedup();
        prop_assert_eq!(wanted.machine_of.iter().map(UnitName::as_str).collect::<Vec<_>>(), expected);
        let patterns: Vec<&str> = wanted.conflicts.iter().map(Glob::as_str).collect();
        prop_assert_eq!(patterns, conflicts.1.iter().map(String::as_str).collect::<Vec<_>>());
        let mut labels: Vec<&str> = metadata.1.iter().map(String::as_str).collect();
        labels.sort_unstable();
        labels.dedup();
        let found = wanted.machine_metadata.iter().flat_map(|(key, values)| values.iter().map(move |it| format!("{key}={it}")));
        prop_assert_eq!(found.collect::<Vec<_>>(), labels);

        let again = UnitFile::parse(&file.canonical()).map_err(|error| TestCaseError::fail(format!("{error:?}")))?;
        prop_assert_eq!(read(&again)?, wanted, "the canonical form asks for the same");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1000) })]

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        match UnitFile::parse_bytes(&bytes) {
            Ok(file) => prop_assert_eq!(file.text().as_bytes(), &bytes[..]),
            Err(problems) => {
                prop_assert!(!problems.is_empty());
                for problem in problems {
                    prop_assert!(!problem.render("x").is_empty());
                }
            }
        }
    }

    #[test]
    fn any_text_is_read_or_refused(text in unit_text(), template in any::<bool>()) {
        check_file(&text)?;
        if let Ok(file) = UnitFile::parse(&text) {
            let name: UnitName = if template { "a@.service" } else { "a@b.service" }.parse().expect("name");
            if let Err(problems) = Requirements::from_unit(&name, &file) {
                for problem in problems {
                    let lines = text.lines().count().max(text.split('\r').count()) as u32;
                    prop_assert!(problem.line <= lines, "{:?}", problem);
                    prop_assert!(!problem.render("x").is_empty());
                }
            }
        }
    }

    #[test]
    fn canonical_form_is_stable(text in valid_text()) {
        check_file(&text)?;
    }

    #[test]
    fn options_are_kept_or_refused(
        options in prop::collection::vec(("[A-B\\]\n ]{0,2}", "[a-b=#\\[\n ]{0,3}", "[a\\\\\n\r#;= ]{0,10}"), 1..4)
    ) {
        let count = options.len();
        if let Ok(file) = UnitFile::from_options(options.clone()) {
            prop_assert_eq!(file.entries().count(), count, "{:?}", file.text());
            prop_assert_eq!(file.text(), file.canonical());
            for (section, name, _) in &options {
                let name = name.trim_matches([' ', '\n']);
                prop_assert!(file.get_all(section, name).next().is_some());
            }
        }
    }

    #[test]
    fn globs_match_as_the_reference_does(pattern in pattern(), name in "[a-d*]{0,10}") {
        let glob = Glob::new(&pattern).expect("pattern");
        let (pattern_chars, name_chars): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
        prop_assert_eq!(glob.matches(&name), reference_matches(&pattern_chars, &name_chars));
    }

    #[test]
    fn any_pattern_is_compiled_or_refused(pattern in "[a\\[\\]^\\-*?\\\\]{0,12}", name in "[a\\-/]{0,8}") {
        if let Ok(glob) = Glob::new(&pattern) {
            let _ = glob.matches(&name);
            prop_assert_eq!(Glob::new(glob.as_str()), Ok(glob));
        }
    }

    #[test]
    fn a_valid_name_is_one_path_component(text in "[a-z@./\\\\ %\0]{0,12}(\\.service|\\.mount)?") {
        if let Ok(name) = text.parse::<UnitName>() {
            prop_assert!(!text.contains(['/', '\0', ' ']) && text != "." && text != "..");
            prop_assert_eq!(format!("{}.{}", name.stem(), name.kind()), &text[..]);
            if let Some(template) = name.template() {
                prop_assert!(template.is_template());
                let instance = name.instance().expect("an instance");
                prop_assert_eq!(template.instantiate(instance), Ok(name));
            }
        }
        if let Ok(name) = UnitName::from_argument(&text) {
            prop_assert_eq!(name.as_str().parse::<UnitName>(), Ok(name));
        }
    }
}
