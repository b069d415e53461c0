//! `start`: place units and start them.

use flota_api::v1::DesiredState;

use super::place::{Place, place};
use crate::{cli::ActArgs, context::Context, exit::Exit, failure::Failure, judge::Goal};

/// Runs the verb.
pub async fn run(context: &mut Context<'_, '_>, arguments: &ActArgs) -> Result<Exit, Failure> {
    let replaceable = &[DesiredState::Inactive, DesiredState::Loaded, DesiredState::Launched];
    place(context, arguments, Place { verb: "start", goal: Goal::Launched, state: DesiredState::Launched, replaceable })
        .await
}
