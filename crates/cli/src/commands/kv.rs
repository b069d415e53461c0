//! `kv`: keys for applications, one file per verb.

mod get;
mod lease;
mod ls;
mod put;
mod rm;
mod watch;

use crate::{
    cli::KvVerb,
    context::Context,
    exit::Exit,
    failure::Failure,
    kv::{KvSettings, LeaseChoice, Store, calling_unit},
};

/// What every verb of `kv` has at hand.
pub struct KvContext<'k, 'a, 'b> {
    /// The printer, and the daemon of this machine.
    pub inner: &'k mut Context<'a, 'b>,
    settings: KvSettings,
}

impl KvContext<'_, '_, '_> {
    /// The store.
    pub async fn store(&self) -> Result<Store, Failure> {
        Store::open(&self.settings).await
    }
}

/// Runs the verb.
pub async fn run(context: &mut Context<'_, '_>, settings: KvSettings, verb: KvVerb) -> Result<Exit, Failure> {
    let settings = if context.has_tunnel() { settings.through(context.client.endpoint()) } else { settings };
    let mut context = KvContext { inner: context, settings };
    match verb {
        KvVerb::Get(arguments) => get::run(&mut context, &arguments).await,
        KvVerb::Put(arguments) => put::run(&mut context, arguments).await,
        KvVerb::Rm(arguments) => rm::run(&mut context, &arguments).await,
        KvVerb::Ls(arguments) => ls::run(&mut context, &arguments).await,
        KvVerb::Watch(arguments) => watch::run(&mut context, &arguments).await,
        KvVerb::Lease(verb) => lease::run(&mut context, verb).await,
    }
}

/// The unit whose life a key shares, for a lease that names one. Only the daemon of the unit's own machine can follow it.
fn unit_of(context: &KvContext<'_, '_, '_>, lease: &LeaseChoice) -> Result<Option<String>, Failure> {
    let unit = match lease {
        LeaseChoice::Number(_) => return Ok(None),
        LeaseChoice::Caller => calling_unit()?,
        LeaseChoice::Unit(unit) => unit.clone(),
    };
    if context.inner.has_tunnel() {
        return Err(Failure::new(
            Exit::USAGE,
            "--lease unit is about units of this machine: it goes through no tunnel",
        ));
    }
    Ok(Some(unit.to_string()))
}
