//! What Debian's etcd answered to 40 requests of v2, and what is answered here.

use std::process::Command;

use crate::support::{Served, request};

const GOLDEN: &str = include_str!("golden/etcd-3.4.23.txt");

/// One request and its answer, as recorded: `$ curl ARGUMENTS`, the body, `   => STATUS HEADERS`.
fn blocks(text: &str) -> Vec<(String, String)> {
    let mut blocks: Vec<(String, String)> = Vec::new();
    for line in text.lines() {
        if let Some(arguments) = line.strip_prefix("$ curl ") {
            blocks.push((arguments.to_owned(), String::new()));
        } else {
            let (_, answer) = blocks.last_mut().unwrap();
            answer.push_str(line);
            answer.push('\n');
        }
    }
    blocks
}

/// Asks as the recording script does.
fn curl(base: &str, arguments: &str) -> String {
    let headers = tempfile::NamedTempFile::new().unwrap();
    let arguments = arguments.split(' ').map(|argument| match argument.strip_prefix('/') {
        Some(path) => format!("{base}/{path}"),
        None => argument.to_owned(),
    });
    let output =
        Command::new("curl").args(["-s", "-m", "5", "-D"]).arg(headers.path()).args(arguments).output().unwrap();
    let headers = std::fs::read_to_string(headers.path()).unwrap();
    let mut lines = headers.lines();
    let status = lines.next().unwrap_or("no answer").trim_end().to_owned();
    let told = lines.filter(|line| {
        let line = line.to_ascii_lowercase();
        ["x-etcd-index", "content-type", "allow:"].iter().any(|name| line.starts_with(name))
    });
    let mut told: Vec<String> = told.map(|line| line.trim_end().to_ascii_lowercase()).collect();
    told.sort();
    format!("{}\n   => {status} {}\n", String::from_utf8(output.stdout).unwrap(), told.join(" "))
}

/// Ids, times and the index of creation are not compared: v3 keeps the latter when a key is set again.
fn normalized(answer: &str, base: &str) -> String {
    let mut text = answer.replace(base, "http://127.0.0.1:2379").replace("http/1.1", "HTTP/1.1");
    for (name, end) in [
        (",\"createdIndex\":", &['}', ','][..]),
        ("\"id\":\"", &['"']),
        ("\"leader\":\"", &['"']),
        ("\"expiration\":\"", &['"']),
        ("\"startTime\":\"", &['"']),
        ("\"uptime\":\"", &['"']),
    ] {
        let mut rest = text.as_str();
        let mut kept = String::new();
        while let Some(at) = rest.find(name) {
            kept.push_str(&rest[..at + name.len()]);
            rest = &rest[at + name.len()..];
            rest = &rest[rest.find(end).unwrap_or(rest.len())..];
        }
        kept.push_str(rest);
        text = kept;
    }
    // Headers: order and case are free.
    let lines = text.lines().map(|line| match line.strip_prefix("   => ") {
        Some(head) => {
            let head = head.to_ascii_lowercase();
            let mut parts: Vec<&str> = head.split_whitespace().collect();
            parts.sort_unstable();
            format!("=> {}", parts.join(" "))
        }
        None => line.to_owned(),
    });
    lines.filter(|line| !line.is_empty()).collect::<Vec<_>>().join("\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_are_those_of_debians_etcd_but_for_ids_times_and_indexes() {
    let served = Served::start().await;
    let base = format!("http://{}", served.addr);
    // etcd's own startup takes it to index 3; so the indexes can be compared, too.
    let mut v3 = served.v3().await;
    v3.put("outside", "", None).await.unwrap();
    v3.delete("outside", None).await.unwrap();
    let mut differences = Vec::new();
    let blocks = blocks(GOLDEN);
    assert_eq!(blocks.len(), 40);
    for (arguments, expected) in blocks {
        let (to, asked) = (base.clone(), arguments.clone());
        let answer = tokio::task::spawn_blocking(move || curl(&to, &asked)).await.unwrap();
        let (ours, theirs) = (normalized(&answer, &base), normalized(&expected, &base));
        if ours != theirs {
            differences.push(format!("curl {arguments}\n  etcd: {theirs}\n  ours: {ours}"));
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
    let index = request(served.addr, "GET", "/v2/keys/", "").await.index;
    assert_eq!(index, Some(15));
    served.close().await;
}
