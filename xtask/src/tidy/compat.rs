//! The compatibility tables (docs/compat-*.md): what they promise names a test that exists, or says `no`.

use std::path::Path;

use anyhow::{Context, Result};

use super::{Breach, Source, children};

/// How far above a function its `#[test]` may stand, in lines.
const MAX_ATTRIBUTE_LINES: usize = 6;

/// Checks every table that has a column headed `test` or `tests`.
pub fn check(root: &Path, sources: &[Source]) -> Result<Vec<Breach>> {
    let mut breaches = Vec::new();
    for path in children(&root.join("docs"))? {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        if name.starts_with("compat-") && path.extension().is_some_and(|extension| extension == "md") {
            let text = std::fs::read_to_string(&path).with_context(|| format!("can't read {}", path.display()))?;
            breaches.extend(check_document(&format!("docs/{name}"), &text, sources));
        }
    }
    Ok(breaches)
}

fn check_document(file: &str, text: &str, sources: &[Source]) -> Vec<Breach> {
    let rows = rows(text);
    if rows.is_empty() {
        return vec![Breach::new(file, 0, "has no table with a column `test`")];
    }
    let mut breaches = Vec::new();
    for (line, cell) in rows {
        let tests = quoted(&cell);
        if tests.is_empty() && cell != "no" {
            breaches.push(Breach::new(
                file,
                line,
                format!("the test column must name tests or say `no`, not `{cell}`"),
            ));
        }
        for test in tests.into_iter().filter(|test| !exists(test, sources)) {
            breaches.push(Breach::new(file, line, format!("there is no test `{test}`")));
        }
    }
    breaches
}

/// Line number and test cell of each row of the tables that have a column of tests.
fn rows(text: &str) -> Vec<(usize, String)> {
    let mut rows = Vec::new();
    // None outside tables; inside, where the table has its tests, if it has any.
    let mut table: Option<Option<usize>> = None;
    for (index, line) in text.lines().enumerate() {
        let Some(cells) = cells(line) else {
            table = None;
            continue;
        };
        match table {
            None => table = Some(cells.iter().position(|cell| names_tests(cell))),
            Some(Some(column)) if !cells.iter().all(|cell| is_ruler(cell)) => {
                rows.push((index + 1, cells.get(column).cloned().unwrap_or_default()));
            }
            Some(_) => {}
        }
    }
    rows
}

/// The cells of a table's line; none when the line is of no table. A `\|` is part of its cell.
fn cells(line: &str) -> Option<Vec<String>> {
    let inner = line.trim().strip_prefix('|')?.strip_suffix('|')?.replace("\\|", "\u{0}");
    Some(inner.split('|').map(|cell| cell.trim().replace('\u{0}', "|")).collect())
}

fn names_tests(header: &str) -> bool {
    header.eq_ignore_ascii_case("test") || header.eq_ignore_ascii_case("tests")
}

/// Whether it is of the line between a table's header and its rows.
fn is_ruler(cell: &str) -> bool {
    cell.contains('-') && cell.chars().all(|c| matches!(c, '-' | ':'))
}

/// What stands between backticks.
fn quoted(cell: &str) -> Vec<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

/// Whether a test `crate::name` or `file.rs::name` is there.
fn exists(test: &str, sources: &[Source]) -> bool {
    let (Some((place, _)), Some((_, name))) = (test.split_once("::"), test.rsplit_once("::")) else {
        return false;
    };
    let here = |source: &&Source| {
        if Path::new(place).extension().is_some_and(|extension| extension == "rs") {
            return source.path.ends_with(place);
        }
        let folder = place.strip_prefix("flota_").or_else(|| place.strip_prefix("flota-")).unwrap_or(place);
        ["crates", "tests"].iter().any(|dir| source.path.starts_with(Path::new(dir).join(folder)))
    };
    sources.iter().filter(here).any(|source| has_test(&source.text, name))
}

fn has_test(text: &str, name: &str) -> bool {
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let declares = |line: &str| {
        let rest = line.trim_start_matches("pub ").trim_start_matches("async ").strip_prefix("fn ");
        rest.and_then(|rest| rest.strip_prefix(name)).is_some_and(|rest| rest.starts_with('('))
    };
    let is_test = |index: usize| {
        let above = &lines[index.saturating_sub(MAX_ATTRIBUTE_LINES)..index];
        let attributes = above.iter().rev().take_while(|line| !line.starts_with('}'));
        attributes.into_iter().any(|line| line.starts_with("#[test]") || line.starts_with("#[tokio::test"))
    };
    lines.iter().enumerate().any(|(index, line)| declares(line) && is_test(index))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CODE: &str = "//! Tests.\n\n#[test]\nfn good() {}\n\n#[tokio::test]\n#[ignore = \"x\"]\nasync fn slow() {\n}\nfn help() {}\n";

    fn sources() -> Vec<Source> {
        vec![Source { path: "crates/unit/tests/it/names.rs".into(), text: CODE.to_owned() }]
    }

    #[test]
    fn tests_are_found_by_crate_and_by_file() {
        for good in ["unit::good", "flota-unit::good", "flota_unit::it::slow", "names.rs::good", "it/names.rs::slow"] {
            assert!(exists(good, &sources()), "{good}");
        }
        for bad in ["unit::help", "unit::goo", "lab::good", "ames.rs::good", "other.rs::good", "good", ""] {
            assert!(!exists(bad, &sources()), "{bad}");
        }
    }

    #[track_caller]
    fn check(table: &str, expect: &[(usize, &str)]) {
        let breaches = check_document("docs/compat-x.md", table, &sources());
        let found: Vec<_> = breaches.iter().map(|breach| (breach.line, breach.message.as_str())).collect();
        assert_eq!(found, expect);
    }

    #[test]
    fn rows_name_tests_or_say_no() {
        check("| what | test |\n|---|:--|\n| a | `unit::good`, `unit::slow` |\n| b \\| c | no |\n", &[]);
        check("| what | test | notes |\n|---|---|---|\n| a | `unit::good` | |\n| b | no | later |\n", &[]);
        let broken = "| what | Tests |\n|---|---|\n| a | `unit::gone` |\n| b |  |\n| c | later |\n";
        let expect = [
            (3, "there is no test `unit::gone`"),
            (4, "the test column must name tests or say `no`, not ``"),
            (5, "the test column must name tests or say `no`, not `later`"),
        ];
        check(broken, &expect);
    }

    #[test]
    fn other_tables_are_left_alone_but_one_is_needed() {
        let one = "| what | why |\n|---|---|\n| a | b |\n";
        check(one, &[(0, "has no table with a column `test`")]);
        check(&format!("{one}\n| what | test |\n|---|---|\n| a | no |\n"), &[]);
    }
}
