//! The engine: who leads, and what the leader does.

mod pass;
mod state;

pub use state::Engine;
