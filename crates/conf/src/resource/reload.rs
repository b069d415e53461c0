//! What makes a service take a new file.

use std::fmt;

/// What systemd does with a unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UnitAction {
    /// `ExecReload=`.
    Reload,
    /// Stop and start, or start.
    Restart,
    /// Stop and start if it runs.
    TryRestart,
}

impl UnitAction {
    /// systemctl's word.
    pub fn as_str(self) -> &'static str {
        match self {
            UnitAction::Reload => "reload",
            UnitAction::Restart => "restart",
            UnitAction::TryRestart => "try-restart",
        }
    }
}

/// One way to have a new file taken. Equal ones are carried out once, however many files changed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reload {
    /// A line for `/bin/sh -c`.
    Command(String),
    /// By systemd.
    Unit {
        /// Its full name.
        name: String,
        /// What is done with it.
        action: UnitAction,
    },
    /// A signal to the main process of a unit.
    UnitSignal {
        /// Its full name.
        name: String,
        /// The signal's number.
        signal: i32,
    },
    /// A signal to the supervised command of `flota conf exec`.
    ChildSignal {
        /// The signal's number.
        signal: i32,
    },
    /// A restart of the supervised command of `flota conf exec`.
    ChildRestart,
}

impl fmt::Display for Reload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reload::Command(line) => f.write_str(line),
            Reload::Unit { name, action } => write!(f, "{} {name}", action.as_str()),
            Reload::UnitSignal { name, signal } => write!(f, "SIG{} to {name}", signal_name(*signal)),
            Reload::ChildSignal { signal } => write!(f, "SIG{} to the command", signal_name(*signal)),
            Reload::ChildRestart => f.write_str("restart of the command"),
        }
    }
}

/// The signals that make sense for a service, by number.
const SIGNALS: [(&str, i32); 10] = [
    ("HUP", 1),
    ("INT", 2),
    ("QUIT", 3),
    ("USR1", 10),
    ("USR2", 12),
    ("TERM", 15),
    ("CONT", 18),
    ("WINCH", 28),
    ("IO", 29),
    ("KILL", 9),
];

/// The number of `HUP` or `SIGHUP`.
pub fn parse_signal(text: &str) -> Option<i32> {
    let name = text.to_uppercase();
    let name = name.strip_prefix("SIG").unwrap_or(&name);
    SIGNALS.iter().find(|(known, _)| *known == name).map(|(_, number)| *number)
}

fn signal_name(number: i32) -> &'static str {
    SIGNALS.iter().find(|(_, known)| *known == number).map_or("?", |(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_have_their_names_with_and_without_sig() {
        assert_eq!(parse_signal("HUP"), Some(1));
        assert_eq!(parse_signal("sigusr1"), Some(10));
        assert_eq!(parse_signal("9"), None);
        assert_eq!(Reload::UnitSignal { name: "a.service".into(), signal: 1 }.to_string(), "SIGHUP to a.service");
    }
}
