//! What can be said of the collection without machines.

use std::path::PathBuf;
use std::process::Command;

/// Where the collection is.
pub fn collection() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../deploy/ansible")
}

#[track_caller]
fn passes(program: &str, args: &[&str]) {
    let home = tempfile::tempdir().unwrap();
    let mut command = Command::new(program);
    // Of no account of this host: what lies in the home of whoever runs it may not change the outcome.
    command
        .args(args)
        .current_dir(collection())
        .env("HOME", home.path())
        .env("ANSIBLE_NOCOLOR", "1")
        .env("NO_COLOR", "1");
    let output = command.output().unwrap_or_else(|error| panic!("{program}: {error}"));
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}\n{stdout}\n{stderr}");
}

#[test]
#[ignore = "needs Debian's ansible-lint; run by cargo xtask test"]
fn the_collection_is_clean_to_ansible_lint_and_its_playbooks_are_read() {
    passes("ansible-lint", &["--offline", "--profile", "production", "--strict"]);
    let playbooks = ["playbooks/site.yml", "playbooks/upgrade.yml", "playbooks/remove.yml"];
    passes(
        "ansible-playbook",
        &[&["--syntax-check", "--inventory", "inventory.example.yml"], playbooks.as_slice()].concat(),
    );
    passes("ansible-doc", &["--type", "role", "--roles-path", "roles", "flota"]);
}
