//! Paths with Go's rules (`path.Clean`, `path.Join`, `path.Base`, `path.Dir`).

use std::fmt;

/// An absolute, clean path of keys: `/`, `/a`, `/a/b`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyPath(String);

impl KeyPath {
    /// Cleans a path; a relative one begins at the root.
    pub fn new(path: &str) -> KeyPath {
        KeyPath(clean(&format!("/{path}")))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// This path and a further one below it.
    #[must_use]
    pub fn join(&self, below: &str) -> KeyPath {
        KeyPath::new(&format!("{}/{below}", self.0))
    }

    /// Whether a key is this one or below it.
    pub fn covers(&self, key: &str) -> bool {
        self.0 == "/" || key.strip_prefix(&self.0).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// What is left of a key that this path covers.
    pub fn strip<'k>(&self, key: &'k str) -> Option<&'k str> {
        if self.0 == "/" {
            return Some(key);
        }
        match key.strip_prefix(&self.0) {
            Some("") => Some("/"),
            Some(rest) if rest.starts_with('/') => Some(rest),
            _ => None,
        }
    }

    /// The path above; none of the root.
    pub fn parent(&self) -> Option<KeyPath> {
        (self.0 != "/").then(|| KeyPath(dir(&self.0)))
    }
}

impl fmt::Display for KeyPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for KeyPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

/// Go's `path.Clean`.
pub fn clean(path: &str) -> String {
    let rooted = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            ".." if rooted => {}
            part => parts.push(part),
        }
    }
    match (rooted, parts.join("/")) {
        (true, rest) => format!("/{rest}"),
        (false, rest) if rest.is_empty() => ".".to_owned(),
        (false, rest) => rest,
    }
}

/// Go's `path.Base`: the last element.
pub fn base(path: &str) -> String {
    if path.is_empty() {
        return ".".to_owned();
    }
    match path.trim_end_matches('/').rsplit('/').next() {
        Some("") | None => "/".to_owned(),
        Some(last) => last.to_owned(),
    }
}

/// Go's `path.Dir`: all but the last element.
pub fn dir(path: &str) -> String {
    clean(&path[..path.rfind('/').map_or(0, |slash| slash + 1)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_as_go_has_them() {
        for (path, cleaned, last, above) in [
            ("", ".", ".", "."),
            ("/", "/", "/", "/"),
            ("a", "a", "a", "."),
            ("/a/b/", "/a/b", "b", "/a/b"),
            ("/a//b", "/a/b", "b", "/a"),
            ("/../a", "/a", "a", "/"),
            ("../a", "../a", "a", ".."),
            ("/a/./b/..", "/a", "..", "/a/b"),
        ] {
            assert_eq!(
                (clean(path).as_str(), base(path).as_str(), dir(path).as_str()),
                (cleaned, last, above),
                "{path}"
            );
        }
    }

    #[test]
    fn a_path_covers_itself_and_what_is_below_and_no_sibling() {
        let path = KeyPath::new("w/");
        assert!(path.covers("/w") && path.covers("/w/a") && !path.covers("/wz"));
        assert_eq!((path.strip("/w/a"), path.strip("/w"), path.strip("/wz")), (Some("/a"), Some("/"), None));
        assert_eq!(KeyPath::new("/").strip("/a"), Some("/a"));
        assert_eq!(path.join("//b/").as_str(), "/w/b");
        assert_eq!(path.parent(), Some(KeyPath::new("/")));
    }
}
