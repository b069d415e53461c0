//! `unload`: take units off their machines.

use super::withdraw::{Withdraw, bracketed, withdraw};
use crate::{cli::WaitArgs, context::Context, exit::Exit, failure::Failure, judge::Goal};

/// Runs the verb.
pub async fn run(context: &mut Context<'_, '_>, arguments: &WaitArgs) -> Result<Exit, Failure> {
    let (exit, unloaded) = withdraw(context, arguments, Withdraw { verb: "unload", goal: Goal::Inactive }).await?;
    if exit == Exit::SUCCESS || !unloaded.is_empty() {
        context.printer.say(&format!("Successfully unloaded units {}.", bracketed(&unloaded)));
    }
    Ok(exit)
}
