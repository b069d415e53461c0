//! The engine around a store in memory: who leads, who runs what, what moves and what never does.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod cluster;
mod drain;
mod exclusive;
mod exclusive_worlds;
mod failure;
mod flapping;
mod formats;
mod groups;
mod leader;
mod metadata;
mod options;
mod oracle;
mod passes;
mod placement;
mod removal;
mod rules;
mod second_opinion;
mod store;

use flota_registry::DesiredState;

const INACTIVE: DesiredState = DesiredState::Inactive;
const LOADED: DesiredState = DesiredState::Loaded;
const LAUNCHED: DesiredState = DesiredState::Launched;
