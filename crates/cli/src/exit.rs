//! Every exit code of the command line, and what it promises.
//!
//! fleetctl knew 0 and 1 only, so the finer codes become 1 when Flota is called as `fleetctl`. Codes of programs that
//! a verb runs for you (`status`, `journal`, `lab exec`) are passed on as they are, under either name.

use crate::style::Style;

/// The exit code of one run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Exit {
    code: u8,
    passed_on: bool,
}

impl Exit {
    /// All that was asked for is done.
    pub const SUCCESS: Self = Self::new(0);
    /// The daemon refused, or a unit or machine is unknown.
    pub const FAILURE: Self = Self::new(1);
    /// The command line is not one; nothing was tried.
    pub const USAGE: Self = Self::new(2);
    /// The request is stored, but no machine can take the unit. The reasons are on stderr.
    pub const UNPLACEABLE: Self = Self::new(3);
    /// The request is stored and placed, but the unit failed on its machine.
    pub const UNIT_FAILED: Self = Self::new(4);
    /// The request is stored, but was not carried out within `--block-attempts`.
    pub const TIMED_OUT: Self = Self::new(5);
    /// A unit file has an error (`EX_DATAERR`); nothing was submitted.
    pub const BAD_UNIT_FILE: Self = Self::new(65);
    /// No daemon answers at the endpoint, or it cannot reach its store (`EX_UNAVAILABLE`).
    pub const UNAVAILABLE: Self = Self::new(69);

    /// Ctrl-C ended it; the code that a shell reports then.
    pub const INTERRUPTED: Self = Self { code: 130, passed_on: true };

    const fn new(code: u8) -> Self {
        Self { code, passed_on: false }
    }

    /// The code of a program that was run. One ended by a signal counts as 128 plus the signal, as in a shell.
    pub fn of_program(status: std::process::ExitStatus) -> Self {
        use std::os::unix::process::ExitStatusExt;
        let code = match (status.code(), status.signal()) {
            (Some(code), _) => code,
            (None, Some(signal)) => 128 + signal,
            (None, None) => 1,
        };
        Self::passed_on(code)
    }

    /// The code of a program that was run; what does not fit into eight bits becomes 255.
    pub fn passed_on(code: i32) -> Self {
        Self { code: u8::try_from(code).unwrap_or(u8::MAX), passed_on: true }
    }

    /// The number for the operating system.
    pub fn code(self, style: Style) -> u8 {
        match style {
            Style::Fleetctl if !self.passed_on => self.code.min(1),
            _ => self.code,
        }
    }

    /// The code that says more: the other one if this is success.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        if self.code == 0 { other } else { self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fleetctl_knows_two_codes() {
        assert_eq!(Exit::UNPLACEABLE.code(Style::Flota), 3);
        assert_eq!(Exit::UNPLACEABLE.code(Style::Fleetctl), 1);
        assert_eq!(Exit::SUCCESS.code(Style::Fleetctl), 0);
        assert_eq!(Exit::passed_on(3).code(Style::Fleetctl), 3);
        assert_eq!(Exit::passed_on(300).code(Style::Flota), 255);
        assert_eq!(Exit::SUCCESS.or(Exit::TIMED_OUT).or(Exit::FAILURE), Exit::TIMED_OUT);
    }
}
