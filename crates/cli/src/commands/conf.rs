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
use flota_confd::{ConfSource, ConfStart, ConfWork, layer};
use flota_etcd::chain;

use crate::cli::ConfVerb;
use crate::confd::below;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::printer::Printer;

/// The start of `run` and `exec`, which the program becomes.
pub fn start(verb: &ConfVerb) -> Option<ConfStart> {
    let run = match verb {
        ConfVerb::Run(run) => run,
        ConfVerb::Exec(exec) => return Some(ConfStart::exec(exec, below(&exec.source))),
        _ => return None,
    };
    let mut flags = layer(&run.source, &run.work);
    if !run.work.onetime && run.work.interval.is_none() {
        flags.watch = Some(true);
    }
    let (below, config_file) = (below(&run.source), run.source.config_file.clone());
    Some(ConfStart { flags, below, config_file, command: Vec::new() })
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
        let groups = Group::all(loaded.resources, &settings.confdir);
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
