//! What a template reads, found without running it.

mod calls;
mod fields;

pub(crate) use calls::calls;
pub use calls::{Arg, Call};
pub use fields::FieldPath;
pub(crate) use fields::fields;
