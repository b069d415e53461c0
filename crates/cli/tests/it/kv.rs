//! `flota kv` against a real embedded store.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    io::{self, Write},
    path::{Path, PathBuf},
    sync::mpsc,
    thread::JoinHandle,
    time::Duration,
};

use flota_cli::{Outcome, Terminal, run_with};
use flota_store::{Listen, Store, StoreConfig};
use tokio_util::sync::CancellationToken;

use crate::cluster::Ran;

/// Every wait of a test ends with this.
const PATIENCE: Duration = Duration::from_secs(20);

/// A store in a thread of its own, which can be stopped and started.
struct Served {
    directory: tempfile::TempDir,
    running: Option<(CancellationToken, JoinHandle<()>)>,
}

impl Drop for Served {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Served {
    fn start() -> Served {
        let mut store = Served { directory: tempfile::tempdir().unwrap(), running: None };
        store.resume();
        store
    }

    fn socket(&self) -> PathBuf {
        self.directory.path().join("store.sock")
    }

    fn resume(&mut self) {
        let (stop, stopped) = (CancellationToken::new(), CancellationToken::new());
        let (data, socket) = (self.directory.path().join("store"), self.socket());
        let (ready, is_ready) = mpsc::channel();
        let serving = stop.clone();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
            runtime.block_on(async {
                let store = Store::open(StoreConfig::new(data, vec![Listen::Unix(socket)])).await.unwrap();
                ready.send(()).unwrap();
                store.serve(serving).await.unwrap();
            });
            stopped.cancel();
        });
        is_ready.recv_timeout(PATIENCE).unwrap();
        self.running = Some((stop, thread));
    }

    fn stop(&mut self) {
        if let Some((stop, thread)) = self.running.take() {
            stop.cancel();
            thread.join().unwrap();
        }
    }

    fn kv(&self, arguments: &[&str]) -> Ran {
        let mut out = Vec::new();
        let (code, err) = run(&self.socket(), arguments, &mut out, &BTreeMap::new());
        Ran { code, out: String::from_utf8_lossy(&out).into_owned(), err }
    }

    #[track_caller]
    fn ok(&self, arguments: &[&str]) -> String {
        let ran = self.kv(arguments);
        assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{arguments:?}: {ran:?}");
        ran.out
    }

    #[track_caller]
    fn refuses(&self, arguments: &[&str], code: u8, words: &str) {
        let ran = self.kv(arguments);
        assert_eq!((ran.code, ran.out.as_str()), (code, ""), "{arguments:?}: {ran:?}");
        assert!(ran.err.contains(words), "{arguments:?}: {ran:?}");
    }
}

fn run(socket: &Path, arguments: &[&str], out: &mut dyn Write, more: &BTreeMap<&str, String>) -> (u8, String) {
    let endpoint = format!("unix://{}", socket.display());
    let variable = |name: &str| more.get(name).cloned().or((name == "FLOTA_KV_ENDPOINT").then(|| endpoint.clone()));
    let line = ["flota", "kv"].into_iter().chain(arguments.iter().copied()).map(OsString::from);
    let mut err = Vec::new();
    let Outcome::Exit(code) = run_with(line, variable, Terminal { out, err: &mut err, interactive: false }) else {
        panic!("not a daemon")
    };
    (code, String::from_utf8(err).unwrap())
}

fn json(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap()
}

#[test]
fn a_value_comes_back_as_it_was_put() {
    let store = Served::start();
    assert_eq!(store.ok(&["put", "/a", "blue"]), "");
    assert_eq!(store.ok(&["get", "/a"]), "blue\n");
    assert_eq!(store.ok(&["get", "/a", "--output", "value"]), "blue");
    assert_eq!(store.ok(&["put", "/a", "-1"]), "", "a value that looks like an option");
    assert_eq!(store.ok(&["get", "/a"]), "-1\n");

    let file = store.directory.path().join("bytes");
    std::fs::write(&file, b"\xff\0\n").unwrap();
    store.ok(&["put", "/bytes", "--file", file.to_str().unwrap()]);
    let mut out = Vec::new();
    run(&store.socket(), &["get", "/bytes", "--output", "value"], &mut out, &BTreeMap::new());
    assert_eq!(out, b"\xff\0\n");
    let got = json(&store.ok(&["get", "/bytes", "--output", "json"]));
    assert_eq!((&got["key"], &got["value_base64"], &got["version"]), (&"/bytes".into(), &"/wAK".into(), &1.into()));
    assert_eq!(store.ok(&["get", "--prefix", "/"]), "/a      -1\n/bytes  \\xff\\u{0}\\n\n");
    assert_eq!(store.ok(&["get", "--prefix", "/", "--keys"]), "/a\n/bytes\n");
    assert_eq!(store.ok(&["get", "--prefix", "/", "--limit", "1", "--output", "value"]), "-1\n");
    let revision = json(&store.ok(&["put", "/a", "3", "--output", "json"]))["revision"].as_i64().unwrap();
    assert_eq!(store.ok(&["get", "/a", "--rev", &(revision - 1).to_string()]), "-1\n");
}

#[test]
fn what_is_not_there_is_said_with_exit_code_1() {
    let store = Served::start();
    store.refuses(&["get", "/none"], 1, "there is no key /none\n");
    store.refuses(&["get", "/none", "--prefix"], 1, "no key begins with /none\n");
    store.refuses(&["get", "/none", "--rev", "99"], 1, "required revision is a future revision");
    store.refuses(&["rm", "/none"], 1, "there is no key /none\n");
    store.refuses(&["rm", "-r", "/none"], 1, "there is no key at or below /none\n");
    store.refuses(&["ls", "/none"], 1, "there is no key at or below /none\n");
    assert_eq!(store.ok(&["ls"]), "", "an empty store is no error");
    store.refuses(&["put", "/a", "x", "--prev-value", "y"], 1, "there is no key /a\n");
    store.refuses(&["put", "/a", "x", "--lease", "1f"], 1, "requested lease not found");
}

#[test]
fn puts_on_conditions() {
    let store = Served::start();
    store.ok(&["put", "/a", "1", "--create"]);
    store.refuses(&["put", "/a", "2", "--create"], 1, "/a is there already, since revision 2\n");
    store.refuses(&["put", "/a", "2", "--prev-value", "x"], 1, "the value of /a is another one: 1\n");
    store.ok(&["put", "/a", "2", "--prev-value", "1"]);
    assert_eq!(store.ok(&["get", "/a"]), "2\n");
}

#[test]
fn directories_are_listed_level_by_level() {
    let store = Served::start();
    for key in ["/s/web/1", "/s/web/2", "/s/db", "/s/web.txt", "top", "/s"] {
        store.ok(&["put", key, "v"]);
    }
    // A directory of more keys than one answer holds.
    for number in 0..120 {
        store.ok(&["put", &format!("/s/many/{number:03}"), "v"]);
    }
    assert_eq!(store.ok(&["ls"]), "/s\n/s/\ntop\n");
    assert_eq!(store.ok(&["ls", "/s/"]), "/s/db\n/s/many/\n/s/web.txt\n/s/web/\n");
    assert_eq!(store.ok(&["ls", "/s"]), "/s\n/s/db\n/s/many/\n/s/web.txt\n/s/web/\n");
    assert_eq!(store.ok(&["ls", "-r", "/s/web"]), "/s/web/1\n/s/web/2\n");
    assert_eq!(store.ok(&["ls", "-r", "/s/many"]).lines().count(), 120);
    assert_eq!(store.ok(&["ls", "-l", "top"]), "REVISION  SIZE  LEASE  KEY\n6         1     -      top\n");
    let rows = json(&store.ok(&["ls", "/s/", "--output", "json"]));
    assert_eq!((&rows[0]["key"], &rows[1]["directory"]), (&"/s/db".into(), &"/s/many/".into()));

    let ran = store.kv(&["rm", "-r", "/s/web"]);
    ran.check(0, "", "removed keys: 2\n");
    assert_eq!(store.ok(&["rm", "top", "--output", "json"]), "{\"deleted\":1,\"revision\":129}\n");
    assert_eq!(store.ok(&["ls", "/s/"]), "/s/db\n/s/many/\n/s/web.txt\n");
}

#[test]
fn the_clusters_own_keys_are_not_written() {
    let store = Served::start();
    for line in
        [&["put", "/flota/v1/leader", "me"][..], &["rm", "/flota/v1/leader"], &["rm", "-r", "/"], &["rm", "-r", ""]]
    {
        store.refuses(line, 1, "the keys below /flota/ are the cluster's own: nothing was changed\n");
    }
}

#[test]
fn leases_are_granted_shown_and_revoked() {
    let store = Served::start();
    let lease = store.ok(&["lease", "grant", "1m"]);
    let lease = lease.trim();
    store.ok(&["put", "/a", "1", "--lease", lease]);
    assert_eq!(store.ok(&["lease", "list"]), format!("{lease}\n"));
    let shown = store.ok(&["lease", "show", lease]);
    assert!(shown.ends_with("s of 60s left\n/a\n"), "{shown}");
    store.ok(&["lease", "keep-alive", "--once", lease]);
    store.ok(&["lease", "revoke", lease]);
    store.refuses(&["get", "/a"], 1, "there is no key /a");
    store.refuses(&["lease", "revoke", lease], 1, "requested lease not found");
    store.refuses(&["lease", "keep-alive", "--once", lease], 1, "has ended, or never was");
    store.refuses(&["lease", "show", lease], 1, "has ended, or never was");

    let put = json(&store.ok(&["put", "/b", "1", "--ttl", "2", "--output", "json"]));
    let shown = json(&store.ok(&["lease", "show", put["lease"].as_str().unwrap(), "--output", "json"]));
    assert_eq!((&shown["ttl_seconds"], &shown["keys"][0]), (&2.into(), &"/b".into()));
    // A put that fails leaves no lease behind.
    store.refuses(&["put", "/b", "1", "--ttl", "30s", "--create"], 1, "is there already");
    assert_eq!(store.ok(&["lease", "list"]).lines().count(), 1);
}

#[test]
fn what_cannot_be_understood_is_answered_with_what_can() {
    let store = Served::start();
    store.refuses(&["put", "/a", "1", "--ttl", "30x"], 2, "did you mean 30s?");
    store.refuses(
        &["put", "/a", "1", "--lease", "zz"],
        2,
        "a lease id is a hexadecimal number such as 694d7a8c1f2b3c04",
    );
    store.refuses(&["put", "/a", "1", "--lease", "1f", "--ttl", "5s"], 2, "the lease has its own");
    store.refuses(&["put", "/a"], 2, "required");
    store.refuses(
        &["put", "/a", "1", "--lease", "unit"],
        2,
        "name the unit whose life the key is to share: --lease unit:NAME",
    );
    store.refuses(&["put", "/a", "1", "--lease", "unit:web", "--create"], 2, "do not go with --lease unit");
    store.refuses(&["rm", "/a", "--lease", "1f"], 2, "--lease of rm is unit or unit:NAME");
    store.refuses(&["ls", "--endpoint", "10.0.0.1:2379"], 2, "it looks like http://HOST:PORT");
    store.refuses(&["ls", "--endpoint", "https://10.0.0.1:2379"], 2, "an https store needs --cacert");
}

#[test]
fn a_store_that_is_away_is_named() {
    let nowhere = tempfile::tempdir().unwrap();
    let mut out = Vec::new();
    let (code, err) = run(&nowhere.path().join("none.sock"), &["get", "/a"], &mut out, &BTreeMap::new());
    assert_eq!(code, 69);
    assert!(
        err.contains("cannot read /a: the store at unix://") && err.contains("out of reach (No such file"),
        "{err}"
    );
    assert!(err.contains("hint: there is no "), "{err}");
    // The daemon, for a registration.
    let daemon = BTreeMap::from([("FLOTA_ENDPOINT", format!("unix://{}/api.sock", nowhere.path().display()))]);
    let line = ["put", "/a", "1", "--lease", "unit:web"];
    let (code, err) = run(&nowhere.path().join("none.sock"), &line, &mut out, &daemon);
    assert_eq!(code, 69);
    assert!(err.starts_with("cannot register /a for web.service: cannot connect to unix://"), "{err}");
}

/// Takes `left` lines and then is gone, as the reader of a pipe can be.
struct Reader {
    lines: mpsc::Sender<String>,
    left: usize,
}

impl Write for Reader {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.left == 0 {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        self.left -= 1;
        let _ = self.lines.send(String::from_utf8_lossy(bytes).into_owned());
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Watches in a thread until it wants to tell of one change more than `changes`.
fn watch(store: &Served, line: &[&'static str], changes: usize) -> (mpsc::Receiver<String>, JoinHandle<(u8, String)>) {
    let (lines, told) = mpsc::channel();
    let (socket, line) = (store.socket(), [&["watch"], line].concat());
    let watching =
        std::thread::spawn(move || run(&socket, &line, &mut Reader { lines, left: changes }, &BTreeMap::new()));
    (told, watching)
}

#[test]
fn a_watch_goes_on_where_it_was_when_the_store_is_back() {
    let mut store = Served::start();
    store.ok(&["put", "/w/0", "before"]);
    let (told, watching) = watch(&store, &["--prefix", "/w/", "--rev", "2"], 4);
    let next = || told.recv_timeout(PATIENCE).unwrap();
    assert_eq!(next(), "put     /w/0  before\n");
    store.ok(&["put", "/w/1", "x"]);
    assert_eq!(next(), "put     /w/1  x\n");
    store.stop();
    store.resume();
    store.ok(&["rm", "/w/1"]);
    store.ok(&["put", "/w/2", "y"]);
    assert_eq!(next(), "delete  /w/1\n", "what happened first after the store was away");
    assert_eq!(next(), "put     /w/2  y\n");
    // Its reader is gone: no word about it.
    store.ok(&["put", "/w/3", "z"]);
    let (code, err) = watching.join().unwrap();
    assert_eq!(code, 1);
    assert!(err.lines().count() == 1 && err.ends_with("; watching again from revision 4\n"), "{err}");
}

#[test]
fn a_watch_runs_a_command_for_each_change() {
    let store = Served::start();
    store.ok(&["put", "/a", "1"]);
    store.ok(&["put", "/a", "2"]);
    store.ok(&["rm", "/a"]);
    let log = store.directory.path().join("log");
    let script = format!(
        "echo $FLOTA_KV_EVENT $FLOTA_KV_KEY $FLOTA_KV_REVISION $FLOTA_KV_VALUE $(cat) >> {0}; \
         [ $FLOTA_KV_EVENT = put ] || exit 3",
        log.display()
    );
    let socket = store.socket();
    // It goes on watching; the end of the test program ends it.
    std::thread::spawn(move || {
        run(&socket, &["watch", "/a", "--rev", "2", "--exec", "sh", "-c", &script], &mut io::sink(), &BTreeMap::new())
    });
    let expected = "put /a 2 1 1\nput /a 3 2 2\ndelete /a 4\n";
    let deadline = std::time::Instant::now() + PATIENCE;
    while std::fs::read_to_string(&log).unwrap_or_default() != expected {
        assert!(std::time::Instant::now() < deadline, "{:?}", std::fs::read_to_string(&log));
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn json_changes_are_one_document_per_line() {
    let store = Served::start();
    store.ok(&["put", "/a", "1"]);
    store.ok(&["rm", "/a"]);
    let (told, watching) = watch(&store, &["/a", "--rev", "2", "--output", "json"], 2);
    let next = || json(&told.recv_timeout(PATIENCE).unwrap());
    let (put, delete) = (next(), next());
    assert_eq!((&put["event"], &put["value"], &put["mod_revision"]), (&"put".into(), &"1".into(), &2.into()));
    assert_eq!((&delete["event"], &delete["key"], &delete["value"]), (&"delete".into(), &"/a".into(), &().into()));
    store.ok(&["put", "/a", "2"]);
    assert_eq!(watching.join().unwrap(), (1, String::new()));
}
