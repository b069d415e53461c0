//! `conf diff`: what would change.

use flota_conf::plan::GroupId;
use flota_conf::run::{Mode, render_all};
use flota_etcd::chain;

use super::Work;
use crate::cli::ConfDiffArgs;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::printer::Printer;

pub async fn run(
    printer: &mut Printer<'_>,
    arguments: &ConfDiffArgs,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<Exit, Failure> {
    let work = Work::load(printer, &arguments.source, variable)?;
    let snapshot = work.snapshot().await?;
    let ids: Vec<GroupId> = (0..work.groups.len()).map(GroupId).collect();
    let (mut differs, mut failed) = (false, false);
    for rendered in render_all(&work.groups, &ids, &snapshot, Mode::Tell) {
        match rendered.result {
            Ok(differing) => {
                for difference in differing.told {
                    differs = true;
                    if difference.diff.is_empty() {
                        printer.line(&format!("{}: mode or owner differs", difference.dest.display()))?;
                    }
                    printer.data(&difference.diff)?;
                }
            }
            Err(error) => {
                failed = true;
                printer.say(&format!("{}: {}", work.groups[rendered.id.0].name(), chain(&error)));
            }
        }
    }
    Ok(match (failed, differs) {
        (true, _) => Exit::FAILURE,
        (false, true) => work.exit(Exit::passed_on(2)),
        (false, false) => work.exit(Exit::SUCCESS),
    })
}
