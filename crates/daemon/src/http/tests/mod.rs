//! The real router on a unix socket, with a real embedded store behind it.

mod bad_input;
mod conf;
mod events;
mod figures;
mod leave;
mod machines;
mod members;
mod outside;
mod registrations;
pub mod rig;
mod states;
mod trust;
mod units;
