//! `destroy`: take units off their machines and forget them.

use super::withdraw::{Withdraw, withdraw};
use crate::{cli::WaitArgs, context::Context, exit::Exit, failure::Failure, judge::Goal};

/// Runs the verb.
pub async fn run(context: &mut Context<'_, '_>, arguments: &WaitArgs) -> Result<Exit, Failure> {
    let (exit, _) = withdraw(context, arguments, Withdraw { verb: "destroy", goal: Goal::Gone }).await?;
    Ok(exit)
}
