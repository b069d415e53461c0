//! The checks that a stranger can run by hand (`checks/*.sh`), on both stores side by side: the same words, but for ids and times.

use std::path::Path;
use std::process::{Command, Stdio};

use flota_conformance::{Kind, Server};

/// How a check says in its first line that the store is to be started with further flags.
const FLAGS: &str = "# etcd's flags: ";

/// Runs a check against a store of its own; gives all that it said.
fn run(kind: Kind, check: &str) -> String {
    let flags = check.lines().next().and_then(|line| line.strip_prefix(FLAGS)).unwrap_or_default();
    let flags: Vec<String> = flags.split_whitespace().map(str::to_owned).collect();
    let server = Server::start_with(kind, &flags);
    let dir = tempfile::tempdir().unwrap();
    let mut command = Command::new("timeout");
    command.args(["240", "bash", "-c", check]).current_dir(&dir).stdin(Stdio::null());
    command.env("ETCDCTL_API", "3").env("ETCDCTL_ENDPOINTS", server.addr().to_string());
    let output = command.output().unwrap();
    let text = [output.stdout, b"--- errors\n".to_vec(), output.stderr].concat();
    normal(&String::from_utf8_lossy(&text), &server.addr().to_string())
}

/// Without addresses, ids, terms, times, and the log that etcdctl keeps beside its words.
fn normal(text: &str, addr: &str) -> String {
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with("{\"level\":")).collect();
    let text = lines.join("\n").replace(addr, "ADDR");
    let mut normal = String::new();
    let mut word = String::new();
    for c in text.chars().chain(['\n']) {
        if c.is_alphanumeric() || c == '.' {
            word.push(c);
            continue;
        }
        let is_id = word.len() >= 12 && word.chars().all(|c| c.is_ascii_hexdigit());
        let is_term = word.parse::<u64>().is_ok() && normal.ends_with("\"raft_term\":");
        let is_quoted_term = word.parse::<u64>().is_ok() && normal.ends_with("\"raft_term\":\"");
        let unit = word.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
        let is_time =
            unit.len() < word.len() && matches!(unit, "ms" | "µs") || word.contains('T') && word.ends_with('Z');
        normal.push_str(match () {
            () if is_id => "ID",
            () if is_term || is_quoted_term => "TERM",
            () if is_time => "TIME",
            () => &word,
        });
        word.clear();
        normal.push(c);
    }
    normal
}

/// Their names and texts.
fn checks() -> Vec<(String, String)> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("checks");
    let paths = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let name = |path: &Path| path.file_stem().unwrap().to_string_lossy().into_owned();
    let mut checks: Vec<_> = paths.map(|path| (name(&path), std::fs::read_to_string(&path).unwrap())).collect();
    checks.sort();
    checks
}

#[test]
fn words_that_differ_by_nature_are_left_out() {
    let text = r#"{"cluster_id":14841639068965178418,"raft_term":2} lease 694d8a1c2f0e3b05 took 1.5ms at 127.0.0.1:1"#;
    assert_eq!(normal(text, "127.0.0.1:1"), "{\"cluster_id\":ID,\"raft_term\":TERM} lease ID took TIME at ADDR\n");
}

/// All at once: they mostly wait.
#[test]
#[ignore = "needs Debian's etcd; run by cargo xtask test"]
fn what_a_stranger_can_check_is_the_same_on_etcd_and_ours() {
    let checks = checks();
    assert!(checks.len() >= 16, "{checks:?}");
    let differing: Vec<String> = std::thread::scope(|scope| {
        let runs: Vec<_> = checks
            .iter()
            .map(|(name, check)| {
                let etcd = scope.spawn(move || run(Kind::Etcd, check));
                (name, etcd, scope.spawn(move || run(Kind::Flota, check)))
            })
            .collect();
        let differing = runs.into_iter().filter_map(|(name, etcd, flota)| {
            let (etcd, flota) = (etcd.join().unwrap(), flota.join().unwrap());
            (etcd != flota).then(|| format!("{name}\n=== etcd\n{etcd}\n=== flota\n{flota}"))
        });
        differing.collect()
    });
    assert!(differing.is_empty(), "{} checks differ:\n{}", differing.len(), differing.join("\n"));
}

/// Here the two differ on purpose: etcd keeps its two APIs' keys apart.
#[test]
#[ignore = "needs Debian's etcdctl; run by cargo xtask test"]
fn what_v2_writes_is_read_by_v3_and_the_other_way_round_on_ours() {
    let check = "# etcd's flags: --enable-v2
        curl -s -o /dev/null -X PUT http://$ETCDCTL_ENDPOINTS/v2/keys/svc/a -d value=1
        etcdctl get /svc/a
        etcdctl put /svc/b 2
        ETCDCTL_API=2 etcdctl --endpoints http://$ETCDCTL_ENDPOINTS get /svc/b
        ETCDCTL_API=2 etcdctl --endpoints http://$ETCDCTL_ENDPOINTS ls --recursive /";
    let said = "/svc/a\n1\nOK\n2\n/svc\n/svc/a\n/svc/b\n--- errors\n";
    assert_eq!(run(Kind::Flota, check), said);
}
