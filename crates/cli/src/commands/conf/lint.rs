//! `conf lint`: mistakes that can be seen without a store.

use flota_conf::backend::file;
use flota_conf::inspect::lint;
use flota_etcd::chain;

use super::Work;
use crate::cli::ConfLintArgs;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::printer::Printer;

pub fn run(
    printer: &mut Printer<'_>,
    arguments: &ConfLintArgs,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<Exit, Failure> {
    let work = Work::load(printer, &arguments.source, variable)?;
    let mock = match &arguments.mock {
        None => None,
        Some(path) => {
            let read = file::read(std::slice::from_ref(path), "*");
            Some(read.map_err(|error| Failure::new(Exit::FAILURE, chain(&error)))?)
        }
    };
    let findings = lint(&work.groups, &work.settings.confdir, mock.as_ref());
    for finding in &findings {
        printer.line(&finding.to_string())?;
    }
    let wrong = findings.iter().any(|finding| finding.is_error);
    Ok(work.exit(if wrong { Exit::FAILURE } else { Exit::SUCCESS }))
}
