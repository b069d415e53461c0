//! Feeds the registrations: requests, units' lives, the store's answers in; calls, answers and a runtime file out.

mod calls;
mod file;
mod task;
#[cfg(test)]
mod tests;
mod witness;

pub use file::RuntimeFile;
pub use task::{Handle, RegistrationsTask, Unanswered};
pub use witness::{Connect, system_bus};
