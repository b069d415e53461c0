//! Debian's own etcdctl against the store.

use std::net::SocketAddr;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use crate::support::*;

struct Etcdctl {
    addr: SocketAddr,
}

impl Etcdctl {
    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new("etcdctl");
        command.env("ETCDCTL_API", "3").arg(format!("--endpoints={}", self.addr)).args(args);
        command
    }

    fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
    }

    /// Runs it, expects success, gives what it printed.
    #[track_caller]
    fn ok(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs it, expects failure, gives what it complained.
    #[track_caller]
    fn fails(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert!(!output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stdout));
        String::from_utf8(output.stderr).unwrap()
    }

    fn txn(&self, script: &str) -> String {
        use std::io::Write;
        let mut child = self.command(&["txn"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
        String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap()
    }

    /// What a watch prints within a second.
    fn watch(&self, args: &[&str], meanwhile: impl FnOnce()) -> String {
        let mut child = self.command(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(500));
        meanwhile();
        std::thread::sleep(Duration::from_millis(500));
        let _ = child.kill();
        let output = child.wait_with_output().unwrap();
        String::from_utf8([output.stdout, output.stderr].concat()).unwrap()
    }
}

#[test]
#[ignore = "needs etcdctl; run by cargo xtask test"]
fn etcdctl_finds_everything_as_in_etcd() {
    let dir = tempfile::tempdir().unwrap();
    let process = Process::start(dir.path(), free_addr());
    let etcdctl = Etcdctl { addr: process.addr };
    keys(&etcdctl);
    history(&etcdctl);
    transactions(&etcdctl);
    watches(&etcdctl);
    leases(&etcdctl);
    cluster(&etcdctl);
}

fn keys(etcdctl: &Etcdctl) {
    assert_eq!(etcdctl.ok(&["put", "a", "1"]), "OK\n");
    let json = etcdctl.ok(&["get", "a", "-w", "json"]);
    assert!(
        json.contains(r#""revision":2"#) && json.contains(r#""create_revision":2,"mod_revision":2,"version":1"#),
        "{json}"
    );
    for key in ["k1", "k2", "k3"] {
        etcdctl.ok(&["put", key, "v"]);
    }
    let sorted = etcdctl.ok(&[
        "get",
        "k",
        "--prefix",
        "--limit",
        "2",
        "--order",
        "DESCEND",
        "--sort-by",
        "MODIFY",
        "--keys-only",
    ]);
    assert_eq!(sorted, "k3\n\nk2\n\n");
    assert_eq!(etcdctl.ok(&["put", "a", "2", "--prev-kv"]), "OK\na\n1\n");
}

fn history(etcdctl: &Etcdctl) {
    assert_eq!(etcdctl.ok(&["get", "a", "--rev", "2"]), "a\n1\n");
    assert!(etcdctl.fails(&["get", "a", "--rev", "999"]).contains("required revision is a future revision"));
    assert_eq!(etcdctl.ok(&["compaction", "3"]), "compacted revision 3\n");
    assert!(etcdctl.fails(&["get", "a", "--rev", "2"]).contains("required revision has been compacted"));
    assert!(etcdctl.fails(&["watch", "a", "--rev", "2"]).contains("required revision has been compacted"));
}

fn transactions(etcdctl: &Etcdctl) {
    let script = "ver(\"n\") = \"0\"\n\nput n 1\n\nget n\n\n";
    assert_eq!(etcdctl.txn(script), "SUCCESS\n\nOK\n");
    assert_eq!(etcdctl.txn(script), "FAILURE\n\nn\n1\n");
    assert_eq!(etcdctl.ok(&["lock", "m", "echo", "held"]), "held\n");
}

fn watches(etcdctl: &Etcdctl) {
    assert_eq!(etcdctl.ok(&["del", "k", "--prefix"]), "3\n");
    assert_eq!(etcdctl.ok(&["get", "k", "--prefix"]), "");
    let replay = etcdctl.watch(&["watch", "--prefix", "k", "--rev", "3"], || {});
    assert_eq!(replay, "PUT\nk1\nv\nPUT\nk2\nv\nPUT\nk3\nv\nDELETE\nk1\n\nDELETE\nk2\n\nDELETE\nk3\n\n");
    let live = etcdctl.watch(&["watch", "live"], || {
        etcdctl.ok(&["put", "live", "now"]);
    });
    assert_eq!(live, "PUT\nlive\nnow\n");
}

fn leases(etcdctl: &Etcdctl) {
    let grant = etcdctl.ok(&["lease", "grant", "2"]);
    let id = grant.split(' ').nth(1).unwrap();
    assert_eq!(grant, format!("lease {id} granted with TTL(2s)\n"));
    etcdctl.ok(&["put", &format!("--lease={id}"), "svc/web", "10.0.0.1:80"]);
    let mut keeper = etcdctl.command(&["lease", "keep-alive", id]).stdout(Stdio::null()).spawn().unwrap();
    std::thread::sleep(Duration::from_secs(3));
    let told = etcdctl.ok(&["lease", "timetolive", id, "--keys"]);
    assert!(told.contains("granted with TTL(2s)") && told.contains("attached keys([svc/web])"), "{told}");
    let _ = keeper.kill();
    let _ = keeper.wait();
    let start = Instant::now();
    while !etcdctl.ok(&["get", "svc/web"]).is_empty() {
        assert!(start.elapsed() < Duration::from_secs(5), "the key outlives its lease");
        std::thread::sleep(Duration::from_millis(100));
    }
    assert!(etcdctl.ok(&["lease", "timetolive", id]).contains("already expired"));
    let grant = etcdctl.ok(&["lease", "grant", "60"]);
    let id = grant.split(' ').nth(1).unwrap();
    // The lock's session may still be there: etcdctl leaves it to its time.
    assert!(etcdctl.ok(&["lease", "list"]).contains(&format!("\n{id}\n")));
    assert_eq!(etcdctl.ok(&["lease", "revoke", id]), format!("lease {id} revoked\n"));
}

fn cluster(etcdctl: &Etcdctl) {
    etcdctl.ok(&["endpoint", "health"]);
    let status = etcdctl.ok(&["endpoint", "status"]);
    assert!(status.contains(&etcdctl.addr.to_string()) && status.contains("true"), "{status}");
    assert!(etcdctl.ok(&["member", "list"]).contains(&format!("http://{}", etcdctl.addr)));
    assert_eq!(etcdctl.ok(&["alarm", "list"]), "");
    assert_eq!(etcdctl.ok(&["user", "list"]), "");
    let dir = tempfile::tempdir().unwrap();
    let saved = dir.path().join("saved.db");
    let saved = saved.to_str().unwrap();
    assert!(etcdctl.ok(&["snapshot", "save", saved]).contains("Snapshot saved"));
    assert!(etcdctl.ok(&["snapshot", "status", saved]).contains(", "));
    assert!(etcdctl.fails(&["member", "add", "two", "--peer-urls", "http://127.0.0.1:1"]).contains("Error: "));
}
