//! PURE. Go's `text/template` language: parse, check, render.
//!
//! In: a text, the functions that it may call, a value as its dot. Out: bytes, or an error in Go's own words, with the
//! line and column. [`Template::parse`] finds unclosed blocks, unknown functions and variables; [`Template::calls`] and
//! [`Template::fields`] tell what a template reads without running it.
//!
//! Invariant: the same template, functions and values give the same bytes.
//! Invariant: no text and no value makes it panic, or take more stack, steps or memory than its bounds.

mod ast;
mod builtin;
mod error;
mod exec;
mod extract;
mod fmt;
mod function;
mod lex;
mod options;
mod parse;
mod template;
mod value;

pub use error::{ParseError, RunError};
pub use extract::{Arg, Call, FieldPath};
pub use function::{FuncError, Function, Functions, Signature};
pub use options::{Delimiters, MAX_OUTPUT_BYTES, MAX_STEPS, MAX_TEMPLATE_DEPTH, MissingKey, Options};
pub use template::Template;
pub use value::{List, MAX_VALUE_DEPTH, Map, Object, Str, Type, Value};
