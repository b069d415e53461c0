//! Which of its names the program was called by; the words are the same, the layout is not.

use std::{ffi::OsStr, path::Path};

/// How output is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// For people: columns aligned with spaces.
    Flota,
    /// For scripts written for fleet: columns and exit codes as fleetctl had them.
    Fleetctl,
}

impl Style {
    /// The style for the name that the program was called by.
    pub fn of_program(argv0: &OsStr) -> Self {
        if Path::new(argv0).file_name() == Some(OsStr::new("fleetctl")) { Self::Fleetctl } else { Self::Flota }
    }

    /// The name for help and hints.
    pub const fn program(self) -> &'static str {
        match self {
            Self::Flota => "flota",
            Self::Fleetctl => "fleetctl",
        }
    }
}
