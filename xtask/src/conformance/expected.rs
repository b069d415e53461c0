//! The lists of what is known to fail, one per suite, and the judgement by them.
//!
//! A line is `both NAME: why` (fails on Debian's etcd too), `ours NAME: why` (fails on ours only) or `unsteady NAME: why` (may fail on
//! either). The line `tests N` says how many tests the suite has at least, so that a suite that no longer starts is noticed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context, Result, bail};

use super::outcome::{Outcome, TestResult};

/// On what a test is known to fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Known {
    Both,
    Ours,
    Unsteady,
}

/// A suite's list.
#[derive(Debug, Default)]
pub struct Expected {
    tests: usize,
    known: BTreeMap<String, (Known, String)>,
}

/// A suite's outcome, compared with its list.
#[derive(Debug, Default)]
pub struct Verdict {
    /// Tests that ran or decided not to.
    pub total: usize,
    /// Tests that passed.
    pub passed: usize,
    /// Tests that decided not to run.
    pub skipped: usize,
    /// Failures that the list gives a reason for.
    pub known: usize,
    unexpected: Vec<String>,
    /// Tests of the list that pass by now.
    passing: Vec<String>,
    missing: usize,
}

impl Expected {
    /// Reads a list; one that does not exist expects everything to pass.
    pub fn read(path: &Path) -> Result<Expected> {
        if !path.exists() {
            return Ok(Expected::default());
        }
        let text = std::fs::read_to_string(path).with_context(|| format!("can't read {}", path.display()))?;
        Expected::parse(&text).with_context(|| format!("in {}", path.display()))
    }

    fn parse(text: &str) -> Result<Expected> {
        let mut expected = Expected::default();
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let (kind, rest) = line.split_once(' ').with_context(|| format!("`{line}` has no second word"))?;
            let kind = match kind {
                "tests" => {
                    expected.tests = rest.parse().with_context(|| format!("`{rest}` is no number"))?;
                    continue;
                }
                "both" => Known::Both,
                "ours" => Known::Ours,
                "unsteady" => Known::Unsteady,
                other => bail!("`{other}` is none of tests, both, ours, unsteady"),
            };
            let (name, why) = rest.split_once(": ").with_context(|| format!("`{rest}` gives no reason"))?;
            expected.known.insert(name.to_owned(), (kind, why.to_owned()));
        }
        Ok(expected)
    }

    /// The tests that are known to fail, on some store or at times.
    pub fn known(&self) -> BTreeSet<String> {
        self.known.keys().cloned().collect()
    }

    /// Compares; on Debian's etcd, what fails only on ours must pass.
    pub fn judge(&self, outcomes: &[Outcome], on_etcd: bool) -> Verdict {
        let mut verdict = Verdict { total: outcomes.len(), ..Verdict::default() };
        verdict.missing = self.tests.saturating_sub(outcomes.len());
        for Outcome { test, result } in outcomes {
            let known = self.known.get(test).map(|(known, _)| *known);
            let known = known.filter(|known| !(on_etcd && *known == Known::Ours));
            match (result, known) {
                (TestResult::Passed, Some(Known::Both | Known::Ours)) => {
                    verdict.passed += 1;
                    verdict.passing.push(test.clone());
                }
                (TestResult::Passed, _) => verdict.passed += 1,
                (TestResult::Skipped, _) => verdict.skipped += 1,
                (TestResult::Failed, Some(_)) => verdict.known += 1,
                (TestResult::Failed, None) => verdict.unexpected.push(test.clone()),
            }
        }
        verdict
    }
}

impl Verdict {
    /// How many tests came out worse than the list says.
    pub fn surprises(&self) -> usize {
        self.unexpected.len() + self.missing
    }

    /// Tells what differs from the list, and where the tests' own words are.
    pub fn tell(&self, logs: &Path) {
        for test in &self.unexpected {
            println!("    FAILED {test}");
        }
        if self.missing > 0 {
            println!("    {} tests fewer than there should be", self.missing);
        }
        for test in &self.passing {
            println!("    {test} passes: its line in the list of known failures can go");
        }
        if self.surprises() > 0 {
            println!("    see {}", logs.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = "# x\ntests 4\nboth A: wants three members\nours B: wants a fourth\nunsteady C: by time\n";

    #[test]
    fn failures_need_a_reason_in_the_list() {
        let list = Expected::parse(LIST).unwrap();
        let outcome = |test: &str, result| Outcome::new(test, result);
        let all = |result| ["A", "B", "C", "D"].map(|test| outcome(test, result));
        let failed = list.judge(&all(TestResult::Failed), false);
        assert_eq!((failed.known, failed.unexpected.as_slice()), (3, ["D".to_owned()].as_slice()));
        let on_etcd = list.judge(&all(TestResult::Failed), true);
        assert_eq!(on_etcd.unexpected, ["B", "D"]);
        let passed = list.judge(&all(TestResult::Passed), false);
        assert_eq!(
            (passed.passed, passed.surprises(), passed.passing.as_slice()),
            (4, 0, ["A".to_owned(), "B".to_owned()].as_slice())
        );
        assert_eq!(list.judge(&[], false).surprises(), 4);
    }

    #[test]
    fn a_line_without_a_reason_is_refused() {
        assert!(Expected::parse("ours A\n").is_err());
        assert!(Expected::parse("theirs A: b\n").is_err());
        assert!(Expected::parse("tests many\n").is_err());
    }
}
