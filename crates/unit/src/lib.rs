//! PURE. What a unit is: names, unit files, fleet options, diagnostics.
//!
//! In: the text that people wrote. Out: typed values, or diagnostics that point at the line and column.
//!
//! Invariant: no text that systemd would read differently than Flota does gets past [`UnitFile::parse`].
//! Invariant: nothing in `[X-Fleet]` or `[X-Flota]` is ignored in silence.

mod diagnostic;
mod file;
mod fleet;
mod glob;
mod hash;
mod lex;
mod name;
mod options;
mod specifier;

pub use diagnostic::{Diagnostic, MAX_DIAGNOSTICS, Span};
pub use file::{Entry, MAX_OPTIONS_PER_UNIT, MAX_SECTION_NAME_BYTES, MAX_UNIT_FILE_BYTES, UnitFile};
pub use fleet::{MAX_VALUES_PER_UNIT, Requirements};
pub use glob::{Glob, GlobError, MAX_GLOB_BYTES};
pub use hash::{HashError, UnitHash};
pub use lex::MAX_LINE_BYTES;
pub use name::{MAX_UNIT_NAME_BYTES, NameError, UnitKind, UnitName};
pub use specifier::{SpecifierError, Specifiers};
