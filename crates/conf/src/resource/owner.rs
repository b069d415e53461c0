//! Users and groups by name.

use std::fs;
use std::process::{Command, Stdio};

/// Why there is no number for a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OwnerError {
    /// Nobody has the name.
    #[error("there is no {kind} `{name}` on this machine")]
    Unknown {
        /// `user` or `group`.
        kind: &'static str,
        /// As written.
        name: String,
    },
}

/// The number of a user; a number stands for itself.
pub(super) fn user(name: &str) -> Result<u32, OwnerError> {
    number("user", "/etc/passwd", "passwd", name)
}

/// The number of a group; a number stands for itself.
pub(super) fn group(name: &str) -> Result<u32, OwnerError> {
    number("group", "/etc/group", "group", name)
}

fn number(kind: &'static str, file: &str, database: &str, name: &str) -> Result<u32, OwnerError> {
    if let Ok(number) = name.parse() {
        return Ok(number);
    }
    let local = fs::read_to_string(file).ok().and_then(|table| in_table(&table, name));
    let found = local.or_else(|| in_table(&asked(database, name)?, name));
    found.ok_or_else(|| OwnerError::Unknown { kind, name: name.to_owned() })
}

/// What the other sources of `nsswitch.conf` know.
fn asked(database: &str, name: &str) -> Option<String> {
    let mut getent = Command::new("getent");
    let output = getent.args([database, "--", name]).stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    String::from_utf8(output.stdout).ok()
}

/// The third field of the line that begins with the name, in `passwd` as in `group`.
fn in_table(table: &str, name: &str) -> Option<u32> {
    let mut lines = table.lines().map(|line| line.split(':'));
    lines.find_map(|mut fields| (fields.next() == Some(name)).then(|| fields.nth(1)?.parse().ok())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_is_the_first_user_and_the_first_group() {
        assert_eq!((user("root"), group("root")), (Ok(0), Ok(0)));
        assert_eq!(user("1234"), Ok(1234));
        let error = group("no-such-group").unwrap_err().to_string();
        assert_eq!(error, "there is no group `no-such-group` on this machine");
    }
}
