//! `flota conf run`, and the program called as confd: what flags and signals do, bursts, and kills at any moment.

use std::fs;
use std::io::Read as _;
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::conf_rig::{PATIENCE, Place, told, until};
use crate::store::Serving;

#[test]
fn an_unknown_flag_is_told_with_the_usage_and_exit_code_2() {
    let place = Place::with_one("");
    let (code, out, error) = told(place.confd(&["-nosuch"]));
    assert_eq!((code, out.as_str()), (2, ""));
    assert!(error.contains("nosuch") && error.contains("Usage"), "{error}");
}

#[test]
fn keys_of_confd_toml_that_nothing_here_reads_are_told() {
    let place = Place::with_one("");
    let names = ["auth_type", "app_id", "user_id", "role_id", "secret_id", "path", "table", "separator", "role"];
    let lines = names.map(|name| format!("{name} = \"x\"\n")).concat();
    let keys = place.path("keys.yaml").display().to_string();
    fs::write(place.path("confd.toml"), format!("{lines}backend = \"file\"\nfile = [\"{keys}\"]\n")).unwrap();
    let (code, _, error) = told(place.confd(&["-onetime"]));
    assert_eq!(code, 0, "{error}");
    let line = error.lines().find(|line| line.contains("nothing here reads")).unwrap();
    assert!(names.iter().all(|name| line.contains(&name.replace('_', "-"))), "{line}");
    assert_eq!(place.read("a"), "k is 1\n");
}

#[test]
fn noop_tells_the_difference_and_changes_nothing() {
    let place = Place::with_one("check_cmd = \"touch OUT/checked\"\nreload_cmd = \"touch OUT/reloaded\"\n");
    fs::write(place.path("out/a"), "k is 0\n").unwrap();
    let (code, _, error) = told(place.flota("run", &["--onetime", "--noop"]));
    assert_eq!(code, 0, "{error}");
    assert!(error.contains("-k is 0\n+k is 1\n"), "{error}");
    assert_eq!((place.read("a").as_str(), place.names()), ("k is 0\n", vec!["a".to_owned()]));
    assert!(!place.path("state").exists());
}

#[test]
fn sync_only_writes_files_and_runs_neither_checks_nor_reloads() {
    let place = Place::with_one("check_cmd = \"touch OUT/checked; false\"\nreload_cmd = \"touch OUT/reloaded\"\n");
    assert_eq!(told(place.flota("run", &["--onetime", "--sync-only"])).0, 0);
    assert_eq!((place.read("a").as_str(), place.names()), ("k is 1\n", vec!["a".to_owned()]));
}

#[test]
fn a_staged_file_that_failed_its_check_is_kept_if_so_told_and_goes_with_the_next_start() {
    let place = Place::with_one("check_cmd = \"false\"\n");
    assert_eq!(told(place.flota("run", &["--onetime", "--keep-stage-file"])).0, 1);
    let [kept] = &place.names()[..] else { panic!("{:?}", place.names()) };
    assert_eq!(place.read(kept), "k is 1\n");
    assert_eq!(told(place.flota("run", &["--onetime"])).0, 1);
    assert_eq!(place.names(), [""; 0]);
}

#[test]
fn values_are_not_in_the_log() {
    let place = Place::with_one("check_cmd = \"true\"\nreload_cmd = \"true\"\n");
    place.keys("k: hidden-value");
    let (code, _, error) = told(place.flota("run", &["--onetime", "--log-level", "debug"]));
    assert_eq!((code, place.read("a").as_str()), (0, "k is hidden-value\n"));
    assert!(error.contains("has been updated") && !error.contains("hidden-value"), "{error}");
}

#[test]
fn hangup_reads_settings_and_resources_again() {
    let place = Place::with_one("");
    place.keys("k: 1\nother: {k: 2}");
    let running = place.start(place.following());
    place.eventually("a", "k is 1\n");
    fs::write(place.path("confd.toml"), "prefix = \"/other\"\n").unwrap();
    place.resource("b.toml", "[template]\nsrc = \"a\"\ndest = \"OUT/b\"\nkeys = [\"/k\"]\n");
    running.signal("HUP");
    place.eventually("a", "k is 2\n");
    place.eventually("b", "k is 2\n");
    // A mistake leaves the settings as they are.
    fs::write(place.path("confd.toml"), "prefixx = \"/\"\n").unwrap();
    running.signal("HUP");
    until("the mistake is told", || place.log().contains("prefixx"));
    place.keys("other: {k: 3}");
    place.eventually("a", "k is 3\n");
}

#[test]
fn an_end_waits_for_the_reload_that_runs_and_begins_no_other() {
    let place = Place::with_one("reload_cmd = \"echo begun >> OUT/log; sleep 1; echo done >> OUT/log\"\n");
    let mut running = place.start(place.following());
    place.eventually("log", "begun\n");
    place.keys("k: 2");
    running.signal("TERM");
    assert_eq!(running.ended().code(), Some(0));
    assert_eq!(place.read("log"), "begun\ndone\n");
}

#[test]
fn a_store_that_does_not_answer_keeps_nobody_from_ending() {
    let place = Place::with_one("");
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let node = format!("http://{}", silent.local_addr().unwrap());
    for (mode, code) in [("-onetime", 1), ("-watch", 0), ("-interval=60", 0)] {
        for backend in ["etcd", "etcdv3"] {
            let mut running = place.start(place.confd(&[mode, "-backend", backend, "-node", &node]));
            // It has asked: it waits for the answer now.
            let mut asked = silent.accept().unwrap().0;
            asked.read_exact(&mut [0; 1]).unwrap();
            running.signal("TERM");
            let begun = Instant::now();
            assert_eq!(running.ended().code(), Some(code), "{mode} {backend}: {}", place.log());
            assert!(begun.elapsed() < Duration::from_secs(2), "{mode} {backend}");
        }
    }
}

#[test]
fn a_store_that_goes_is_told_once_and_once_when_it_is_back() {
    let (place, dir) = (Place::with_one(""), tempfile::tempdir().unwrap());
    let store = Serving::in_dir(dir.path(), &[]);
    store.etcdctl(&["put", "/k", "1"]);
    let endpoint = store.endpoint.clone();
    let _running = place.start(place.confd(&["-watch", "-backend", "etcdv3", "-node", &endpoint]));
    place.eventually("a", "k is 1\n");
    drop(store);
    let lines = |what: &str| place.log().lines().filter(|line| line.contains(what)).count();
    until("that it is away is told", || lines("until it is back") == 1);
    sleep(Duration::from_secs(1));
    let arguments = ["store", "serve", "--data-dir", dir.path().to_str().unwrap(), "--listen-client-urls", &endpoint];
    let store = Serving::start(Path::new(env!("CARGO_BIN_EXE_flota")), &arguments);
    store.etcdctl(&["put", "/k", "2"]);
    place.eventually("a", "k is 2\n");
    assert_eq!((lines("until it is back"), lines("the backend is back")), (1, 1), "{}", place.log());
}

/// Debian's etcd.
struct Etcd {
    child: Child,
    url: String,
    _dir: tempfile::TempDir,
}

impl Etcd {
    fn start() -> Etcd {
        let free = || TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let (url, peer) = (format!("http://{}", free()), format!("http://{}", free()));
        let memory = Path::new("/dev/shm");
        let dir = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap();
        let mut command = Command::new("etcd");
        command.arg("--data-dir").arg(dir.path()).args(["--listen-client-urls", &url, "--advertise-client-urls", &url]);
        command.args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer]);
        command.args(["--initial-cluster", &format!("default={peer}")]);
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        Etcd { child, url, _dir: dir }
    }
}

impl Drop for Etcd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn two_hundred_quick_puts_are_three_renderings_and_two_reloads_at_most() {
    let place = Place::with_one("reload_cmd = \"echo reloaded >> OUT/log\"\n");
    let etcd = Etcd::start();
    let begun = Instant::now();
    let mut client = loop {
        let client = etcd_client::Client::connect([&etcd.url], None).await;
        if let Ok(mut client) = client
            && client.put("/k", "0", None).await.is_ok()
        {
            break client;
        }
        assert!(begun.elapsed() < PATIENCE, "etcd does not start");
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    let _running = place.start(place.confd(&["-watch", "-backend", "etcdv3", "-node", &etcd.url]));
    place.eventually("log", "reloaded\n");
    // A quiet time, so that the first of them is rendered at once.
    tokio::time::sleep(Duration::from_millis(200)).await;
    let puts = Instant::now();
    for n in 1..=200 {
        client.put("/k", n.to_string(), None).await.unwrap();
    }
    let took = puts.elapsed();
    place.eventually("a", "k is 200\n");
    tokio::time::sleep(Duration::from_millis(500)).await;
    // Each value is another: each rendering is an update.
    let renderings = place.log().matches("has been updated").count() - 1;
    let reloads = place.read("log").lines().count() - 1;
    // What takes longer than a second is rendered once a second beside that.
    let more = took.as_secs() as usize;
    assert!(renderings <= 3 + more && reloads <= 2 + more, "{renderings} renderings, {reloads} reloads in {took:?}");
}

/// Rounds of the kills.
const ROUNDS: u32 = 30;

#[test]
fn a_kill_at_any_moment_leaves_each_file_old_or_new_and_the_next_start_finishes_the_work() {
    let place = Place::new();
    let table = |name: &str| {
        format!(
            "[[template]]\nsrc = \"{name}\"\ndest = \"OUT/{name}\"\nkeys = [\"/k\"]\n\
             check_cmd = \"test -s {{{{.src}}}}\"\nreload_cmd = \"cat OUT/b > OUT/taken\"\nrollback = true\n"
        )
    };
    place.resource("g.toml", &(table("a") + &table("b")));
    // Long enough that a half of one could be seen.
    for name in ["a", "b"] {
        place.template(name, &format!("{name}{{{{range seq 1 20000}}}} {{{{getv \"/k\"}}}}{{{{end}}}} end"));
    }
    let whole = |name: &str, n: u32| format!("{name}{} end", format!(" {n}").repeat(20_000));
    place.keys("k: 0");
    let begun = Instant::now();
    assert_eq!(told(place.flota("run", &["--onetime"])).0, 0);
    let one_run = begun.elapsed();
    let (mut old, mut new) = (0, 0);
    for round in 1..=ROUNDS {
        let seen_before = place.read("a");
        place.keys(&format!("k: {round}"));
        let mut running = place.start(place.following());
        // From before the first reading to after the last step.
        sleep(one_run * 5 / 4 * round / ROUNDS);
        running.child.kill().unwrap();
        running.ended();
        for name in ["a", "b"] {
            let there = place.read(name);
            let is_whole = (0..=round).rev().any(|n| there == whole(name, n));
            assert!(is_whole, "round {round}: {name} is {} bytes: {:.40}", there.len(), there);
        }
        if place.read("a") == seen_before { old += 1 } else { new += 1 }
    }
    assert_eq!(told(place.flota("run", &["--onetime"])).0, 0);
    let last = |name: &str| whole(name, ROUNDS);
    assert!(place.read("a") == last("a") && place.read("b") == last("b") && place.read("taken") == last("b"));
    assert_eq!(place.names(), ["a", "b", "taken"], "{old} kills left the old file, {new} the new one");
    assert_eq!(fs::read_dir(place.path("state")).unwrap().count(), 0);
}
