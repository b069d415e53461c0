//! An error's causes in words, for whoever tells of errors.

use std::error::Error;
use std::iter::successors;

/// An error with all its sources: `a: b: c`.
pub fn chain(error: &dyn Error) -> String {
    let sources = successors(error.source(), |&error| error.source());
    sources.fold(error.to_string(), |text, source| format!("{text}: {source}"))
}

/// The innermost source of an error, or the error itself: what happened, without what it led to.
pub fn root(error: &dyn Error) -> String {
    successors(error.source(), |&error| error.source()).last().map_or_else(|| error.to_string(), ToString::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("outer")]
    struct Outer(#[source] std::num::ParseIntError);

    #[test]
    fn all_sources_are_told_or_the_innermost_alone() {
        let inner = "x".parse::<u8>().unwrap_err();
        assert_eq!(chain(&inner), inner.to_string());
        assert_eq!(root(&inner), inner.to_string());
        let error = Outer(inner.clone());
        assert_eq!(chain(&error), format!("outer: {inner}"));
        assert_eq!(root(&error), inner.to_string());
    }
}
