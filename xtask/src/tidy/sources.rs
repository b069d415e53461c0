//! Rules of every Rust file.

use std::path::Path;

use super::{Breach, Source};
use crate::test;

/// Beyond this a file has more than one subject.
const MAX_LINES: usize = 900;

/// Words that must not stand in a line, and why. In pieces, so that this file passes its own check.
const REFUSED: &[(&str, &str)] = &[
    (concat!("#[", "allow("), "use #[expect(lint, reason = \"...\")]"),
    (concat!("#![", "allow("), "use #![expect(lint, reason = \"...\")]"),
    (concat!("TO", "DO"), "finish it, or write an issue"),
    (concat!("FIX", "ME"), "finish it, or write an issue"),
    (concat!("to", "do!("), "finish it"),
    (concat!("un", "implemented!("), "finish it"),
];

/// In the reason of an ignored test that is not run, for it only prints figures.
const MEASUREMENT: &str = "measure";

/// All rules on one file.
pub fn check(source: &Source) -> Vec<Breach> {
    let Source { path, text } = source;
    let mut breaches = Vec::new();
    if !text.starts_with("//! ") {
        breaches.push(Breach::new(path, 1, "must begin with `//!` and a sentence on what the file is for"));
    }
    let lines = text.lines().count();
    if lines > MAX_LINES {
        breaches.push(Breach::new(path, lines, format!("has more than {MAX_LINES} lines")));
    }
    for (index, line) in text.lines().enumerate() {
        for (word, instead) in REFUSED.iter().filter(|(word, _)| line.contains(word)) {
            breaches.push(Breach::new(path, index + 1, format!("`{word}`: {instead}")));
        }
        if line.trim_start().starts_with("#[ignore") && !line.contains(MEASUREMENT) && !has_its_ignored_tests_run(path)
        {
            breaches.push(Breach::new(path, index + 1, "nobody runs this test; see the lists in xtask/src/test.rs"));
        }
    }
    breaches
}

/// Whether `cargo xtask test` runs the ignored tests of the file's package.
fn has_its_ignored_tests_run(path: &Path) -> bool {
    test::ON_THE_HOST.iter().chain(test::ON_MACHINES).any(|dir| path.starts_with(dir))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ignored_test_is_run_somewhere() {
        let breaches = |path: &str, reason: &str| {
            let text = format!("//! Tests.\n#[test]\n#[ignore = \"{reason}\"]\nfn slow() {{}}\n");
            check(&Source { path: path.into(), text }).len()
        };
        assert_eq!(breaches("crates/lab/tests/it/main.rs", "needs root"), 0);
        assert_eq!(breaches("crates/unit/tests/it/main.rs", "needs root"), 1);
        assert_eq!(breaches("crates/unit/tests/it/main.rs", "a measurement: run it by hand"), 0);
        assert_eq!(breaches("crates/unit/tests/it/main.rs", "measures; run it optimised"), 0);
    }

    #[track_caller]
    fn check_lines(text: &str, expect: &[usize]) {
        let breaches = check(&Source { path: "a.rs".into(), text: text.to_owned() });
        assert_eq!(breaches.iter().map(|breach| breach.line).collect::<Vec<_>>(), expect, "{breaches:?}");
    }

    #[test]
    fn each_rule_tells_its_line() {
        check_lines("//! A file.\n\nfn main() {}\n", &[]);
        check_lines("fn main() {}\n", &[1]);
        check_lines("", &[1]);
        check_lines(concat!("//! A file.\n\n#[", "allow(dead_code)]\nfn f() {}\n"), &[3]);
        check_lines(concat!("//! A file.\n// TO", "DO later\nfn f() { to", "do!() }\n"), &[2, 3]);
        check_lines(&format!("//! A file.\n{}", "\n".repeat(MAX_LINES)), &[MAX_LINES + 1]);
    }
}
