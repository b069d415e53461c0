//! `conf graph`: which keys lead where.

use flota_conf::inspect::graph;

use super::Work;
use crate::cli::{ConfGraphArgs, Format};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::printer::Printer;

pub fn run(
    printer: &mut Printer<'_>,
    arguments: &ConfGraphArgs,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<Exit, Failure> {
    let work = Work::load(printer, &arguments.source, variable)?;
    let edges = graph(&work.groups);
    if arguments.print.output == Format::Json {
        printer.json(&edges)?;
        return Ok(work.exit(Exit::SUCCESS));
    }
    for edge in edges {
        let reload = edge.reload.map_or_else(String::new, |reload| format!(" -> {reload}"));
        let keys = if edge.keys.is_empty() { "(no keys)".to_owned() } else { edge.keys.join(" ") };
        printer.line(&format!("{keys} -> {} -> {}{reload}", edge.template.display(), edge.file.display()))?;
    }
    Ok(work.exit(Exit::SUCCESS))
}
