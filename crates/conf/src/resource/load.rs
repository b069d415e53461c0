//! All resources of a directory; one that is wrong keeps no other from its work.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::read::{Resource, from_text};
use crate::document::FileError;

/// How deep directories below `conf.d` are searched.
const MAX_DEPTH: usize = 32;
/// Most resources of one directory.
const MAX_RESOURCES: usize = 100_000;

/// What a directory holds.
#[derive(Debug, Default)]
pub struct Loaded {
    /// What can be worked with.
    pub resources: Vec<Resource>,
    /// What cannot, and why.
    pub errors: Vec<FileError>,
}

/// Reads all `*toml` files below `confdir/conf.d`, in lexical order.
pub fn load(confdir: &Path, prefix: Option<&str>) -> Result<Loaded, io::Error> {
    let mut loaded = Loaded::default();
    for path in find(confdir)? {
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) => {
                loaded.errors.push(FileError { path, line: 0, column: 0, message: error.to_string() });
                continue;
            }
        };
        match from_text(&path, &text, prefix) {
            Ok(resource) => loaded.resources.push(resource),
            Err(error) => loaded.errors.push(error),
        }
    }
    Ok(loaded)
}

/// The resource files below `confdir/conf.d`.
pub fn find(confdir: &Path) -> Result<Vec<PathBuf>, io::Error> {
    let mut found = Vec::new();
    walk(&confdir.join("conf.d"), 0, &mut found)?;
    Ok(found)
}

fn walk(directory: &Path, depth: usize, found: &mut Vec<PathBuf>) -> Result<(), io::Error> {
    let mut entries = fs::read_dir(directory)?.collect::<Result<Vec<_>, _>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let kind = entry.file_type()?;
        let path = entry.path();
        // A link to a directory is not followed, as in confd; one to a file is.
        if kind.is_dir() {
            if depth < MAX_DEPTH {
                walk(&path, depth + 1, found)?;
            }
        } else if entry.file_name().to_string_lossy().ends_with("toml") {
            if found.len() == MAX_RESOURCES {
                return Err(io::Error::other(format!("more than {MAX_RESOURCES} resources")));
            }
            found.push(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resources_are_found_in_order_and_a_wrong_one_stops_no_other() {
        let confdir = tempfile::tempdir().unwrap();
        let conf_d = confdir.path().join("conf.d");
        fs::create_dir_all(conf_d.join("deep/er")).unwrap();
        let good = "[template]\nsrc = \"a\"\ndest = \"/a\"\n";
        fs::write(conf_d.join("b.toml"), good).unwrap();
        fs::write(conf_d.join("a.toml"), "[template").unwrap();
        fs::write(conf_d.join("deep/er/c.toml"), good).unwrap();
        fs::write(conf_d.join("notes.txt"), "no resource").unwrap();
        let loaded = load(confdir.path(), None).unwrap();
        let names: Vec<_> = loaded.resources.iter().map(|resource| resource.file.clone()).collect();
        assert_eq!(names, [conf_d.join("b.toml"), conf_d.join("deep/er/c.toml")]);
        assert_eq!(loaded.errors.len(), 1);
        assert!(loaded.errors[0].to_string().contains("a.toml:1:"), "{}", loaded.errors[0]);
    }

    #[test]
    fn without_conf_d_there_is_nothing_to_load() {
        let confdir = tempfile::tempdir().unwrap();
        assert_eq!(load(confdir.path(), None).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
