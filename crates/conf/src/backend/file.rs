//! Files as keys: YAML and JSON, alone or in directories.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use flota_unit::Glob;

use super::yaml::{self, YamlError};
use crate::keys::Snapshot;

/// Most files that are read.
const MAX_FILES: usize = 10_000;
/// Largest of them, in bytes.
const MAX_BYTES: u64 = 256 << 20;
/// How deep directories are searched.
const MAX_DEPTH: usize = 32;

/// Why files cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    /// The system refuses.
    #[error("{}", path.display())]
    Io {
        /// Which file or directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It is neither YAML nor JSON.
    #[error("{}", path.display())]
    Yaml {
        /// Which file.
        path: PathBuf,
        /// Where and why.
        #[source]
        source: YamlError,
    },
    /// Too much.
    #[error("{}: more than {limit} {what}", path.display())]
    TooMuch {
        /// Where it became too much.
        path: PathBuf,
        /// The limit.
        limit: u64,
        /// Of what.
        what: &'static str,
    },
    /// The filter is no pattern.
    #[error("filter: {0}")]
    Filter(#[from] flota_unit::GlobError),
}

/// Reads all files; in later ones keys count more.
pub fn read(paths: &[PathBuf], filter: &str) -> Result<Snapshot, FilesError> {
    let mut keys = BTreeMap::new();
    for path in find(paths, filter)? {
        let text = fs::read_to_string(&path).map_err(|source| FilesError::Io { path: path.clone(), source })?;
        keys.extend(yaml::flatten(&text).map_err(|source| FilesError::Yaml { path, source })?);
    }
    Ok(Snapshot::new(1, keys))
}

/// The files that are read: those that are named, and those of directories whose names match.
pub fn find(paths: &[PathBuf], filter: &str) -> Result<Vec<PathBuf>, FilesError> {
    let filter = Glob::new(filter)?;
    let mut found = Vec::new();
    for path in paths {
        let meta = fs::metadata(path).map_err(|source| FilesError::Io { path: path.clone(), source })?;
        if meta.is_dir() {
            walk(path, &filter, 0, &mut found)?;
        } else {
            take(path.clone(), meta.len(), &mut found)?;
        }
    }
    Ok(found)
}

fn walk(directory: &Path, filter: &Glob, depth: usize, found: &mut Vec<PathBuf>) -> Result<(), FilesError> {
    let failed = |source| FilesError::Io { path: directory.to_owned(), source };
    let entries = fs::read_dir(directory).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    let mut paths: Vec<PathBuf> = entries.map_err(failed)?.into_iter().map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        let Ok(meta) = fs::metadata(&path) else { continue };
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        if meta.is_dir() && depth < MAX_DEPTH {
            walk(&path, filter, depth + 1, found)?;
        } else if meta.is_file() && filter.matches(&name) {
            take(path, meta.len(), found)?;
        }
    }
    Ok(())
}

fn take(path: PathBuf, bytes: u64, found: &mut Vec<PathBuf>) -> Result<(), FilesError> {
    if bytes > MAX_BYTES {
        return Err(FilesError::TooMuch { path, limit: MAX_BYTES, what: "bytes" });
    }
    if found.len() == MAX_FILES {
        return Err(FilesError::TooMuch { path, limit: MAX_FILES as u64, what: "files" });
    }
    found.push(path);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_and_directories_are_read_with_the_filter() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("sub")).unwrap();
        fs::write(dir.path().join("a.yaml"), "a: 1\nboth: a\n").unwrap();
        fs::write(dir.path().join("sub/b.json"), "{\"b\": 2, \"both\": \"b\"}").unwrap();
        fs::write(dir.path().join("broken.txt"), "a: [").unwrap();
        let all = read(&[dir.path().join("a.yaml"), dir.path().join("sub")], "*").unwrap();
        assert_eq!((all.get("/a"), all.get("/both")), (Some(&"1".into()), Some(&"b".into())));
        let some = read(&[dir.path().to_owned()], "*.yaml").unwrap();
        assert_eq!(some.len(), 2);
        let error = read(&[dir.path().to_owned()], "*").unwrap_err();
        assert!(error.to_string().ends_with("broken.txt"), "{error}");
    }
}
