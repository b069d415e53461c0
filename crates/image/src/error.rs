//! Why an image could not be made.

use std::fmt::Write as _;
use std::io;
use std::path::PathBuf;

use crate::document::Finding;
use crate::host::HostError;

/// The result of work on an image.
pub type Result<T> = std::result::Result<T, ImageError>;

/// Why an image could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// Trees belong to root and other users.
    #[error("building an image needs root: run it again with sudo")]
    NotRoot,
    /// The spec can't be read as one.
    #[error("{}", lines(path, findings))]
    Spec {
        /// The spec.
        path: PathBuf,
        /// All that is wrong.
        findings: Vec<Finding>,
    },
    /// A file that has to hold something else.
    #[error("{}:{line}: {message}", path.display())]
    Lock {
        /// The record of packages.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What is wrong.
        message: String,
    },
    /// The archive has other versions than the record that the build is held to.
    #[error("the archive has not the packages of {}:{differences}", path.display())]
    Differs {
        /// The record.
        path: PathBuf,
        /// One line each.
        differences: String,
    },
    /// What is to be made is there, and would have to be removed.
    #[error("{} is there already; remove it or choose another place", .0.display())]
    Exists(PathBuf),
    /// What the spec leaves out is needed for this.
    #[error("{what} needs {needs}, which the spec leaves out")]
    Without {
        /// What is asked for.
        what: &'static str,
        /// What is missing.
        needs: &'static str,
    },
    /// A value that can't be used.
    #[error("{what} `{value}`: {why}")]
    Value {
        /// What it is.
        what: &'static str,
        /// As it was given.
        value: String,
        /// What it must be.
        why: &'static str,
    },
    /// The tree does not fit.
    #[error("the disk of {size_mib} MiB is too small: the tree has {tree_mib} MiB; raise `size` in the spec")]
    TooSmall {
        /// The disk.
        size_mib: u64,
        /// What is in the tree.
        tree_mib: u64,
    },
    /// A program or file of the host.
    #[error(transparent)]
    Host(#[from] HostError),
}

impl ImageError {
    /// For `map_err`: an IO error with its verb and object.
    pub(crate) fn io<E: Into<io::Error>>(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(E) -> Self {
        let make = HostError::io(action, path);
        move |source: E| Self::Host(make(source))
    }
}

fn lines(path: &std::path::Path, findings: &[Finding]) -> String {
    let mut text = String::new();
    for finding in findings {
        let _ = writeln!(text, "{}:{finding}", path.display());
    }
    text.truncate(text.trim_end().len());
    text
}
