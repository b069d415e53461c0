//! Figures for whoever reads the output, as lines that begin with `figure:`.

use std::io::Write as _;

use flota_e2e::full_length;

/// What a busy host may add in the default run, as a factor. What a test is named after has to happen there, too; how fast
/// it is, the full run judges.
const SLACK: f64 = 4.0;

/// Tells a figure; `cargo xtask test --e2e` shows it among the tests' output.
pub fn tell(text: &str) {
    // Not by `println!`, which the test harness keeps to itself while tests pass.
    let _ = writeln!(std::io::stderr(), "figure: {text}");
}

/// Panics if something took longer than its budget, in seconds.
#[track_caller]
pub fn in_budget(what: &str, took: f64, budget: f64) {
    let bound = if full_length() { budget } else { budget * SLACK };
    assert!(took <= bound, "{what}: {took:.1} s of {budget} s");
}

/// Times in seconds: the smallest, the one in the middle, the largest.
pub struct Times(Vec<f64>);

impl Times {
    /// Of one trial or more.
    pub fn of(mut times: Vec<f64>) -> Times {
        times.sort_by(f64::total_cmp);
        Times(times)
    }

    /// The one in the middle, the upper one of two.
    pub fn median(&self) -> f64 {
        self.0[self.0.len() / 2]
    }

    /// The largest.
    pub fn max(&self) -> f64 {
        self.0[self.0.len() - 1]
    }

    /// `median 6.1 s, largest 7.0 s, of 10`.
    pub fn in_words(&self) -> String {
        format!("median {:.1} s, largest {:.1} s, of {}", self.median(), self.max(), self.0.len())
    }
}
