//! The house rules as a check: what compilers and clippy can't say about this project.

mod compat;
mod docs;
mod sources;
mod walls;

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::shell;

/// A broken rule, at a place.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Breach {
    /// Relative to the root.
    file: PathBuf,
    /// Counted from 1; 0 stands for the whole file.
    line: usize,
    message: String,
}

impl Breach {
    fn new(file: impl Into<PathBuf>, line: usize, message: impl Into<String>) -> Self {
        Self { file: file.into(), line, message: message.into() }
    }
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, message } = self;
        match line {
            0 => write!(f, "{}: {message}", file.display()),
            _ => write!(f, "{}:{line}: {message}", file.display()),
        }
    }
}

/// A text file of the tree.
#[derive(Debug)]
struct Source {
    /// Relative to the root.
    path: PathBuf,
    text: String,
}

/// Checks the whole tree; an error when any rule is broken, each breach told with its place.
pub fn run() -> Result<()> {
    let root = shell::root();
    let sources = rust_sources(&root)?;
    let mut breaches = walls::check(&root)?;
    breaches.extend(sources.iter().flat_map(sources::check));
    breaches.extend(docs::check(&root)?);
    breaches.extend(compat::check(&root, &sources)?);
    let breaches: BTreeSet<Breach> = breaches.into_iter().collect();
    for breach in &breaches {
        println!("{breach}");
    }
    if !breaches.is_empty() {
        bail!("{} house rules broken", breaches.len());
    }
    println!("    {} Rust files, walls and documents are tidy", sources.len());
    Ok(())
}

/// Every Rust file of ours.
fn rust_sources(root: &Path) -> Result<Vec<Source>> {
    let mut sources = Vec::new();
    for dir in ["crates", "tests", "xtask"] {
        for path in files_below(&root.join(dir))? {
            if path.extension().is_some_and(|extension| extension == "rs") {
                let text = std::fs::read_to_string(&path).with_context(|| format!("can't read {}", path.display()))?;
                sources.push(Source { path: path.strip_prefix(root)?.to_owned(), text });
            }
        }
    }
    Ok(sources)
}

/// All files below a directory, in the order of their names; none when it does not exist.
fn files_below(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in children(dir)? {
        if path.is_dir() {
            files.extend(files_below(&path)?);
        } else {
            files.push(path);
        }
    }
    Ok(files)
}

/// What a directory has in it but hidden files, sorted.
fn children(dir: &Path) -> Result<Vec<PathBuf>> {
    if !dir.is_dir() {
        return Ok(Vec::new());
    }
    let unreadable = || format!("can't read {}", dir.display());
    let entries = std::fs::read_dir(dir).with_context(unreadable)?;
    let mut paths = Vec::new();
    for entry in entries {
        let entry = entry.with_context(unreadable)?;
        if !entry.file_name().to_string_lossy().starts_with('.') {
            paths.push(entry.path());
        }
    }
    paths.sort();
    Ok(paths)
}

/// The names of a directory's own directories.
fn folders(dir: &Path) -> Result<Vec<String>> {
    let dirs = children(dir)?.into_iter().filter(|path| path.is_dir());
    Ok(dirs.filter_map(|path| Some(path.file_name()?.to_string_lossy().into_owned())).collect())
}
