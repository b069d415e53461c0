//! The images of `examples/elk`, with the program under test in them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use flota_lab::ImageFolder;

use crate::program;

/// The folder of images, and where the programs are that they need.
pub(crate) fn images() -> ImageFolder {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/elk");
    // Test programs are in TARGET/PROFILE/deps.
    let own = std::env::current_exe().expect("a program knows its path");
    let target = own.ancestors().nth(3).expect("cargo's layout");
    let programs = BTreeMap::from([
        ("flota".to_owned(), stripped(&program::flota(), &target.join("elk"))),
        ("logstore".to_owned(), log_store(&example.join("logstore"), &target.join("logstore"))),
    ]);
    ImageFolder { dir: example.join("images"), prefix: "elk".to_owned(), programs }
}

/// The program without what only debuggers read, so that machines fetch it in a moment.
fn stripped(program: &Path, dir: &Path) -> PathBuf {
    std::fs::create_dir_all(dir).expect("the target directory is ours");
    let small = dir.join("flota");
    done(Command::new("strip").arg("-o").arg(&small).arg(program));
    small
}

/// The log store, which is a workspace of its own.
fn log_store(workspace: &Path, target: &Path) -> PathBuf {
    let mut build = Command::new("cargo");
    build.args(["build", "--quiet", "--release", "--locked", "--target-dir"]).arg(target).current_dir(workspace);
    done(&mut build);
    target.join("release/logstore")
}

fn done(command: &mut Command) {
    let status = command.stdin(Stdio::null()).status().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(status.success(), "{command:?}: {status}");
}
