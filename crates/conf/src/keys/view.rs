//! The keys that one template may see, under the names that it sees.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use flota_gotemplate::Str;
use flota_unit::{Glob, GlobError};

use super::{KeyPath, Read, Reads, Snapshot, base, clean};

/// A key that a template cannot do without.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("key does not exist: {0}")]
pub struct MissingKey(pub String);

/// A pattern that is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("syntax error in pattern")]
pub struct PatternError(#[from] GlobError);

/// Which keys a template may see: those of its resource, below its prefix.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Scope {
    prefix: KeyPath,
    /// With the prefix; empty: all below it.
    keys: Vec<KeyPath>,
}

impl Scope {
    /// The scope of a prefix and of keys below it.
    pub fn new(prefix: &KeyPath, keys: &[KeyPath]) -> Scope {
        let keys = keys.iter().map(|key| prefix.join(key.as_str())).filter(|key| key != prefix);
        let mut keys: Vec<KeyPath> = keys.collect();
        keys.sort();
        keys.dedup();
        Scope { prefix: prefix.clone(), keys }
    }

    /// What has to be read from the store.
    pub fn roots(&self) -> Vec<KeyPath> {
        if self.keys.is_empty() { vec![self.prefix.clone()] } else { self.keys.clone() }
    }

    fn admits(&self, full: &str) -> bool {
        self.prefix.covers(full) && (self.keys.is_empty() || self.keys.iter().any(|key| key.covers(full)))
    }

    /// A key's name in the store.
    fn full(&self, key: &str) -> String {
        if self.prefix.as_str() == "/" { key.to_owned() } else { format!("{}{key}", self.prefix) }
    }
}

/// One template's view of a snapshot. It remembers what was looked at.
#[derive(Debug)]
pub struct View {
    snapshot: Arc<Snapshot>,
    scope: Arc<Scope>,
    reads: Mutex<Reads>,
}

impl View {
    /// A view in which nothing was looked at yet.
    pub fn new(snapshot: Arc<Snapshot>, scope: Arc<Scope>) -> View {
        View { snapshot, scope, reads: Mutex::default() }
    }

    /// Which keys it shows.
    pub fn scope(&self) -> &Arc<Scope> {
        &self.scope
    }

    /// What was looked at so far.
    pub fn reads(&self) -> Reads {
        self.reads.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn note(&self, read: Read) {
        self.reads.lock().unwrap_or_else(PoisonError::into_inner).add(read);
    }

    /// The value of a key; the name counts as it is written.
    pub fn get(&self, key: &str) -> Option<Str> {
        // `/` below a prefix is the key that has the prefix's own name.
        let full = if key == "/" { self.scope.prefix.as_str().to_owned() } else { self.scope.full(key) };
        self.note(Read::Key(full.clone()));
        if !key.starts_with('/') || !self.scope.admits(&full) {
            return None;
        }
        self.snapshot.get(&full).cloned()
    }

    /// Notes that all keys that match a pattern are of interest, without looking.
    pub fn note_pattern(&self, pattern: &str) {
        self.note(Read::Pattern(self.full_pattern(pattern)));
    }

    /// The pairs whose keys match a pattern, by key.
    pub fn matching(&self, pattern: &str) -> Result<Vec<(Arc<str>, Str)>, PatternError> {
        let glob = Glob::new(pattern)?;
        self.note_pattern(pattern);
        let literal = pattern.find(['*', '?', '[', '\\']).map_or(pattern, |meta| &pattern[..meta]);
        if !literal.starts_with('/') && !pattern.starts_with(['*', '?', '[', '\\']) {
            return Ok(Vec::new());
        }
        let at_root = self.scope.prefix.as_str() == "/";
        let start = if literal == "/" { self.scope.prefix.as_str().to_owned() } else { self.scope.full(literal) };
        let pairs = self.snapshot.starting_with(&start).filter(|(key, _)| self.scope.admits(key));
        let pairs = pairs.filter_map(|(key, value)| {
            let seen = self.scope.prefix.strip(key)?;
            let seen_key = || if at_root { Arc::clone(key) } else { Arc::from(seen) };
            glob.matches(seen).then(|| (seen_key(), value.clone()))
        });
        Ok(pairs.collect())
    }

    /// The names directly below a path; with `directories` only those with something below them. A key alone has its own name.
    pub fn children(&self, path: &str, directories: bool) -> Vec<String> {
        let path = clean(path);
        let full = KeyPath::new(&self.scope.full(&path));
        self.note(Read::Below(full.clone()));
        if !path.starts_with('/') {
            return Vec::new();
        }
        let mut names = BTreeSet::new();
        for (key, _) in self.snapshot.at_and_below(&full).filter(|(key, _)| self.scope.admits(key)) {
            match full.strip(key).map(|rest| rest.trim_start_matches('/')) {
                Some("") if !directories => names.insert(base(&path)),
                Some(rest) if !rest.is_empty() => match rest.split_once('/') {
                    Some((first, _)) => names.insert(first.to_owned()),
                    None if !directories => names.insert(rest.to_owned()),
                    None => false,
                },
                _ => false,
            };
        }
        names.into_iter().collect()
    }

    /// Everything, by the names that the template sees.
    pub fn all(&self) -> Vec<(Arc<str>, Str)> {
        self.scope.roots().into_iter().for_each(|root| self.note(Read::Below(root)));
        let pairs = self.snapshot.at_and_below(&self.scope.prefix).filter(|(key, _)| self.scope.admits(key));
        pairs.filter_map(|(key, value)| Some((Arc::from(self.scope.prefix.strip(key)?), value.clone()))).collect()
    }

    /// The pattern over the store's own keys; what is special in the prefix is not so there.
    fn full_pattern(&self, pattern: &str) -> String {
        if self.scope.prefix.as_str() == "/" {
            return pattern.to_owned();
        }
        let mut full = String::new();
        for c in self.scope.prefix.as_str().chars() {
            if matches!(c, '*' | '?' | '[' | '\\') {
                full.push('\\');
            }
            full.push(c);
        }
        full + pattern
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(prefix: &str, keys: &[&str]) -> View {
        let snapshot = Snapshot::new(
            1,
            [
                ("/top", "t"),
                ("/p/db/host", "h"),
                ("/p/db/port", "1"),
                ("/p/up/a/x", "ax"),
                ("/p/up/b", "b"),
                ("/p/other", "o"),
                ("/pz/no", "n"),
            ],
        );
        let keys: Vec<KeyPath> = keys.iter().map(|key| KeyPath::new(key)).collect();
        View::new(Arc::new(snapshot), Arc::new(Scope::new(&KeyPath::new(prefix), &keys)))
    }

    fn names(pairs: Result<Vec<(Arc<str>, Str)>, PatternError>) -> Vec<String> {
        pairs.unwrap().into_iter().map(|(key, _)| key.to_string()).collect()
    }

    #[test]
    fn keys_are_seen_without_their_prefix_and_only_those_of_the_resource() {
        let view = view("/p", &["/db", "/up"]);
        assert_eq!(view.get("/db/host"), Some("h".into()));
        assert_eq!(view.get("/other"), None);
        assert_eq!(view.get("/no"), None);
        assert_eq!(view.get("db/host"), None);
        assert_eq!(names(view.matching("/db/*")), ["/db/host", "/db/port"]);
        assert_eq!(names(view.matching("/*/*")), ["/db/host", "/db/port", "/up/b"]);
        assert_eq!(names(view.matching("db/*")), Vec::<String>::new());
        assert!(view.matching("/[").is_err());
    }

    #[test]
    fn lists_of_names_have_directories_at_the_root_too() {
        let below = view("/p", &[]);
        assert_eq!(below.children("/", false), ["db", "other", "up"]);
        assert_eq!(below.children("/", true), ["db", "up"]);
        assert_eq!(below.children("/up/", false), ["a", "b"]);
        assert_eq!(below.children("/up", true), ["a"]);
        assert_eq!(below.children("/db/host", false), ["host"]);
        assert_eq!(below.children("/none", false), Vec::<String>::new());
        assert_eq!(view("/", &[]).children("/", false), ["p", "pz", "top"]);
    }

    #[test]
    fn what_was_looked_at_is_remembered_even_if_it_was_not_there() {
        let view = view("/p", &["/db", "/up"]);
        view.get("/db/none");
        view.matching("/up/*").unwrap();
        view.children("/db", false);
        let reads = view.reads().settled();
        for (key, counts) in [("/p/db/none", true), ("/p/up/new", true), ("/p/db/x/y", true), ("/p/other", false)] {
            assert_eq!(reads.affected_by(key), counts, "{key}");
        }
    }

    #[test]
    fn the_roots_are_what_has_to_be_read() {
        let scope = Scope::new(&KeyPath::new("/p"), &[KeyPath::new("/b"), KeyPath::new("/a"), KeyPath::new("/b")]);
        assert_eq!(scope.roots(), [KeyPath::new("/p/a"), KeyPath::new("/p/b")]);
        assert_eq!(Scope::new(&KeyPath::new("/p"), &[]).roots(), [KeyPath::new("/p")]);
        assert_eq!(Scope::new(&KeyPath::new("/p"), &[KeyPath::new("/")]).roots(), [KeyPath::new("/p")]);
    }
}
