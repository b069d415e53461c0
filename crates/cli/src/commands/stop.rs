//! `stop`: stop units; they stay loaded.

use super::withdraw::{Withdraw, bracketed, withdraw};
use crate::{cli::WaitArgs, context::Context, exit::Exit, failure::Failure, judge::Goal};

/// Runs the verb.
pub async fn run(context: &mut Context<'_, '_>, arguments: &WaitArgs) -> Result<Exit, Failure> {
    let (exit, stopped) = withdraw(context, arguments, Withdraw { verb: "stop", goal: Goal::Stopped }).await?;
    if exit == Exit::SUCCESS || !stopped.is_empty() {
        context.printer.say(&format!("Successfully stopped units {}.", bracketed(&stopped)));
    }
    Ok(exit)
}
