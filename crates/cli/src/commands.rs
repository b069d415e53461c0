//! One file per verb, and what several of them share.

mod cat;
pub mod conf;
mod cordon;
mod destroy;
pub mod doctor;
mod drain;
pub mod fd_forward;
pub mod firstboot;
pub mod image;
mod join;
mod journal;
pub mod kv;
pub mod lab;
mod leave;
mod list_machines;
mod list_unit_files;
mod list_units;
mod load;
mod place;
mod remove_machine;
mod restart;
mod ssh;
mod start;
mod status;
mod stop;
pub mod store;
mod store_accept;
pub mod store_check;
pub mod store_migrate;
mod stores;
mod submit;
mod token;
mod uncordon;
mod unload;
mod why;
mod withdraw;

use crate::{
    cli::{ConfVerb, FirstbootVerb, StoreVerb, Verb},
    context::Context,
    exit::Exit,
    failure::Failure,
};

/// Runs a verb that asks the daemon.
pub async fn run(context: &mut Context<'_, '_>, verb: Verb) -> Result<Exit, Failure> {
    match verb {
        Verb::Submit(arguments) => submit::run(context, &arguments).await,
        Verb::Load(arguments) => load::run(context, &arguments).await,
        Verb::Start(arguments) => start::run(context, &arguments).await,
        Verb::Stop(arguments) => stop::run(context, &arguments).await,
        Verb::Unload(arguments) => unload::run(context, &arguments).await,
        Verb::Destroy(arguments) => destroy::run(context, &arguments).await,
        Verb::Restart(arguments) => restart::run(context, &arguments).await,
        Verb::Cat(arguments) => cat::run(context, &arguments).await,
        Verb::ListUnits(arguments) => list_units::run(context, &arguments).await,
        Verb::ListUnitFiles(arguments) => list_unit_files::run(context, &arguments).await,
        Verb::ListMachines(arguments) => list_machines::run(context, &arguments).await,
        Verb::Cordon(arguments) => cordon::run(context, &arguments).await,
        Verb::Uncordon(arguments) => uncordon::run(context, &arguments).await,
        Verb::Drain(arguments) => drain::run(context, &arguments).await,
        Verb::RemoveMachine(arguments) => remove_machine::run(context, &arguments).await,
        Verb::Leave(arguments) => leave::run(context, &arguments).await,
        Verb::Status(arguments) => status::run(context, &arguments).await,
        Verb::Journal(arguments) => journal::run(context, &arguments).await,
        Verb::Ssh(arguments) => ssh::run(context, &arguments).await,
        Verb::Why(arguments) => why::run(context, &arguments).await,
        Verb::Join(arguments) => join::run(context, arguments).await,
        Verb::Firstboot(FirstbootVerb::Join) => firstboot::join(context).await,
        Verb::Token(verb) => token::run(context, verb).await,
        Verb::Store(StoreVerb::Accept(arguments)) => store_accept::run(context, &arguments).await,
        Verb::Conf(verb) => match *verb {
            ConfVerb::Status(arguments) => conf::cluster::run(context, &arguments).await,
            _ => Ok(Exit::SUCCESS),
        },
        // `run::run_with` takes these before there is a context.
        Verb::Daemon(_)
        | Verb::Doctor(_)
        | Verb::Kv(_)
        | Verb::Store(_)
        | Verb::Lab(_)
        | Verb::Completion(_)
        | Verb::Man(_)
        | Verb::Image(_)
        | Verb::Firstboot(_)
        | Verb::FdForward(_)
        | Verb::Verify { .. }
        | Verb::Version => Ok(Exit::SUCCESS),
    }
}
