//! What names, paths, modes and keys must look like, whoever wrote them.

use std::path::{Component, Path};

/// The longest host name, as the kernel has it.
const MAX_HOSTNAME: usize = 64;
/// The longest name of a user, as useradd has it.
const MAX_USER_NAME: usize = 32;

/// Each text in a line of its own.
pub(crate) fn lines<T: AsRef<str>>(texts: impl Iterator<Item = T>) -> String {
    texts.fold(String::new(), |mut all, text| {
        all.push_str(text.as_ref());
        all.push('\n');
        all
    })
}

/// What is wrong with a host name; a full one (with dots) is one too.
pub(crate) fn hostname(text: &str) -> Result<(), &'static str> {
    let label = |label: &str| {
        let inner = |c: char| c.is_ascii_alphanumeric() || c == '-';
        !label.is_empty() && label.chars().all(inner) && !label.starts_with('-') && !label.ends_with('-')
    };
    if text.len() <= MAX_HOSTNAME && text.split('.').all(label) {
        return Ok(());
    }
    Err("is no host name: up to 64 letters, digits and `-`, with dots between")
}

/// What is wrong with the name of a user or group.
pub(crate) fn user(text: &str) -> Result<(), &'static str> {
    let first = |c: char| c.is_ascii_lowercase() || c == '_';
    let inner = |c: char| first(c) || c.is_ascii_digit() || c == '-';
    if text.len() <= MAX_USER_NAME && text.starts_with(first) && text.chars().all(inner) {
        return Ok(());
    }
    Err("is no user name: up to 32 of a-z, 0-9, `_` and `-`, a letter or `_` first")
}

/// What is wrong with the path of a file on a machine.
pub(crate) fn absolute(text: &str) -> Result<(), &'static str> {
    let path = Path::new(text);
    let plain = path.components().skip(1).all(|part| matches!(part, Component::Normal(_)));
    if path.is_absolute() && plain && path.file_name().is_some() && !text.ends_with('/') && !text.contains('\0') {
        return Ok(());
    }
    Err("is no absolute path of a file without `..`")
}

/// A file's mode, always octal, as `0644` or `644`.
pub(crate) fn mode(text: &str) -> Result<u32, &'static str> {
    let digits = text.strip_prefix("0o").unwrap_or(text);
    let mode = u32::from_str_radix(digits, 8).ok().filter(|mode| *mode <= 0o7777 && !digits.starts_with('+'));
    mode.ok_or("is no mode in octal digits, such as 0644")
}

/// `user:group` or `user`, by names or numbers.
pub(crate) fn owner(text: &str) -> Result<(), &'static str> {
    let good = |part: &str| user(part).is_ok() || part.parse::<u32>().is_ok();
    let (owner, group) = text.split_once(':').unwrap_or((text, "root"));
    if good(owner) && good(group) { Ok(()) } else { Err("is no owner such as root:root") }
}

/// What is wrong with a line for authorized_keys; options before the key are allowed.
pub(crate) fn ssh_key(text: &str) -> Result<(), &'static str> {
    let kinds = ["ssh-", "ecdsa-", "sk-ssh-", "sk-ecdsa-"];
    let words: Vec<&str> = text.split_whitespace().collect();
    let pair = |pair: &[&str]| kinds.iter().any(|kind| pair[0].starts_with(kind)) && pair[1].starts_with("AAAA");
    if words.windows(2).any(pair) && !text.trim().contains('\n') {
        return Ok(());
    }
    Err("is no public key of ssh, such as `ssh-ed25519 AAAA... name`")
}

/// What is wrong with the name of a Debian package.
pub(crate) fn package(text: &str) -> Result<(), &'static str> {
    let first = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let inner = |c: char| first(c) || matches!(c, '+' | '-' | '.');
    if text.len() >= 2 && text.starts_with(first) && text.chars().all(inner) {
        return Ok(());
    }
    Err("is no name of a Debian package")
}

/// What is wrong with the name of a systemd unit.
pub(crate) fn unit(text: &str) -> Result<(), &'static str> {
    let kinds = [
        "service",
        "socket",
        "timer",
        "path",
        "mount",
        "automount",
        "swap",
        "target",
        "slice",
        "network",
        "netdev",
        "link",
    ];
    let good = |c: char| c.is_ascii_alphanumeric() || ":-_.\\@".contains(c);
    match text.rsplit_once('.') {
        Some((name, kind)) if !name.is_empty() && kinds.contains(&kind) && text.chars().all(good) => Ok(()),
        _ => Err("is no name of a unit, such as web.service"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_as_debian_has_them() {
        assert!(hostname("m1.example.org").is_ok() && user("core").is_ok() && user("_apt").is_ok());
        for bad in ["", "-a", "a-", "a..b", "a_b", "a b", &"a".repeat(65)] {
            assert!(hostname(bad).is_err(), "{bad}");
        }
        for bad in ["", "1a", "Root", "a b", "a:b"] {
            assert!(user(bad).is_err(), "{bad}");
        }
        assert!(package("docker.io").is_ok() && package("libstdc++6").is_ok() && package("A").is_err());
        assert!(package("a,b").is_err() && package("./x.deb").is_err());
        assert!(unit("web@.service").is_ok() && unit("10-eth.network").is_ok());
        assert!(unit("web").is_err() && unit("../x.service").is_err() && unit("web.sh").is_err());
    }

    #[test]
    fn paths_stay_where_they_say() {
        assert!(absolute("/etc/a").is_ok());
        for bad in ["", "/", "etc/a", "/etc/../a", "/etc/./..", "/etc/"] {
            assert!(absolute(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn modes_are_octal() {
        assert_eq!(mode("0644"), Ok(0o644));
        assert_eq!(mode("4755"), Ok(0o4755));
        assert_eq!(mode("0o600"), Ok(0o600));
        assert!(mode("888").is_err() && mode("77777").is_err() && mode("").is_err() && mode("+644").is_err());
        assert!(owner("core:docker").is_ok() && owner("0").is_ok() && owner("a b").is_err());
    }

    #[test]
    fn keys_of_ssh() {
        assert!(ssh_key("ssh-ed25519 AAAAC3 me").is_ok());
        assert!(ssh_key("no-pty,command=\"x y\" ecdsa-sha2-nistp256 AAAAE2 me").is_ok());
        assert!(ssh_key("ssh-ed25519").is_err() && ssh_key("-----BEGIN").is_err());
        assert!(ssh_key("ssh-rsa AAAA a\nssh-rsa AAAA b").is_err());
    }
}
