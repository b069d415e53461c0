//! PURE. The paths of v2, and where they lie among the keys of v3.

use super::error::{Code, V2Error};

/// Longest path taken, in bytes.
pub const MAX_KEY_BYTES: usize = 4096;
/// Most components of a path taken: a change compares all its ancestors in one transaction, and etcd takes 128 operations.
pub const MAX_DEPTH: usize = 48;

/// An interval of keys, the end not included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// First key.
    pub start: Vec<u8>,
    /// First key after it.
    pub end: Vec<u8>,
}

impl Span {
    /// From `start` to before `end`.
    pub fn new(start: impl Into<Vec<u8>>, end: impl Into<Vec<u8>>) -> Span {
        Span { start: start.into(), end: end.into() }
    }
}

/// A cleaned path: `/`, or `/a/b` without `.`, `..`, doubled or trailing slashes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct KeyPath(String);

impl KeyPath {
    /// Cleans what a client sent (decoded already) as Go's `path.Clean` does.
    pub fn new(text: &str) -> Result<KeyPath, V2Error> {
        let path = KeyPath(clean(text));
        if path.0.len() > MAX_KEY_BYTES {
            return Err(V2Error::new(Code::InvalidForm, format!("key is longer than {MAX_KEY_BYTES} bytes")));
        }
        if path.0.split('/').count() - 1 > MAX_DEPTH {
            return Err(V2Error::new(Code::InvalidForm, format!("key has more than {MAX_DEPTH} components")));
        }
        Ok(path)
    }

    /// The path that a v3 key stands for and whether it marks a directory; None for a key that v2 cannot name.
    pub fn of_key(key: &[u8]) -> Option<(KeyPath, bool)> {
        let text = std::str::from_utf8(key).ok()?;
        let (path, marker) = match text.strip_suffix('/') {
            Some(directory) => (directory, true),
            None => (text, false),
        };
        let path = KeyPath::new(path).ok().filter(|cleaned| cleaned.0 == path && !cleaned.is_root())?;
        Some((path, marker))
    }

    /// As text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is `/`.
    pub fn is_root(&self) -> bool {
        self.0 == "/"
    }

    /// The directory it is in; None for the root.
    pub fn parent(&self) -> Option<KeyPath> {
        let (parent, _) = self.0.rsplit_once('/')?;
        match (self.is_root(), parent) {
            (true, _) => None,
            (false, "") => Some(KeyPath("/".to_owned())),
            (false, parent) => Some(KeyPath(parent.to_owned())),
        }
    }

    /// The directories above it from the top on, without the root and without itself.
    pub fn ancestors(&self) -> impl Iterator<Item = KeyPath> + '_ {
        self.0.match_indices('/').skip(1).map(|(at, _)| KeyPath(self.0[..at].to_owned()))
    }

    /// The path of an entry of this directory.
    pub fn child(&self, name: &str) -> KeyPath {
        KeyPath(if self.is_root() { format!("/{name}") } else { format!("{}/{name}", self.0) })
    }

    /// The v3 key of a file.
    pub fn key(&self) -> Vec<u8> {
        self.0.clone().into_bytes()
    }

    /// The v3 key that marks a directory: it is there while the directory is empty or has a time to live.
    pub fn marker(&self) -> Vec<u8> {
        self.inside().start
    }

    /// All v3 keys below a directory, its marker included.
    pub fn inside(&self) -> Span {
        let base = if self.is_root() { "" } else { self.as_str() };
        Span::new(format!("{base}/"), format!("{base}0")) // `0` comes after `/`.
    }

    /// Whether `other` is below this directory.
    pub fn contains(&self, other: &KeyPath) -> bool {
        self != other && other.0.as_bytes().starts_with(&self.marker())
    }

    /// Whether a watch of this directory passes `other` over: a name that starts with `_` lies between.
    pub fn hides(&self, other: &KeyPath) -> bool {
        let below = if self.is_root() { Some(other.as_str()) } else { other.0.strip_prefix(&self.0) };
        self.contains(other) && below.is_some_and(|below| below.contains("/_"))
    }
}

/// Go's `path.Clean("/" + text)`.
pub fn clean(text: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in text.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> KeyPath {
        KeyPath::new(text).unwrap()
    }

    #[test]
    fn paths_are_cleaned_as_by_go() {
        for (given, cleaned) in
            [("", "/"), ("/", "/"), ("//a///b/", "/a/b"), ("/a/./b/../c", "/a/c"), ("/../../x", "/x"), ("a", "/a")]
        {
            assert_eq!(clean(given), cleaned, "{given}");
        }
    }

    #[test]
    fn too_long_and_too_deep_paths_are_refused() {
        assert!(KeyPath::new(&"x".repeat(MAX_KEY_BYTES)).is_err());
        assert!(KeyPath::new(&"/x".repeat(MAX_DEPTH)).is_ok());
        assert!(KeyPath::new(&"/x".repeat(MAX_DEPTH + 1)).is_err());
    }

    #[test]
    fn ancestors_parents_and_spans() {
        let ancestors: Vec<KeyPath> = path("/a/b/c").ancestors().collect();
        assert_eq!(ancestors, [path("/a"), path("/a/b")]);
        assert_eq!(path("/a").ancestors().count(), 0);
        assert_eq!(path("/").ancestors().count(), 0);
        assert_eq!(path("/a/b").parent(), Some(path("/a")));
        assert_eq!(path("/a").parent(), Some(path("/")));
        assert_eq!(path("/").parent(), None);
        assert_eq!(path("/a").inside(), Span::new("/a/", "/a0"));
        assert_eq!(path("/").inside(), Span::new("/", "0"));
    }

    #[test]
    fn hidden_is_what_has_an_underscore_below_the_watched_directory() {
        assert!(path("/").hides(&path("/_a")));
        assert!(path("/a").hides(&path("/a/b/_c/d")));
        assert!(!path("/_a").hides(&path("/_a/b")));
        assert!(!path("/_a").hides(&path("/_a")));
        assert!(!path("/a").hides(&path("/ab/_c")));
    }

    #[test]
    fn v3_keys_that_v2_can_name() {
        assert_eq!(KeyPath::of_key(b"/a/b"), Some((path("/a/b"), false)));
        assert_eq!(KeyPath::of_key(b"/a/"), Some((path("/a"), true)));
        for key in [&b"a"[..], b"/a//b", b"/a/../b", b"/\xff", b"/", b"//"] {
            assert_eq!(KeyPath::of_key(key), None, "{key:?}");
        }
    }
}
