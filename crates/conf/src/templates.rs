//! Parsed templates: read again when their files change, and forgotten when others were used since.

use std::collections::BTreeMap;
use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use flota_gotemplate::{ParseError, RunError, Template};

use crate::functions::unbound;

/// Most templates that are kept parsed; the one that was not used for the longest time goes first. Parsing one takes some ten
/// microseconds, keeping it ten times the bytes of its text.
const MAX_PARSED: usize = 128;
/// Largest template that is read, in bytes.
const MAX_TEMPLATE_BYTES: u64 = 16 << 20;

/// Why there is no new text for a file.
#[derive(Debug, thiserror::Error)]
pub enum TemplateError {
    /// The template cannot be read.
    #[error("cannot read template {}", path.display())]
    Read {
        /// Its file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// It is none.
    #[error(transparent)]
    Parse(#[from] ParseError),
    /// It failed.
    #[error(transparent)]
    Run(#[from] RunError),
}

/// A template, and how it wants its keys. A clone is a counter.
#[derive(Debug, Clone)]
pub(crate) struct Parsed {
    pub template: Template,
    /// Whether the keys are its dot, as in 2014.
    pub by_dot: bool,
    stamp: Stamp,
}

/// What tells one version of a file from another.
type Stamp = (u64, i64, i64, u64);

/// The templates of a directory, whichever group uses them.
#[derive(Debug)]
pub(crate) struct Templates {
    directory: PathBuf,
    kept: Mutex<Kept>,
}

/// Each with the moment of its last use.
#[derive(Debug, Default)]
struct Kept {
    parsed: BTreeMap<PathBuf, (u64, Parsed)>,
    uses: u64,
}

impl Templates {
    /// Of a directory; nothing is read yet.
    pub fn new(directory: PathBuf) -> Templates {
        Templates { directory, kept: Mutex::default() }
    }

    /// Parses a template, or takes it as it was parsed before.
    pub fn parse(&self, src: &Path) -> Result<Parsed, TemplateError> {
        let path = self.directory.join(src);
        let failed = |source| TemplateError::Read { path: path.clone(), source };
        let meta = fs::metadata(&path).map_err(failed)?;
        if meta.len() > MAX_TEMPLATE_BYTES {
            return Err(failed(io::Error::other(format!("more than {MAX_TEMPLATE_BYTES} bytes"))));
        }
        let stamp = stamp(&meta);
        if let Some(parsed) = self.kept().find(src).filter(|parsed| parsed.stamp == stamp) {
            return Ok(parsed);
        }
        let text = fs::read(&path).map_err(failed)?;
        let name = src.file_name().unwrap_or_default().to_string_lossy();
        let template = Template::parse(&name, text, &unbound())?;
        let by_dot = !template.fields().is_empty();
        let parsed = Parsed { template, by_dot, stamp };
        self.kept().keep(src, parsed.clone());
        Ok(parsed)
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn find(&mut self, src: &Path) -> Option<Parsed> {
        let (used, parsed) = self.parsed.get_mut(src)?;
        self.uses += 1;
        *used = self.uses;
        Some(parsed.clone())
    }

    fn keep(&mut self, src: &Path, parsed: Parsed) {
        if self.parsed.len() >= MAX_PARSED && !self.parsed.contains_key(src) {
            let oldest = self.parsed.iter().min_by_key(|(_, (used, _))| *used).map(|(src, _)| src.clone());
            oldest.map(|src| self.parsed.remove(&src));
        }
        self.uses += 1;
        self.parsed.insert(src.to_owned(), (self.uses, parsed));
    }
}

fn stamp(meta: &Metadata) -> Stamp {
    (meta.ino(), meta.mtime(), meta.mtime_nsec(), meta.len())
}

#[cfg(test)]
mod tests {
    use flota_gotemplate::{Options, Value};

    use super::*;

    fn rendered(templates: &Templates, src: &str) -> String {
        let parsed = templates.parse(Path::new(src)).unwrap();
        String::from_utf8(parsed.template.render(&Value::Nil, &unbound(), &Options::default()).unwrap()).unwrap()
    }

    #[test]
    fn a_template_that_is_edited_is_read_again() {
        let dir = tempfile::tempdir().unwrap();
        let templates = Templates::new(dir.path().to_owned());
        fs::write(dir.path().join("a"), "one").unwrap();
        assert_eq!(rendered(&templates, "a"), "one");
        fs::write(dir.path().join("a"), "another").unwrap();
        assert_eq!(rendered(&templates, "a"), "another");
        assert_eq!(templates.kept().parsed.len(), 1);
    }

    #[test]
    fn the_templates_that_were_used_last_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        let templates = Templates::new(dir.path().to_owned());
        for number in 0..MAX_PARSED + 10 {
            let name = format!("t{number}");
            fs::write(dir.path().join(&name), &name).unwrap();
            assert_eq!(rendered(&templates, &name), name);
            // This one is used all the time.
            assert_eq!(rendered(&templates, "t0"), "t0");
        }
        let is_kept = |number: usize| templates.kept().parsed.contains_key(Path::new(&format!("t{number}")));
        assert_eq!(templates.kept().parsed.len(), MAX_PARSED);
        assert!(is_kept(0) && is_kept(MAX_PARSED + 9));
        assert!((1..=10).all(|number| !is_kept(number)));
        assert_eq!(rendered(&templates, "t1"), "t1", "what was forgotten is parsed again");
    }
}
