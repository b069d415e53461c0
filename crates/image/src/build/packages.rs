//! Which packages are in a tree, written down so that a later build can be held to them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use crate::error::{ImageError, Result};
use crate::host::run::{command, run};

/// How many differences an error names.
const MAX_NAMED: usize = 20;
/// How the first line of a record begins.
const HEAD: &str = "# flota image: source-date-epoch ";

/// A package in a tree.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) architecture: String,
    pub(crate) source: String,
    pub(crate) maintainer: String,
}

/// All packages of a tree, by name.
pub(crate) fn installed(tree: &Path) -> Result<Vec<Package>> {
    let database = format!("--admindir={}", tree.join("var/lib/dpkg").display());
    let format =
        "--showformat=${Package}\t${Version}\t${Architecture}\t${source:Package}\t${Maintainer}\t${db:Status-Status}\n";
    let text = run(command("dpkg-query", [database.as_str(), "--show", format]).env("LC_ALL", "C.UTF-8"))?;
    let mut packages: Vec<Package> = text.lines().filter_map(package).collect();
    packages.sort();
    Ok(packages)
}

fn package(line: &str) -> Option<Package> {
    let mut fields = line.split('\t').map(str::to_owned);
    let mut next = || fields.next();
    let package =
        Package { name: next()?, version: next()?, architecture: next()?, source: next()?, maintainer: next()? };
    (next()? == "installed").then_some(package)
}

/// What a build was made from: enough to make the same again from an archive that still has these versions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    /// The newest time that any file of the tree may have, in seconds since 1970.
    pub(crate) epoch: u64,
    versions: BTreeMap<String, String>,
}

impl Record {
    pub(crate) fn new(epoch: u64, packages: &[Package]) -> Self {
        let versions = packages.iter().map(|p| (format!("{}:{}", p.name, p.architecture), p.version.clone()));
        Self { epoch, versions: versions.collect() }
    }

    /// The text of a record: a line per package.
    pub(crate) fn text(&self) -> String {
        let mut text = format!("{HEAD}{}\n", self.epoch);
        for (name, version) in &self.versions {
            let _ = writeln!(text, "{name} {version}");
        }
        text
    }

    /// Reads a record.
    pub(crate) fn parse(path: &Path, text: &str) -> Result<Self> {
        let wrong =
            |line: usize, message: &str| ImageError::Lock { path: path.to_owned(), line, message: message.to_owned() };
        let mut lines = text.lines().enumerate();
        let head = lines.next().and_then(|(_, head)| head.strip_prefix(HEAD)?.parse().ok());
        let epoch = head.ok_or_else(|| wrong(1, "is not the record that an image was built with"))?;
        let mut versions = BTreeMap::new();
        for (at, line) in lines {
            let words: Vec<&str> = line.split(' ').collect();
            let [name, version] = words[..] else { return Err(wrong(at + 1, "must be a package and its version")) };
            versions.insert(name.to_owned(), version.to_owned());
        }
        Ok(Self { epoch, versions })
    }

    /// Refuses a tree that has other packages than this record, which is in the file `path`.
    pub(crate) fn hold(&self, path: &Path, now: &Self) -> Result<()> {
        let names: std::collections::BTreeSet<_> = self.versions.keys().chain(now.versions.keys()).collect();
        let mut differences = String::new();
        let mut more = 0;
        for name in names {
            let (before, after) = (self.versions.get(name), now.versions.get(name));
            if before == after {
                continue;
            }
            if differences.lines().count() > MAX_NAMED {
                more += 1;
                continue;
            }
            let shown = |version: Option<&String>| version.map_or_else(|| "none".to_owned(), String::clone);
            let _ = write!(differences, "\n  {name}: {} there, {} now", shown(before), shown(after));
        }
        if more > 0 {
            let _ = write!(differences, "\n  and {more} more");
        }
        if differences.is_empty() {
            return Ok(());
        }
        Err(ImageError::Differs { path: path.to_owned(), differences })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packages(versions: &[(&str, &str)]) -> Vec<Package> {
        let one = |(name, version): &(&str, &str)| Package {
            name: (*name).to_owned(),
            version: (*version).to_owned(),
            architecture: "amd64".to_owned(),
            source: (*name).to_owned(),
            maintainer: "D <d@example>".to_owned(),
        };
        versions.iter().map(one).collect()
    }

    #[test]
    fn a_record_is_read_as_it_was_written() {
        let record = Record::new(1_763_856_000, &packages(&[("a", "1:2.0-1"), ("b", "3~rc")]));
        let text = record.text();
        assert_eq!(text, "# flota image: source-date-epoch 1763856000\na:amd64 1:2.0-1\nb:amd64 3~rc\n");
        assert_eq!(Record::parse(Path::new("l"), &text).unwrap(), record);
        let error = |text: &str| Record::parse(Path::new("l"), text).unwrap_err().to_string();
        assert_eq!(error("a 1\n"), "l:1: is not the record that an image was built with");
        assert_eq!(error("# flota image: source-date-epoch 1\na\n"), "l:2: must be a package and its version");
    }

    #[test]
    fn a_build_is_held_to_its_record() {
        let record = Record::new(1, &packages(&[("a", "1"), ("b", "1")]));
        record.hold(Path::new("l"), &record).unwrap();
        let now = Record::new(1, &packages(&[("a", "2"), ("c", "1")]));
        let error = record.hold(Path::new("l"), &now).unwrap_err().to_string();
        assert_eq!(
            error,
            "the archive has not the packages of l:\n  a:amd64: 1 there, 2 now\n  b:amd64: 1 there, none now\n  c:amd64: none there, 1 now"
        );
    }

    #[test]
    fn packages_that_are_not_installed_are_not_there() {
        assert!(package("a\t1\tamd64\ta\tD\tinstalled").is_some());
        assert!(package("a\t1\tamd64\ta\tD\tconfig-files").is_none());
    }
}
