//! Debian's etcdctl before Debian's etcd and before the store: the same commands, the same words, the same exit codes.

use std::io::Write;
use std::net::SocketAddr;
use std::process::{Command, Stdio};

use crate::real_etcd::RealEtcd;
use crate::support::*;

/// What is typed after `etcdctl`, one command a line; after `<<` what is typed when it asks for a password.
///
/// Up to `auth enable` everything is done by nobody. Words that hold nothing are written as `''`.
const COMMANDS: &str = "
put /app/old 1
user list
role list
user add root:pw
user add root:pw
user add '':pw
user add app --interactive=false << first
user add cert --no-password
user list
user get root
user get nobody
user get nobody -w json
user passwd nobody --interactive=false << x
user delete nobody
user grant-role root root
user grant-role root nothing
user grant-role nobody root
user revoke-role app nothing
role add root
role add app
role add app
role add ''
role list
role get app
role get nothing
role delete nothing
role grant-permission app readwrite /app/ --prefix
role grant-permission app read k1 k5
role grant-permission app write w
role grant-permission app read z --from-key
role grant-permission app write k1 k5
role grant-permission app readwrite k1 k5
role grant-permission nothing read k
role grant-permission app
role grant-permission app execute k
role get app
role get app -w json
role revoke-permission app k1
role revoke-permission app k1 k4
user grant-role app app
user grant-role app app
user grant-role cert app
user get app
user get app --detail
user get app -w json
auth enable
auth enable
put a b
get a
del a
user list
role list
user get app
auth disable
lease timetolive 7 --keys
--user=root:pw put a b
--user=root:pw get a
--user=root:wrong get a
--user=nobody:pw get a
--user=cert:pw get a
--user=app:first put /app/x 1
--user=app:first get /app/ --prefix
--user=app:first get /app/ --prefix --from-key
--user=app:first put other 1
--user=app:first get other
--user=app:first get '' --prefix
--user=app:first get k1 k5
--user=app:first get k1 k6
--user=app:first get k0 k3
--user=app:first put k2 2
--user=app:first put k5 2
--user=app:first put w 1
--user=app:first get w
--user=app:first put w 1 --prev-kv
--user=app:first get z --from-key
--user=app:first get y --from-key
--user=app:first del w
--user=app:first del w --prev-kv
--user=app:first del /app/ --prefix --prev-kv
--user=app:first del a
--user=app:first user list
--user=app:first user get app
--user=app:first user get root
--user=app:first role get app
--user=app:first role get root
--user=app:first role list
--user=app:first user add x:y
--user=app:first user passwd app --interactive=false << stolen
--user=app:first auth disable
--user=app:first defrag
--user=app:first member remove 1
--user=root:pw user list
--user=root:pw user passwd app --interactive=false << second
--user=app:first get k1
--user=app:second get k2
--user=root:pw role revoke-permission app k1 k5
--user=root:pw role revoke-permission app k1 k5
--user=app:second get k2
--user=root:pw user revoke-role app app
--user=root:pw user revoke-role app app
--user=app:second get /app/x
--user=root:pw user grant-role app app
--user=root:pw role delete app
--user=root:pw user get app
--user=app:second get /app/x
--user=root:pw user delete root
--user=root:pw user revoke-role root root
--user=root:pw role delete root
--user=root:pw user delete app
--user=app:second get /app/x
--user=root:pw auth disable
--user=root:pw auth disable
get a
--user=app:second get a
user delete root
auth enable
user add root:pw
auth enable
";

/// One server to type at.
struct Endpoint {
    name: &'static str,
    addr: SocketAddr,
}

impl Endpoint {
    /// What a command prints and how it ends, without what cannot be the same.
    fn run(&self, line: &str) -> String {
        let (line, input) = line.split_once(" << ").unwrap_or((line, ""));
        let words = line.split(' ').map(|word| word.replace("''", ""));
        let mut child = Command::new("etcdctl")
            .env("ETCDCTL_API", "3")
            .arg(format!("--endpoints={}", self.addr))
            .args(words)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // A command that asks for nothing may have ended already.
        let _ = child.stdin.take().unwrap().write_all(format!("{input}\n").as_bytes());
        let output = child.wait_with_output().unwrap();
        let complaints = String::from_utf8(output.stderr).unwrap();
        // The log lines above an error carry the time and a random name.
        let complaints: Vec<&str> = complaints.lines().filter(|line| !line.starts_with('{')).collect();
        let answer = String::from_utf8(output.stdout).unwrap().replace(&self.addr.to_string(), "ENDPOINT");
        let complaints = complaints.join("\n").replace(&self.addr.to_string(), "ENDPOINT");
        format!("exit {:?}\n{}{}", output.status.code(), without_ids(&answer), complaints)
    }
}

/// Who answers and its term differ from server to server.
fn without_ids(text: &str) -> String {
    let mut text = text.to_owned();
    for name in ["\"cluster_id\":", "\"member_id\":", "\"raft_term\":"] {
        while let Some(at) =
            text.find(&format!("{name}1")).or_else(|| (2..=9).find_map(|digit| text.find(&format!("{name}{digit}"))))
        {
            let start = at + name.len();
            let end = start + text[start..].find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len() - start);
            text.replace_range(start..end, "ID");
        }
    }
    text
}

#[test]
#[ignore = "needs etcd and etcdctl; run by cargo xtask test"]
fn etcdctl_tells_users_and_roles_before_the_store_as_before_etcd() {
    let dir = tempfile::tempdir().unwrap();
    let process = Process::start(dir.path(), free_addr());
    let etcd = RealEtcd::start();
    let ours = Endpoint { name: "store", addr: process.addr };
    let theirs = Endpoint { name: "etcd", addr: etcd.addr };
    let mut differences = Vec::new();
    for line in COMMANDS.lines().filter(|line| !line.is_empty()) {
        let (store, etcd) = (ours.run(line), theirs.run(line));
        if store != etcd {
            differences.push(format!("etcdctl {line}\n{}: {store}\n{}: {etcd}", ours.name, theirs.name));
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n\n"));
}
