//! A directory of resources with a file of keys, and the program at work on them.

use std::fs::{self, File};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use tempfile::TempDir;

const FLOTA: &str = env!("CARGO_BIN_EXE_flota");
/// Every wait ends with this.
pub const PATIENCE: Duration = Duration::from_secs(30);
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// Waits until something is so.
pub fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < PATIENCE, "{what}");
        sleep(LOOK_AGAIN);
    }
}

pub struct Place {
    dir: TempDir,
}

impl Place {
    pub fn new() -> Place {
        let dir = tempfile::tempdir().unwrap();
        for name in ["conf.d", "templates", "out"] {
            fs::create_dir(dir.path().join(name)).unwrap();
        }
        Place { dir }
    }

    /// One file `a` of the key `/k`, which is 1; what else its resource says.
    pub fn with_one(more: &str) -> Place {
        let place = Place::new();
        place.resource("a.toml", &format!("[template]\nsrc = \"a\"\ndest = \"OUT/a\"\nkeys = [\"/k\"]\n{more}"));
        place.template("a", "k is {{getv \"/k\"}}\n");
        place.keys("k: 1");
        place
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// `OUT` in a text is the directory of the files.
    fn filled(&self, text: &str) -> String {
        text.replace("OUT", &self.path("out").display().to_string())
    }

    pub fn resource(&self, name: &str, text: &str) {
        fs::write(self.path("conf.d").join(name), self.filled(text)).unwrap();
    }

    pub fn template(&self, name: &str, text: &str) {
        fs::write(self.path("templates").join(name), text).unwrap();
    }

    /// Replaces the file of keys as a whole.
    pub fn keys(&self, yaml: &str) {
        fs::write(self.path("keys.new"), yaml).unwrap();
        fs::rename(self.path("keys.new"), self.path("keys.yaml")).unwrap();
    }

    /// A file below `out`; empty if it is not there.
    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path("out").join(name)).unwrap_or_default()
    }

    pub fn eventually(&self, name: &str, content: &str) {
        until(&format!("{name} becomes {content:?}; log: {}", self.log()), || self.read(name) == content);
    }

    /// Names below `out`, sorted.
    pub fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.path("out")).unwrap();
        let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// What the processes that were started said.
    pub fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    /// `flota conf <verb>` with these words; the keys come from `keys.yaml`.
    pub fn flota(&self, verb: &str, words: &[&str]) -> Command {
        let mut command = self.command();
        command.args(["conf", verb, "--backend", "file", "--file"]).arg(self.path("keys.yaml"));
        command.arg("--confdir").arg(self.dir.path()).arg("--config-file").arg(self.path("confd.toml"));
        command.args(words.iter().map(|word| self.filled(word)));
        command
    }

    /// The program under the name of confd, with all that it is told.
    pub fn confd(&self, words: &[&str]) -> Command {
        let mut command = self.command();
        command.arg0("confd").arg("-confdir").arg(self.dir.path()).arg("-config-file").arg(self.path("confd.toml"));
        command.args(words);
        command
    }

    /// confd that follows `keys.yaml`.
    pub fn following(&self) -> Command {
        let mut command = self.confd(&["-backend", "file", "-watch", "-file"]);
        command.arg(self.path("keys.yaml"));
        command
    }

    fn command(&self) -> Command {
        let mut command = Command::new(FLOTA);
        command.env("FLOTA_CONF_STATE", self.path("state")).stdin(Stdio::null());
        command
    }

    /// Starts a command whose words go to the log.
    pub fn start(&self, mut command: Command) -> Running {
        let log = File::options().append(true).create(true).open(self.path("log")).unwrap();
        Running { child: command.stdout(Stdio::null()).stderr(log).spawn().unwrap() }
    }
}

/// A process; killed if it is left alone.
pub struct Running {
    pub child: Child,
}

impl Running {
    pub fn signal(&self, name: &str) {
        signal(self.child.id(), name);
    }

    /// How it ended.
    pub fn ended(&mut self) -> ExitStatus {
        let mut status = None;
        until("the process ends", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn signal(pid: u32, name: &str) {
    assert!(Command::new("sh").arg("-c").arg(format!("kill -{name} {pid}")).status().unwrap().success());
}

/// The exit code, what was printed, and what was said beside it.
pub fn told(mut command: Command) -> (i32, String, String) {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code().unwrap(), text(stdout), text(stderr))
}
