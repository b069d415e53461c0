//! `flota kv watch` as a process: how it ends.

use std::{
    io::{BufRead, BufReader, Read},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use crate::store::Serving;

/// Every wait of a test ends with this.
const PATIENCE: Duration = Duration::from_secs(20);

/// A watch of a store; both end with this.
struct Watching {
    watch: Child,
    _store: Serving,
    _directory: tempfile::TempDir,
}

impl Drop for Watching {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.watch.kill();
        let _ = self.watch.wait();
    }
}

impl Watching {
    /// Starts both, and waits until the watch has told of a change.
    fn start() -> Watching {
        let directory = tempfile::tempdir().unwrap();
        let store = Serving::in_dir(directory.path(), &[]);
        store.etcdctl(&["put", "/a", "1"]);
        let mut watch = Command::new(env!("CARGO_BIN_EXE_flota"));
        watch.args(["kv", "watch", "/a", "--rev", "2", "--endpoint", &store.endpoint]);
        let mut watch = watch.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(watch.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "put     /a  1\n");
        Watching { watch, _store: store, _directory: directory }
    }

    /// Waits for the end of the watch: its code, and what it had to say.
    fn ended(&mut self) -> (Option<i32>, String) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.watch.try_wait().unwrap() {
                let mut said = String::new();
                self.watch.stderr.as_mut().unwrap().read_to_string(&mut said).unwrap();
                return (status.code(), said);
            }
            assert!(Instant::now() < deadline, "the watch does not end");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

#[test]
fn a_watch_ends_in_silence_when_it_is_interrupted() {
    let mut watching = Watching::start();
    let interrupt = Command::new("kill").args(["-INT", &watching.watch.id().to_string()]).status().unwrap();
    assert!(interrupt.success());
    assert_eq!(watching.ended(), (Some(0), String::new()));
}

#[test]
fn a_watch_ends_when_nobody_reads_it_though_nothing_happens() {
    let mut watching = Watching::start();
    drop(watching.watch.stdout.take());
    assert_eq!(watching.ended(), (Some(0), String::new()));
}
