//! The manual, written from what the program knows of itself: a page for each verb, its two other names, and its
//! configuration file.

use std::{fmt::Write as _, path::Path};

use clap::Command;
use clap_mangen::Man;

use crate::{exit::Exit, failure::Failure, run, style::Style};

/// The configuration file that the package installs: its comments are the page.
const CONFIGURATION: &str = include_str!("../../../dist/flota.toml");

/// Writes all pages into the folder.
pub fn write(dir: &Path) -> Result<Exit, Failure> {
    pages(dir).map_err(|error| Failure::new(Exit::FAILURE, format!("cannot write {}: {error}", dir.display())))?;
    Ok(Exit::SUCCESS)
}

fn pages(dir: &Path) -> std::io::Result<()> {
    clap_mangen::generate_to(run::command(Style::Flota), dir)?;
    // The verbs are the same, and have no pages of their own under this name.
    let fleetctl = page(run::command(Style::Fleetctl))?.replace("fleetctl\\-", "flota\\-");
    std::fs::write(dir.join("flota-as-fleetctl.1"), fleetctl)?;
    std::fs::write(dir.join("flota-as-confd.1"), page(flota_confd::command())?)?;
    std::fs::write(dir.join("flota.toml.5"), configuration())
}

fn page(command: Command) -> std::io::Result<String> {
    let mut text = Vec::new();
    Man::new(command).render(&mut text)?;
    String::from_utf8(text).map_err(std::io::Error::other)
}

/// Comments are paragraphs, and what could be set stands in bold below what is said of it.
fn configuration() -> String {
    let mut text = String::from(
        ".TH flota.toml 5\n.SH NAME\nflota.toml \\- configuration of the Flota daemon\n.SH SYNOPSIS\n/etc/flota/flota.toml\n\
         .SH DESCRIPTION\n",
    );
    let title = "Configuration of the Flota daemon: flota.toml(5).";
    for line in CONFIGURATION.lines() {
        let (told, key) = match line.strip_prefix('#') {
            Some(told) if told.is_empty() || told.starts_with(' ') => (Some(told.trim()), line),
            Some(key) => (None, key),
            None => (None, line),
        };
        // Writing to a string cannot fail.
        let _ = match told {
            Some(told) if told == title => Ok(()),
            Some("") => writeln!(text, ".PP"),
            Some(told) => writeln!(text, "{}", escaped(told)),
            None if key.is_empty() => writeln!(text, ".PP"),
            None if key.starts_with('[') => writeln!(text, ".SH {}", escaped(key)),
            None => writeln!(text, ".nf\n\\fB{}\\fR\n.fi", escaped(key)),
        };
    }
    text.push_str(".SH SEE ALSO\nflota(1), flota-daemon(1)\n");
    text
}

/// Text that troff takes for text.
fn escaped(text: &str) -> String {
    let text = text.replace('\\', "\\e").replace('-', "\\-");
    if text.starts_with(['.', '\'']) { format!("\\&{text}") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_verb_has_a_page_and_so_have_the_other_names() {
        let dir = tempfile::tempdir().unwrap();
        pages(dir.path()).unwrap();
        let command = run::command(Style::Flota);
        for verb in command.get_subcommands().filter(|verb| !verb.is_hide_set()) {
            assert!(dir.path().join(format!("flota-{}.1", verb.get_name())).is_file(), "{}", verb.get_name());
        }
        for page in ["flota.1", "flota-store-backup.1", "flota-as-fleetctl.1", "flota-as-confd.1", "flota.toml.5"] {
            assert!(dir.path().join(page).is_file(), "{page}");
        }
        let fleetctl = std::fs::read_to_string(dir.path().join("flota-as-fleetctl.1")).unwrap();
        assert!(fleetctl.contains("flota\\-start(1)") && !fleetctl.contains("drain"), "{fleetctl}");
    }

    #[test]
    fn the_configuration_files_page_has_its_sections_and_keys() {
        let text = configuration();
        for part in [".SH [store]", "\\fBlease_seconds = 5\\fR", ".SH [tls]", "FLOTA_..."] {
            assert!(text.contains(part), "{part} is not in {text}");
        }
        assert_eq!(escaped(".a-b\\"), "\\&.a\\-b\\e");
    }
}
