//! One file of one key, by the program itself.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

/// A directory of resources with a file `a` of the key `/k`, which is 1.
struct Place(TempDir);

impl Place {
    fn new() -> Place {
        let place = Place(tempfile::tempdir().unwrap());
        for name in ["conf.d", "templates"] {
            fs::create_dir(place.path(name)).unwrap();
        }
        let dest = place.path("a");
        let resource = format!("[template]\nsrc = \"a\"\ndest = \"{}\"\n", dest.display());
        fs::write(place.path("conf.d/a.toml"), resource).unwrap();
        fs::write(place.path("templates/a"), "k is {{getv \"/k\"}}\n").unwrap();
        fs::write(place.path("keys.yaml"), "k: 1\n").unwrap();
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// The program with words, flags for the keys of this place, and more words.
    fn confd(&self, first: &[&str], last: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_confd"));
        command.args(first).arg("-confdir").arg(self.0.path()).args(["-backend", "file", "-file"]);
        command.arg(self.path("keys.yaml")).args(last).env("FLOTA_CONF_STATE", self.path("state"));
        command.stdin(Stdio::null()).output().unwrap()
    }
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap()
}

#[test]
fn files_are_put_in_place_once() {
    let place = Place::new();
    let Output { status, stderr, .. } = place.confd(&["-onetime"], &[]);
    assert!(status.success(), "{}", text(stderr));
    assert_eq!(fs::read_to_string(place.path("a")).unwrap(), "k is 1\n");
    fs::write(place.path("keys.yaml"), "other: 1\n").unwrap();
    assert_eq!(place.confd(&["-onetime"], &[]).status.code(), Some(1));
}

#[test]
fn the_version_is_printed_and_nothing_done() {
    let place = Place::new();
    let Output { status, stdout, .. } = place.confd(&["-version"], &[]);
    assert!(status.success());
    assert_eq!(text(stdout), format!("confd 0.17.0-dev (Flota {})\n", env!("CARGO_PKG_VERSION")));
    assert!(!place.path("a").exists());
}

#[test]
fn help_is_no_failure_and_a_flag_that_nobody_knows_is_one() {
    let place = Place::new();
    let Output { status, stdout, stderr } = place.confd(&["-help"], &[]);
    assert_eq!((status.code(), text(stderr)), (Some(0), String::new()));
    let help = text(stdout);
    assert!(help.contains("--onetime") && help.contains("confd exec"), "{help}");
    let Output { status, stdout, stderr } = place.confd(&["-nosuch"], &[]);
    assert_eq!((status.code(), text(stdout)), (Some(2), String::new()));
    let told = text(stderr);
    assert!(told.contains("nosuch") && told.contains("Usage"), "{told}");
}

#[test]
fn as_an_entry_point_it_starts_a_command_when_its_files_are_there_and_ends_as_that_does() {
    let place = Place::new();
    let file = place.path("a").display().to_string();
    let Output { status, stdout, stderr } = place.confd(&["exec"], &["--", "sh", "-c", "cat \"$0\"; exit 3", &file]);
    assert_eq!((status.code(), text(stdout).as_str()), (Some(3), "k is 1\n"), "{}", text(stderr));
    let Output { status, stderr, .. } = place.confd(&["exec"], &[]);
    assert_eq!(status.code(), Some(2), "a command is needed");
    assert!(text(stderr).contains("COMMAND"));
}
