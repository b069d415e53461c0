//! What the examination tells of one thing.

use serde::Serialize;

use crate::Blind;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// As it should be.
    Ok,
    /// Nobody could look.
    Unknown,
    /// It works, but not for ever, or not all of it.
    Warn,
    /// Flota or its units cannot work like this.
    Fail,
}

impl Level {
    /// As it is printed.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Unknown => "?",
            Self::Warn => "warn",
            Self::Fail => "FAIL",
        }
    }
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Which check told it: one word.
    pub check: &'static str,
    /// How bad it is.
    pub level: Level,
    /// What was seen.
    pub what: String,
    /// What to type, or to do, about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mend: Option<String>,
}

impl Finding {
    /// All is well.
    pub(crate) fn ok(check: &'static str, what: impl Into<String>) -> Self {
        Self { check, level: Level::Ok, what: what.into(), mend: None }
    }

    /// It works, but.
    pub(crate) fn warn(check: &'static str, what: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { check, level: Level::Warn, what: what.into(), mend: Some(mend.into()) }
    }

    /// It does not work.
    pub(crate) fn fail(check: &'static str, what: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { check, level: Level::Fail, what: what.into(), mend: Some(mend.into()) }
    }

    /// Nobody could look.
    pub(crate) fn blind(check: &'static str, why: &Blind) -> Self {
        let mend = matches!(why, Blind::NotAllowed(_)).then(|| "sudo flota doctor".to_owned());
        Self { check, level: Level::Unknown, what: why.to_string(), mend }
    }
}

/// The worst of all; well where there is none.
pub fn worst(findings: &[Finding]) -> Level {
    findings.iter().map(|finding| finding.level).max().unwrap_or(Level::Ok)
}
