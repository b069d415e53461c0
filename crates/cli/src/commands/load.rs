//! `load`: place units and load them into systemd.

use flota_api::v1::DesiredState;

use super::place::{Place, place};
use crate::{cli::ActArgs, context::Context, exit::Exit, failure::Failure, judge::Goal};

/// Runs the verb.
pub async fn run(context: &mut Context<'_, '_>, arguments: &ActArgs) -> Result<Exit, Failure> {
    let replaceable = &[DesiredState::Inactive, DesiredState::Loaded];
    place(context, arguments, Place { verb: "load", goal: Goal::Loaded, state: DesiredState::Loaded, replaceable })
        .await
}
