//! `conf render`: what templates give, on stdout.

use std::sync::Arc;

use flota_etcd::chain;

use super::Work;
use crate::cli::ConfRenderArgs;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::printer::Printer;

pub async fn run(
    printer: &mut Printer<'_>,
    arguments: &ConfRenderArgs,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<Exit, Failure> {
    let work = Work::load(printer, &arguments.source, variable)?;
    let snapshot = work.snapshot().await?;
    let memo = Arc::default();
    let wanted = |dest: &std::path::PathBuf| arguments.only.is_empty() || arguments.only.contains(dest);
    let places: Vec<_> = work
        .groups
        .iter()
        .flat_map(|group| group.resource.outputs.iter().enumerate().map(move |(at, output)| (group, at, output)))
        .filter(|(_, _, output)| wanted(&output.dest))
        .collect();
    if let Some(file) = arguments.only.iter().find(|file| !places.iter().any(|(_, _, output)| output.dest == **file)) {
        return Err(Failure::new(Exit::FAILURE, format!("no template gives {}", file.display())));
    }
    let mut exit = Exit::SUCCESS;
    for (group, at, output) in &places {
        match group.render(*at, &snapshot, &memo).1 {
            Ok(text) => {
                // Names as head(1) and tail(1) put them between several files.
                if places.len() > 1 {
                    printer.line(&format!("==> {} <==", output.dest.display()))?;
                }
                printer.bytes(&text)?;
            }
            Err(error) => {
                printer.say(&format!("{}: {}", group.name(), chain(&error)));
                exit = Exit::FAILURE;
            }
        }
    }
    Ok(work.exit(exit))
}
