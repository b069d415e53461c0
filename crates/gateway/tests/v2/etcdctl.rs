//! Debian's etcdctl with ETCDCTL_API=2, on Debian's etcd and on ours: the same output and exit codes.

use std::net::SocketAddr;
use std::process::{Command, Stdio};

use crate::support::{Etcd, Served};

const SCRIPT: &[&str] = &[
    "set /a/b 1",
    "get /a/b",
    "set /a/b 2 --swap-with-value 1",
    "set /a/b 3 --swap-with-value 9",
    "mk /a/b x",
    "mk /a/c x",
    "mk --in-order /q x",
    "mkdir /d",
    "mkdir /d",
    "setdir /d2",
    "updatedir /d2 --ttl 100",
    "update /a/b 5",
    "update /nope 5",
    "ls -r --sort",
    "ls -p --sort /",
    "ls --sort /a",
    "ls /nope",
    "rm /a",
    "rmdir /d",
    "rm --dir /d2",
    "rm --with-value 7 /a/b",
    "rm /a/c",
    "rm --recursive /a",
    "get /a/b",
    "set /t 1 --ttl 100",
    "get /a",
    "ls --recursive --sort /",
    "auth enable",
    "user list",
    "role list",
];

fn etcdctl(addr: SocketAddr, arguments: &str) -> String {
    let output = Command::new("etcdctl")
        .env("ETCDCTL_API", "2")
        .args(["--endpoints", &format!("http://{addr}")])
        .args(arguments.split(' '))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    format!("{}{}{:?}", text(&output.stdout), text(&output.stderr), output.status.code())
}

/// Indexes, which differ, in brackets at an error's end and as names in order.
fn normalized(output: &str) -> String {
    let lines = output.lines().map(|line| match line.rsplit_once(" [") {
        Some((words, index)) if index.ends_with(']') => words.to_owned(),
        _ => line.split('/').map(|part| if part.len() == 20 { "NUMBER" } else { part }).collect::<Vec<_>>().join("/"),
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn etcdctl_of_v2_finds_everything_as_in_etcd() {
    let (etcd, served) = (Etcd::start().await, Served::start().await);
    let (theirs, ours) = (etcd.addr, served.addr);
    let differences = tokio::task::spawn_blocking(move || {
        let mut differences = Vec::new();
        for line in SCRIPT {
            let (expected, answer) = (normalized(&etcdctl(theirs, line)), normalized(&etcdctl(ours, line)));
            let refused_otherwise = *line == "auth enable" && answer.ends_with("Some(1)");
            if answer != expected && !refused_otherwise {
                differences.push(format!("etcdctl {line}\n  etcd: {expected}\n  ours: {answer}"));
            }
        }
        let health = etcdctl(ours, "cluster-health");
        assert!(health.contains("cluster is healthy"), "{health}");
        let members = etcdctl(ours, "member list");
        assert!(members.contains("name=default") && members.contains("isLeader=true"), "{members}");
        let refused = etcdctl(ours, "member add two http://127.0.0.1:1");
        assert!(refused.contains("members are not changed here"), "{refused}");
        differences
    });
    let differences = differences.await.unwrap();
    assert!(differences.is_empty(), "{}", differences.join("\n"));
    served.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn etcdctl_waits_and_runs_programs_on_events() {
    let served = Served::start().await;
    let url = format!("http://{}", served.addr);
    let start = |arguments: &[&str]| {
        Command::new("etcdctl")
            .env("ETCDCTL_API", "2")
            .args(["--endpoints", &url])
            .args(arguments)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap()
    };
    let waiting = start(&["watch", "/w/k"]);
    let running =
        start(&["exec-watch", "--recursive", "/w", "--", "sh", "-c", "echo $ETCD_WATCH_ACTION $ETCD_WATCH_KEY"]);
    let stats = served.addr;
    crate::support::soon(async {
        while !crate::support::request(stats, "GET", "/v2/stats/store", "").await.body.contains("\"watchers\":2") {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    })
    .await;
    crate::support::request(served.addr, "PUT", "/v2/keys/w/k", "value=hello").await;
    let waited = crate::support::soon(tokio::task::spawn_blocking(|| waiting.wait_with_output())).await.unwrap();
    assert_eq!(String::from_utf8_lossy(&waited.unwrap().stdout).trim(), "hello");
    let ran = crate::support::soon(tokio::task::spawn_blocking(move || {
        use std::io::{BufRead, BufReader};
        let mut running = running;
        let mut line = String::new();
        BufReader::new(running.stdout.take().unwrap()).read_line(&mut line).unwrap();
        running.kill().unwrap();
        running.wait().unwrap();
        line
    }))
    .await;
    assert_eq!(ran.unwrap().trim(), "set /w/k");
    served.close().await;
}
