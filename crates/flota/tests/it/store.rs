//! `flota store serve` as a process: started like etcd, and what stops it.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

const FLOTA: &str = env!("CARGO_BIN_EXE_flota");
/// Every wait ends with this.
const PATIENCE: Duration = Duration::from_secs(20);

/// A store in a process of its own; killed if it is left alone.
pub struct Serving {
    child: Child,
    /// Where it listens.
    pub endpoint: String,
    /// Its log until it was ready.
    pub log: Vec<String>,
}

impl Serving {
    pub fn start(program: &Path, arguments: &[&str]) -> Serving {
        let mut command = Command::new(program);
        command.args(arguments).env_remove("NOTIFY_SOCKET").stdin(Stdio::null()).stdout(Stdio::null());
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let (lines, log) = mpsc::channel();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        std::thread::spawn(move || stderr.lines().map_while(Result::ok).all(|line| lines.send(line).is_ok()));
        let mut serving = Serving { child, endpoint: String::new(), log: Vec::new() };
        let deadline = Instant::now() + PATIENCE;
        while serving.endpoint.is_empty() {
            let left = deadline.saturating_duration_since(Instant::now());
            let line = log.recv_timeout(left).unwrap_or_else(|_| panic!("not ready: {:#?}", serving.log));
            if let Some((_, url)) = line.split_once("ready to serve client requests on ") {
                url.trim().clone_into(&mut serving.endpoint);
            }
            serving.log.push(line);
        }
        // Keeps the pipe open and empty.
        std::thread::spawn(move || log.into_iter().for_each(drop));
        serving
    }

    /// Starts `flota store serve` in `dir` on a free port.
    pub fn in_dir(dir: &Path, more: &[&str]) -> Serving {
        let dir = dir.to_str().unwrap();
        let arguments = ["store", "serve", "--data-dir", dir, "--listen-client-urls", "http://127.0.0.1:0"];
        Serving::start(Path::new(FLOTA), &[&arguments[..], more].concat())
    }

    pub fn etcdctl(&self, arguments: &[&str]) -> String {
        let output = self.try_etcdctl(arguments);
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    pub fn try_etcdctl(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new("etcdctl");
        command.env_clear().env("ETCDCTL_API", "3").env("ETCDCTL_ENDPOINTS", &self.endpoint);
        command.args(["--command-timeout=20s"]).args(arguments).output().unwrap()
    }

    /// Ends it with a signal, and tells its exit code.
    pub fn end(mut self, signal: &str) -> Option<i32> {
        Command::new("kill").args([signal, &self.child.id().to_string()]).status().unwrap();
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            assert!(Instant::now() < deadline, "it does not end");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs to its end what cannot serve.
fn refused(arguments: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(FLOTA).args(["store", "serve"]).args(arguments).output().unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn the_store_alone_is_started_like_etcd_and_ends_with_a_signal() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let flags = ["-name=m1", "--snapshot-count", "100", "--initial-cluster=m1=http://localhost:2380", "-logger=zap"];
    let serving = Serving::in_dir(&data, &flags);
    let log = serving.log.join("\n");
    assert!(log.contains("published {Name:m1") && log.contains("enabled capabilities for version"), "{log}");
    assert!(log.contains("without effect in a store of one member: --logger --snapshot-count"), "{log}");
    serving.etcdctl(&["put", "a", "1"]);
    assert!(serving.etcdctl(&["member", "list"]).contains(&format!("m1, http://localhost:2380, {}", serving.endpoint)));
    assert_eq!(serving.end("-TERM"), Some(0));
    let serving = Serving::in_dir(&data, &["--advertise-client-urls", "http://db.example:2379"]);
    assert_eq!(serving.etcdctl(&["get", "a", "--print-value-only"]), "1\n");
    assert!(serving.etcdctl(&["member", "list"]).contains("http://db.example:2379"));
    assert_eq!(serving.end("-INT"), Some(0));
}

#[test]
fn called_etcd_it_behaves_as_etcd() {
    let dir = tempfile::tempdir().unwrap();
    let etcd = dir.path().join("etcd");
    symlink(FLOTA, &etcd).unwrap();
    let version = Command::new(&etcd).arg("--version").output().unwrap();
    assert!(version.stdout.starts_with(b"etcd Version: 3.4.23\n"));
    let data: PathBuf = dir.path().join("d");
    let flags = ["-data-dir", data.to_str().unwrap(), "-listen-client-urls=http://localhost:0"];
    let serving = Serving::start(&etcd, &flags);
    serving.etcdctl(&["put", "a", "1"]);
    assert_eq!(serving.end("-TERM"), Some(0));
}

#[test]
fn what_cannot_start_says_why() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let data_dir = format!("--data-dir={}", data.display());
    let (code, error) = refused(&["--data-dirs=x"]);
    assert!(code == Some(2) && error.contains("--data-dir"), "{error}");
    let (code, error) = refused(&["--unsafe-no-fsync"]);
    assert!(code == Some(1) && error.contains("--unsafe-no-fsync is not supported"), "{error}");
    let file = dir.path().join("file");
    File::create(&file).unwrap();
    let (code, error) =
        refused(&[&format!("--data-dir={}", file.display()), "--listen-client-urls=http://127.0.0.1:0"]);
    assert!(code == Some(1) && error.contains("cannot make"), "{error}");
    let serving = Serving::in_dir(&data, &[]);
    serving.etcdctl(&["put", "a", "1"]);
    let (code, error) = refused(&[&format!("{data_dir}2"), &format!("--listen-client-urls={}", serving.endpoint)]);
    assert!(code == Some(1) && error.contains("already in use"), "{error}");
    let (code, error) = refused(&[&data_dir, "--listen-client-urls=http://127.0.0.1:0"]);
    assert!(code == Some(1) && error.contains("in use by process"), "{error}");
    drop(serving);
    let log = data.join("wal-0000000000000001.log");
    let mut bytes = std::fs::read(&log).unwrap();
    bytes[20] ^= 1;
    std::fs::write(&log, bytes).unwrap();
    let (code, error) = refused(&[&data_dir, "--listen-client-urls=http://127.0.0.1:0"]);
    assert!(code == Some(1) && error.contains("damaged at byte 0"), "{error}");
}

fn flota(arguments: &[&str]) -> (Option<i32>, String, String) {
    let output = Command::new(FLOTA).args(arguments).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn a_backup_of_a_running_store_is_restored_into_another() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let (file, copy) = (dir.path().join("backup.db"), dir.path().join("copy"));
    let (file_text, copy_text) = (file.to_str().unwrap(), copy.to_str().unwrap());
    let serving = Serving::in_dir(&dir.path().join("data"), &[]);
    serving.etcdctl(&["put", "a", "1"]);
    serving.etcdctl(&["put", "a", "2"]);
    let (code, _, said) = flota(&["store", "backup", file_text, "--endpoint", &serving.endpoint]);
    assert_eq!((code, said.as_str()), (Some(0), format!("saved revision 3 to {file_text}\n").as_str()));
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let (code, told, _) = flota(&["store", "status", file_text]);
    assert!(code == Some(0) && told.contains("revision  3\n") && told.contains("sha-256   right\n"), "{told}");
    let (code, told, _) = flota(&["store", "status", "--endpoint", &serving.endpoint]);
    assert!(code == Some(0) && told.contains("revision  3\n"), "{told}");
    assert_eq!(serving.end("-TERM"), Some(0));
    let (code, _, said) = flota(&["store", "restore", file_text, "--data-dir", copy_text]);
    assert!(code == Some(0) && said.contains("restored revision 3"), "{said}");
    let (code, _, said) = flota(&["store", "restore", file_text, "--data-dir", copy_text]);
    assert!(code == Some(1) && said.contains("is not empty"), "{said}");
    let serving = Serving::in_dir(&copy, &[]);
    assert_eq!(serving.etcdctl(&["get", "a", "--rev=2", "--print-value-only"]), "1\n");
    // A store that is away leaves nothing behind.
    let endpoint = serving.endpoint.clone();
    assert_eq!(serving.end("-TERM"), Some(0));
    let other = dir.path().join("other.db");
    let (code, _, said) = flota(&["store", "backup", other.to_str().unwrap(), "--endpoint", &endpoint]);
    assert!(code == Some(69) && said.contains("cannot save the store"), "{said}");
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 3);
}
