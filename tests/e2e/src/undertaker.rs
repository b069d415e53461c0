//! Takes the lab away when the tests are over, however they end.
//!
//! Nothing of a Rust program is sure to run at its end: a static is never dropped, and Ctrl-C drops nothing at all. So
//! a shell in a session of its own waits for the end of a pipe, which the kernel closes in any case, and takes the lab
//! down then. It holds a lock as long as it lives: a second run of the tests waits until the first one's lab is gone.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

const LOCK: &str = "/run/lock/flota-e2e.lock";

/// `$1` is the program, `$2` the lab.
const WAIT_AND_TAKE_DOWN: &str =
    r#"echo waiting; read -r _; [ -n "$FLOTA_E2E_KEEP" ] || exec "$1" lab down --name "$2""#;

/// The shell; dropping it changes nothing, the end of this process does.
#[derive(Debug)]
pub(crate) struct Undertaker {
    _shell: Child,
}

impl Undertaker {
    /// Starts it, and waits for one of an earlier run to finish its work.
    pub(crate) fn hire(program: &Path, lab: &str) -> Undertaker {
        let mut command = Command::new("setsid");
        command.args(["flock", LOCK, "sh", "-c", WAIT_AND_TAKE_DOWN, "undertaker"]).arg(program).arg(lab);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut shell = command.spawn().expect("setsid, flock and sh are there");
        let mut answer = String::new();
        let out = shell.stdout.take().expect("a pipe");
        BufReader::new(out).read_line(&mut answer).expect("the undertaker answers");
        assert_eq!(answer, "waiting\n", "the undertaker does not wait");
        Undertaker { _shell: shell }
    }
}
