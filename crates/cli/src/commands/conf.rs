//! `conf`: what needs no daemon but a store, a directory of resources, or only the latter.

pub mod cluster;
mod diff;
mod graph;
mod lint;
mod render;
mod status;
mod test;

use std::sync::Arc;

use flota_conf::backend::Source;
use flota_conf::group::Group;
use flota_conf::keys::{KeyPath, Snapshot};
use flota_conf::resource::load;
use flota_conf::settings::{Settings, gather};
use flota_etcd::chain;

use crate::cli::{ConfSource, ConfVerb, ConfWork};
use crate::confd::{ConfStart, gateway, layer};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::printer::Printer;

/// The start of `run` and `exec`, which the program becomes.
pub fn start(verb: &ConfVerb) -> Option<ConfStart> {
    let (source, work, command) = match verb {
        ConfVerb::Run(run) => (&run.source, run.work.clone(), Vec::new()),
        ConfVerb::Exec(exec) => {
            let work = ConfWork { log_level: exec.log_level.clone(), ..ConfWork::default() };
            (&exec.source, work, exec.command.clone())
        }
        _ => return None,
    };
    let mut flags = layer(source, &work);
    if !work.onetime && work.interval.is_none() {
        flags.watch = Some(true);
    }
    Some(ConfStart { flags, below: below(source), config_file: source.config_file.clone(), command })
}

/// Runs any other verb.
pub async fn run(
    printer: &mut Printer<'_>,
    verb: ConfVerb,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<Exit, Failure> {
    match verb {
        ConfVerb::Render(arguments) => render::run(printer, &arguments, variable).await,
        ConfVerb::Diff(arguments) => diff::run(printer, &arguments, variable).await,
        ConfVerb::Lint(arguments) => lint::run(printer, &arguments, variable),
        ConfVerb::Graph(arguments) => graph::run(printer, &arguments, variable),
        ConfVerb::Test(arguments) => test::run(printer, &arguments, variable),
        ConfVerb::Status(arguments) => status::run(printer, &arguments, variable).await,
        // The program becomes these.
        ConfVerb::Run(_) | ConfVerb::Exec(_) => Ok(Exit::SUCCESS),
    }
}

/// This machine's gateway, for who names neither backend nor node.
fn below(source: &ConfSource) -> flota_conf::settings::Layer {
    if source.backend.is_none() && source.nodes.is_empty() { gateway() } else { Default::default() }
}

/// What the verbs work with.
struct Work {
    settings: Settings,
    groups: Vec<Group>,
    /// Whether a resource could not be read; that is told already.
    has_errors: bool,
}

impl Work {
    fn load(
        printer: &mut Printer<'_>,
        source: &ConfSource,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Work, Failure> {
        let flags = layer(source, &ConfWork::default());
        let settings = gather(flags, source.config_file.as_deref(), variable, below(source));
        let settings = settings.map_err(|error| Failure::new(Exit::FAILURE, chain(&error)))?;
        let loaded = load(&settings.confdir, settings.prefix.as_deref()).map_err(|error| {
            let place = settings.confdir.join("conf.d");
            Failure::new(Exit::FAILURE, format!("cannot read {}: {error}", place.display()))
        })?;
        for error in &loaded.errors {
            printer.say(&error.to_string());
        }
        let groups = loaded.resources.into_iter().map(|resource| Group::new(resource, &settings.confdir)).collect();
        Ok(Work { settings, groups, has_errors: !loaded.errors.is_empty() })
    }

    async fn snapshot(&self) -> Result<Arc<Snapshot>, Failure> {
        let roots: Vec<KeyPath> = self.groups.iter().flat_map(Group::roots).collect();
        let read = async { Source::open(&self.settings).await?.read(&roots).await };
        read.await.map(Arc::new).map_err(|error| Failure::new(Exit::UNAVAILABLE, chain(&error)))
    }

    fn exit(&self, good: Exit) -> Exit {
        if self.has_errors { Exit::FAILURE } else { good }
    }
}
