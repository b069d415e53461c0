//! `image`: images of nodes. Blocking: the work is programs and files.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use flota_etcd::chain;
use flota_image::{FlotaSource, Format, ImageError, Order, Spec, Suite, build};
use tokio::signal::unix::{SignalKind, signal};

use crate::{
    cli::{ImageBuildArgs, ImageVerb},
    exit::Exit,
    failure::Failure,
    output::printer::Printer,
};

/// A day, in seconds: builds of one day have the same epoch, if nobody says which.
const DAY: u64 = 86_400;

/// Runs the verb. Call it within a runtime, which keeps Ctrl-C from ending this program before it has tidied up: the
/// programs that it runs end by it.
pub fn run(printer: &mut Printer<'_>, verb: ImageVerb) -> Result<Exit, Failure> {
    let ImageVerb::Build(arguments) = verb;
    let _caught = signal(SignalKind::interrupt());
    let order = order(arguments)?;
    let built = build(&order, printer).map_err(|error| failure(&error))?;
    printer.say(&format!("{} packages; beside the image:", built.count));
    printer.say(&format!("  {}  their versions", built.packages.display()));
    printer.say(&format!("  {}  the bill of materials", built.bill.display()));
    printer.line(&built.image.display().to_string())?;
    Ok(Exit::SUCCESS)
}

fn order(arguments: ImageBuildArgs) -> Result<Order, Failure> {
    let format: Format = arguments.format.parse().map_err(|error| failure(&error))?;
    let (spec, spec_dir) = match &arguments.spec {
        None => (Spec::default(), PathBuf::new()),
        Some(path) => (read_spec(path)?, path.parent().unwrap_or(Path::new("")).to_owned()),
    };
    let suite = match &arguments.suite {
        Some(name) => name.parse::<Suite>().map_err(|error| Failure::new(Exit::USAGE, error.to_string()))?,
        None => spec.suite.unwrap_or_default(),
    };
    let flota = match arguments.flota {
        Some(path) => path,
        None => std::env::current_exe()
            .map_err(|error| Failure::new(Exit::FAILURE, format!("cannot find this program for the image: {error}")))?,
    };
    let ending = if format == Format::Dir { String::new() } else { format!(".{format}") };
    let output = arguments.output.unwrap_or_else(|| format!("flota-{}{ending}", suite.as_str()).into());
    let output = std::path::absolute(&output)
        .map_err(|error| Failure::new(Exit::USAGE, format!("cannot use {}: {error}", output.display())))?;
    let today = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs() / DAY * DAY);
    Ok(Order {
        spec,
        spec_dir,
        suite,
        format,
        output,
        flota: FlotaSource::of(&flota).map_err(|error| failure(&error))?,
        epoch: arguments.source_date_epoch.unwrap_or(today),
        record: arguments.packages,
    })
}

fn read_spec(path: &Path) -> Result<Spec, Failure> {
    let text = fs::read_to_string(path)
        .map_err(|error| Failure::new(Exit::FAILURE, format!("cannot read {}: {error}", path.display())))?;
    Spec::parse(&text).map_err(|findings| failure(&ImageError::Spec { path: path.to_owned(), findings }))
}

fn failure(error: &ImageError) -> Failure {
    let exit = match error {
        ImageError::Value { .. } | ImageError::Without { .. } => Exit::USAGE,
        ImageError::Spec { .. } => Exit::BAD_UNIT_FILE,
        _ => Exit::FAILURE,
    };
    let failure = Failure::new(exit, chain(error));
    match error {
        ImageError::Differs { .. } => failure.with_hint(
            "an archive of that day has them: set `mirror` in the spec to one of https://snapshot.debian.org/archive/debian/",
        ),
        _ => failure,
    }
}
