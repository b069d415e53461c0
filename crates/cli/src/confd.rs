//! The program called as `confd`, and this machine's gateway as what `flota conf` asks.

use std::ffi::{OsStr, OsString};
use std::path::Path;

use flota_conf::settings::Layer;
use flota_confd::{ConfSource, ConfStart, Line, VERSION};

use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::printer::Printer;
use crate::run::usage;
use crate::style::Style;

/// The arguments after `confd`, if the program is called so.
pub(crate) fn arguments_of(command_line: &[OsString]) -> Option<&[OsString]> {
    let (program, arguments) = command_line.split_first()?;
    (Path::new(program).file_name() == Some(OsStr::new("confd"))).then_some(arguments)
}

/// Reads the arguments; prints what there is to print.
pub(crate) fn read(arguments: &[OsString], printer: &mut Printer<'_>) -> Result<Result<ConfStart, Exit>, Failure> {
    match flota_confd::read(arguments) {
        Ok(Line::Start(start)) => Ok(Ok(*start)),
        Ok(Line::Version) => {
            printer.line(VERSION)?;
            Ok(Err(Exit::SUCCESS))
        }
        Err(error) => Ok(Err(usage(&error, Style::Flota, printer))),
    }
}

/// This machine's gateway, for who names neither backend nor node.
pub(crate) fn below(source: &ConfSource) -> Layer {
    if source.backend.is_some() || !source.nodes.is_empty() {
        return Layer::default();
    }
    Layer {
        backend: Some("etcdv3".to_owned()),
        nodes: Some(vec!["http://127.0.0.1:4001".to_owned()]),
        ..Layer::default()
    }
}
