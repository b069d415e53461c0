//! A command that was run, and what it must have said.

use std::fmt;
use std::time::Duration;

/// What became of a command. Its checks panic with all of it.
#[derive(Debug, Clone)]
pub struct Ran {
    /// The machine and what was typed there.
    pub line: String,
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
    /// Its exit code; a signal counts as 128 plus its number.
    pub code: i32,
    /// How long it took.
    pub took: Duration,
}

impl Ran {
    /// It succeeded.
    #[track_caller]
    pub fn ok(&self) -> &Self {
        self.code(0)
    }

    /// It ended with this exit code.
    #[track_caller]
    pub fn code(&self, expected: i32) -> &Self {
        assert_eq!(self.code, expected, "wrong exit code\n{self}");
        self
    }

    /// It wrote exactly this to standard output.
    #[track_caller]
    pub fn out(&self, expected: &str) -> &Self {
        assert_eq!(self.stdout, expected, "wrong standard output\n{self}");
        self
    }

    /// It wrote exactly this to standard error.
    #[track_caller]
    pub fn err(&self, expected: &str) -> &Self {
        assert_eq!(self.stderr, expected, "wrong standard error\n{self}");
        self
    }

    /// Its standard output has this in it.
    #[track_caller]
    pub fn out_has(&self, part: &str) -> &Self {
        assert!(self.stdout.contains(part), "no `{part}` in the standard output\n{self}");
        self
    }

    /// Its standard error has this in it.
    #[track_caller]
    pub fn err_has(&self, part: &str) -> &Self {
        assert!(self.stderr.contains(part), "no `{part}` in the standard error\n{self}");
        self
    }

    /// The lines of standard output, sorted, for commands that tell of things as they happen.
    pub fn sorted_lines(&self) -> Vec<&str> {
        let mut lines: Vec<&str> = self.stdout.lines().collect();
        lines.sort_unstable();
        lines
    }
}

impl fmt::Display for Ran {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.line)?;
        for (name, text) in [("stdout", &self.stdout), ("stderr", &self.stderr)] {
            writeln!(f, "--- {name}\n{}", text.trim_end_matches('\n'))?;
        }
        write!(f, "--- exit code {} after {:.1} s", self.code, self.took.as_secs_f32())
    }
}
