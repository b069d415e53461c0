//! `conf test`: what templates give beside what is expected.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flota_conf::apply::unified;
use flota_conf::backend::file;
use flota_etcd::chain;

use super::Work;
use crate::cli::ConfTestArgs;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::printer::Printer;

pub fn run(
    printer: &mut Printer<'_>,
    arguments: &ConfTestArgs,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<Exit, Failure> {
    let work = Work::load(printer, &arguments.source, variable)?;
    let cases = directories(&arguments.cases)?;
    if cases.is_empty() {
        return Err(Failure::new(Exit::FAILURE, format!("no case in {}", arguments.cases.display())));
    }
    let mut failed = 0;
    for case in &cases {
        let name = case.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let wrong = differences(&work, case)?;
        printer.line(&format!("{name}: {}", if wrong.is_empty() { "ok" } else { "FAILED" }))?;
        printer.data(&wrong)?;
        failed += usize::from(!wrong.is_empty());
    }
    printer.line(&format!("{} passed, {failed} failed", cases.len() - failed))?;
    Ok(work.exit(if failed == 0 { Exit::SUCCESS } else { Exit::FAILURE }))
}

/// What differs in one case; a file that is not among the expected ones is not looked at.
fn differences(work: &Work, case: &Path) -> Result<String, Failure> {
    let keys = file::read(&[case.join("keys.yaml")], "*");
    let keys = Arc::new(keys.map_err(|error| Failure::new(Exit::FAILURE, chain(&error)))?);
    let memo = Arc::default();
    let mut wrong = String::new();
    for group in &work.groups {
        for (at, output) in group.resource.outputs.iter().enumerate() {
            let below = output.dest.strip_prefix("/").unwrap_or(&output.dest);
            let expected = case.join("expected").join(below);
            if !expected.exists() {
                continue;
            }
            match group.render(at, &keys, &memo).1 {
                Ok(text) => wrong.push_str(&unified(&expected, &text)),
                Err(error) => {
                    wrong.push_str(&chain(&error));
                    wrong.push('\n');
                }
            }
        }
    }
    Ok(wrong)
}

fn directories(path: &Path) -> Result<Vec<PathBuf>, Failure> {
    let failed =
        |error: std::io::Error| Failure::new(Exit::FAILURE, format!("cannot read {}: {error}", path.display()));
    let entries = fs::read_dir(path).and_then(Iterator::collect::<Result<Vec<_>, _>>).map_err(failed)?;
    let mut found: Vec<PathBuf> = entries.into_iter().map(|entry| entry.path()).filter(|path| path.is_dir()).collect();
    found.sort();
    Ok(found)
}
