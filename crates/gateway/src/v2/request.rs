//! PURE. A request for a key, read from its method, path and parameters.

use super::error::{Code, V2Error};
use super::form::Form;
use super::path::KeyPath;

/// What may be asked of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Read or wait.
    Get,
    /// Read, without the answer's body.
    Head,
    /// Write.
    Put,
    /// Append to a directory.
    Post,
    /// Remove.
    Delete,
}

/// What the key must be now.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Condition {
    /// Its value.
    pub value: Option<Vec<u8>>,
    /// Its modified index.
    pub index: Option<u64>,
}

impl Condition {
    /// Whether there is one.
    pub fn is_some(&self) -> bool {
        self.value.is_some() || self.index.is_some()
    }
}

/// A read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Read {
    /// Of what.
    pub path: KeyPath,
    /// Directories whole instead of one level.
    pub recursive: bool,
}

/// A wait for events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wait {
    /// At what.
    pub path: KeyPath,
    /// Also what happens below it.
    pub recursive: bool,
    /// All events instead of one.
    pub stream: bool,
    /// From this index on; None: from now on.
    pub since: Option<i64>,
}

/// How a write treats what is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verb {
    /// Replaces a file or makes one.
    Set,
    /// Changes what is there.
    Update,
    /// Makes what is not there.
    Create,
    /// Makes an entry of a directory, named by its index.
    Append,
    /// Replaces a file that is as expected.
    Swap(Condition),
}

/// A write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Of what.
    pub path: KeyPath,
    /// How.
    pub verb: Verb,
    /// A directory instead of a file.
    pub dir: bool,
    /// The new value.
    pub value: Vec<u8>,
    /// Asked to keep the value and wake nobody.
    pub refresh: bool,
    /// Time to live, in seconds.
    pub ttl: Option<u64>,
    /// Leaves the nodes out of the answer.
    pub brief: bool,
}

impl Change {
    /// Whether the value is kept and nobody woken: what is made anew has none to keep.
    pub fn refreshes(&self) -> bool {
        self.refresh && !matches!(self.verb, Verb::Create | Verb::Append)
    }
}

/// A removal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Removal {
    /// Of what.
    pub path: KeyPath,
    /// Only a file that is as expected.
    pub condition: Condition,
    /// A directory, if it is empty.
    pub dir: bool,
    /// A directory with everything in it.
    pub recursive: bool,
}

/// Any request for a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyRequest {
    /// See [`Read`].
    Read(Read),
    /// See [`Wait`].
    Wait(Wait),
    /// See [`Change`].
    Change(Change),
    /// See [`Removal`].
    Remove(Removal),
}

impl KeyRequest {
    /// Reads a request; checks in etcd's order, so that the first of several faults is the same.
    pub fn parse(method: Method, path: &str, form: &Form) -> Result<KeyRequest, V2Error> {
        let number = |name: &str| {
            form.number(name).ok_or_else(|| V2Error::new(Code::IndexNotNumber, format!("invalid value for \"{name}\"")))
        };
        let flag = |name: &str| Ok::<bool, V2Error>(form.flag(name)?.unwrap_or(false));
        let index = Some(number("prevIndex")?).filter(|index| *index > 0);
        let wait_index = number("waitIndex")?;
        let (recursive, _sorted, wait) = (flag("recursive")?, flag("sorted")?, flag("wait")?);
        let (dir, _quorum, stream) = (flag("dir")?, flag("quorum")?, flag("stream")?);
        if wait && method != Method::Get {
            return Err(V2Error::new(Code::InvalidField, "\"wait\" can only be used with GET requests"));
        }
        let value = form.get("prevValue").map(<[u8]>::to_vec);
        if value.as_ref().is_some_and(Vec::is_empty) {
            return Err(V2Error::new(Code::PrevValueRequired, "\"prevValue\" cannot be empty"));
        }
        let brief = flag("noValueOnSuccess")?;
        let ttl = parse_ttl(form)?;
        let bare = |name: &str| {
            form.flag(name).map_err(|_| V2Error::new(Code::InvalidField, format!("invalid value for {name}")))
        };
        let prev_exist = bare("prevExist")?;
        let refresh = bare("refresh")?.unwrap_or(false);
        let new_value = form.get("value").unwrap_or_default().to_vec();
        if refresh && !new_value.is_empty() {
            return Err(V2Error::new(Code::RefreshValue, "A value was provided on a refresh"));
        }
        if refresh && ttl.is_none() {
            return Err(V2Error::new(Code::RefreshTtlRequired, "No TTL value set"));
        }
        let path = KeyPath::new(path)?;
        let condition = Condition { value, index };
        let verb = match (method, prev_exist) {
            (Method::Get, _) if wait => {
                let since = i64::try_from(wait_index).ok().filter(|index| *index > 0);
                let since = if wait_index > 0 { since.or(Some(i64::MAX)) } else { None };
                return Ok(KeyRequest::Wait(Wait { path, recursive, stream, since }));
            }
            (Method::Get | Method::Head, _) => return Ok(KeyRequest::Read(Read { path, recursive })),
            (Method::Delete, _) => return Ok(KeyRequest::Remove(Removal { path, condition, dir, recursive })),
            (Method::Post, _) => Verb::Append,
            (Method::Put, Some(false)) => Verb::Create,
            (Method::Put, _) if condition.is_some() => Verb::Swap(condition),
            (Method::Put, Some(true)) => Verb::Update,
            (Method::Put, None) => Verb::Set,
        };
        Ok(KeyRequest::Change(Change { path, verb, dir, value: new_value, refresh, ttl, brief }))
    }
}

/// An empty time to live is none.
fn parse_ttl(form: &Form) -> Result<Option<u64>, V2Error> {
    if form.get("ttl").is_none_or(<[u8]>::is_empty) {
        return Ok(None);
    }
    let ttl = form.number("ttl");
    ttl.map(Some).ok_or_else(|| V2Error::new(Code::TtlNotNumber, "invalid value for \"ttl\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(method: Method, query: &str) -> Result<KeyRequest, V2Error> {
        KeyRequest::parse(method, "/k", &Form::parse(query, b"").unwrap())
    }

    fn verb(query: &str) -> Verb {
        match parse(Method::Put, query).unwrap() {
            KeyRequest::Change(change) => change.verb,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_put_is_one_of_four_verbs() {
        assert_eq!(verb("value=1"), Verb::Set);
        assert_eq!(verb("prevExist=true"), Verb::Update);
        assert_eq!(verb("prevExist=false&prevIndex=3"), Verb::Create);
        let swap = Condition { value: Some(b"x".to_vec()), index: Some(3) };
        assert_eq!(verb("prevExist=true&prevValue=x&prevIndex=3"), Verb::Swap(swap));
        assert_eq!(verb("prevIndex=0"), Verb::Set);
    }

    #[test]
    fn faults_have_etcds_codes_and_words() {
        for (method, query, code, cause) in [
            (Method::Put, "ttl=abc", Code::TtlNotNumber, "invalid value for \"ttl\""),
            (Method::Get, "wait=true&waitIndex=abc", Code::IndexNotNumber, "invalid value for \"waitIndex\""),
            (Method::Put, "prevIndex=-1", Code::IndexNotNumber, "invalid value for \"prevIndex\""),
            (Method::Put, "prevValue=", Code::PrevValueRequired, "\"prevValue\" cannot be empty"),
            (Method::Put, "wait=true", Code::InvalidField, "\"wait\" can only be used with GET requests"),
            (Method::Put, "prevExist=maybe", Code::InvalidField, "invalid value for prevExist"),
            (Method::Get, "recursive=", Code::InvalidField, "invalid value for \"recursive\""),
            (Method::Put, "refresh=true&ttl=1&value=x", Code::RefreshValue, "A value was provided on a refresh"),
            (Method::Put, "refresh=true", Code::RefreshTtlRequired, "No TTL value set"),
        ] {
            assert_eq!(parse(method, query), Err(V2Error::new(code, cause)), "{query}");
        }
    }

    #[test]
    fn a_wait_has_an_index_or_begins_now() {
        let since = |query: &str| match parse(Method::Get, query).unwrap() {
            KeyRequest::Wait(wait) => wait.since,
            other => panic!("{other:?}"),
        };
        assert_eq!(since("wait=true"), None);
        assert_eq!(since("wait=true&waitIndex=0"), None);
        assert_eq!(since("wait=true&waitIndex=7"), Some(7));
        assert_eq!(since("wait=true&waitIndex=18446744073709551615"), Some(i64::MAX));
        assert!(matches!(parse(Method::Get, "ttl=").unwrap(), KeyRequest::Read(_)));
    }
}
