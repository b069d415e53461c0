//! How one test of a foreign suite came out.

/// A test and its result.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Outcome {
    /// As the suite calls it.
    pub test: String,
    /// What came of it.
    pub result: TestResult,
}

/// What came of a test.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum TestResult {
    /// It passed.
    Passed,
    /// It failed, crashed, or took too long.
    Failed,
    /// It decided not to run.
    Skipped,
}

impl Outcome {
    /// The result of a test by its name.
    pub fn new(test: impl Into<String>, result: TestResult) -> Outcome {
        Outcome { test: test.into(), result }
    }
}
