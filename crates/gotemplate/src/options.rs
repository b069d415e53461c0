//! How a template is read and rendered.

/// What starts and ends an action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delimiters {
    /// `{{`, if nothing else is wanted.
    pub left: String,
    /// `}}`, if nothing else is wanted.
    pub right: String,
}

impl Default for Delimiters {
    fn default() -> Self {
        Self { left: "{{".to_owned(), right: "}}".to_owned() }
    }
}

/// What a field gives that its map does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MissingKey {
    /// No value, printed as `<no value>`.
    #[default]
    Default,
    /// The zero of the map's type.
    Zero,
    /// An error.
    Error,
}

/// How many bytes a template writes, and a value has, at most.
pub const MAX_OUTPUT_BYTES: usize = 64 << 20;

/// How many templates call each other at most.
pub const MAX_TEMPLATE_DEPTH: usize = 100;

/// How many actions, commands and rounds of loops a template runs at most.
pub const MAX_STEPS: u64 = 50_000_000;

/// What rendering may take. Each bound that is passed is an error of the template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// What a field gives that its map does not have.
    pub missing_key: MissingKey,
    /// How many bytes are written, and a value has, at most.
    pub max_output_bytes: usize,
    /// How many templates call each other at most.
    pub max_template_depth: usize,
    /// How many actions, commands and rounds of loops are run at most.
    pub max_steps: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            missing_key: MissingKey::Default,
            max_output_bytes: MAX_OUTPUT_BYTES,
            max_template_depth: MAX_TEMPLATE_DEPTH,
            max_steps: MAX_STEPS,
        }
    }
}
