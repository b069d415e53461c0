//! The specifiers that Flota itself expands: `%n %N %p %i` and `%%`, in the fleet sections only.

use crate::diagnostic::shown;
use crate::name::UnitName;

/// What the specifiers stand for in one unit's file.
#[derive(Clone, Copy, Debug)]
pub struct Specifiers<'a> {
    stem: &'a str,
    prefix: &'a str,
    instance: &'a str,
    suffix: &'static str,
}

/// A `%` that starts none of the known specifiers.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown specifier \"{found}\"")]
pub struct SpecifierError {
    /// The specifier as written.
    pub found: String,
    /// Where its `%` stands, in bytes from the start of the text.
    pub offset: usize,
}

impl<'a> Specifiers<'a> {
    /// The specifiers of a unit; `%i` is empty unless the unit is an instance.
    pub fn of(name: &'a UnitName) -> Self {
        Self {
            stem: name.stem(),
            prefix: name.prefix(),
            instance: name.instance().unwrap_or_default(),
            suffix: name.kind().as_str(),
        }
    }

    /// The text with every specifier replaced.
    pub fn expand(&self, text: &str) -> Result<String, SpecifierError> {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(percent) = rest.find('%') {
            out.push_str(&rest[..percent]);
            let mut chars = rest[percent + 1..].chars();
            match chars.next() {
                Some('n') => {
                    out.push_str(self.stem);
                    out.push('.');
                    out.push_str(self.suffix);
                }
                Some('N') => out.push_str(self.stem),
                Some('p') => out.push_str(self.prefix),
                Some('i') => out.push_str(self.instance),
                Some('%') => out.push('%'),
                other => {
                    return Err(SpecifierError {
                        found: shown(&other.map_or("%".to_owned(), |c| format!("%{c}"))),
                        offset: text.len() - rest.len() + percent,
                    });
                }
            }
            rest = chars.as_str();
        }
        out.push_str(rest);
        Ok(out)
    }
}
