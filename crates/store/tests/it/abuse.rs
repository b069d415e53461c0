//! Clients that mean no good, and very many that mean no harm: bounded memory, and no effect on others.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use etcd_client::{Client, WatchOptions};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::*;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A frame of HTTP/2.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// What the server says until it closes the connection; `None` if it does not close in time.
async fn until_closed(addr: SocketAddr, bytes: &[u8]) -> Option<Vec<u8>> {
    let mut connection = TcpStream::connect(addr).await.unwrap();
    let _ = connection.write_all(bytes).await;
    let mut answer = Vec::new();
    // A reset is as good as an end.
    tokio::time::timeout(PATIENCE, connection.read_to_end(&mut answer)).await.ok()?.unwrap_or_default();
    Some(answer)
}

async fn still_works(client: &mut Client) {
    let start = Instant::now();
    client.put("a", "1", None).await.unwrap();
    assert!(start.elapsed() < Duration::from_secs(2), "others wait");
}

#[tokio::test]
async fn bytes_that_are_no_http_end_their_own_connection_alone() {
    let dir = tempfile::tempdir().unwrap();
    let served = Served::start(dir.path()).await;
    let mut client = served.client().await;
    let garbage: Vec<u8> = (0..100_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let settings = frame(4, 0, 0, &[]);
    let h2 = |frames: &[u8]| [PREFACE, &settings, frames].concat();
    let cases = [
        garbage.clone(),
        b"GET / HTTP/9.9\r\n\r\n".to_vec(),
        [b"GET / HTTP/1.1\r\nx: ".as_slice(), &vec![b'a'; 1 << 20]].concat(),
        [PREFACE, &garbage].concat(),
        // A frame beyond the size that was agreed on, headers on stream 0, data for a stream that never was, a bad window.
        h2(&[&[0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 1], garbage.as_slice()].concat()),
        h2(&frame(1, 4, 0, b"\x82")),
        h2(&frame(0, 0, 7, b"data")),
        h2(&frame(8, 0, 0, &[0, 0, 0, 0])),
        // Headers that do not unpack.
        h2(&frame(1, 4, 1, &[0xff; 64])),
    ];
    for (number, case) in cases.iter().enumerate() {
        assert!(until_closed(served.addr, case).await.is_some(), "case {number} is left open");
        still_works(&mut client).await;
    }
    served.close().await;
}

#[tokio::test]
async fn a_head_that_does_not_come_is_not_waited_for() {
    let dir = tempfile::tempdir().unwrap();
    let served = Served::start(dir.path()).await;
    let mut client = served.client().await;
    let slow = ["", "P", "GET /health HTT", "GET /health HTTP/1.1\r\nhost: a\r\n"];
    let ends = slow.map(|start| until_closed(served.addr, start.as_bytes()));
    still_works(&mut client).await;
    assert!(futures_util::future::join_all(ends).await.iter().all(Option::is_some));
    served.close().await;
}

#[tokio::test]
async fn half_open_streams_cost_others_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let served = Served::start(dir.path()).await;
    let mut client = served.client().await;
    // Requests that begin a message and never end it, on many connections.
    let mut open = Vec::new();
    for path in ["etcdserverpb.KV/Put", "etcdserverpb.Watch/Watch", "etcdserverpb.Lease/LeaseKeepAlive"].repeat(20) {
        let mut connection = TcpStream::connect(served.addr).await.unwrap();
        // Literal headers without the table: `:method`, `:scheme`, `:path`, content-type.
        let mut block = vec![0x83, 0x86, 0x04, path.len() as u8 + 1, b'/'];
        block.extend(path.as_bytes());
        block.extend([0x0f, 0x10, 16]);
        block.extend(b"application/grpc");
        let start = [frame(4, 0, 0, &[]), frame(1, 4, 1, &block), frame(0, 0, 1, &[0, 0, 0, 200, 0, 1])].concat();
        connection.write_all(&[PREFACE, &start].concat()).await.unwrap();
        open.push(connection);
    }
    for _ in 0..20 {
        still_works(&mut client).await;
    }
    drop(open);
    still_works(&mut client).await;
    served.close().await;
}

/// A client whose machine has died says nothing, and answers no ping: the server finds out by itself.
#[tokio::test]
async fn a_connection_that_answers_no_ping_is_closed_and_one_that_pings_is_answered() {
    const PING_INTERVALS: Duration = Duration::from_secs(60);
    let dir = tempfile::tempdir().unwrap();
    let served = Served::start(dir.path()).await;
    let greeting = [PREFACE, &frame(4, 0, 0, &[])].concat();
    let mut silent = TcpStream::connect(served.addr).await.unwrap();
    silent.write_all(&greeting).await.unwrap();
    let mut pinging = TcpStream::connect(served.addr).await.unwrap();
    pinging.write_all(&greeting).await.unwrap();
    for n in 0..20 {
        pinging.write_all(&frame(6, 0, 0, &[n; 8])).await.unwrap();
        let answer = frame(6, 1, 0, &[n; 8]);
        let mut found: Vec<u8> = Vec::new();
        while !found.windows(answer.len()).any(|window| window == answer) {
            let mut more = [0; 256];
            let count = soon(pinging.read(&mut more)).await.unwrap();
            assert!(count > 0, "ping {n} ends the connection");
            found.extend(&more[..count]);
        }
    }
    let mut said = Vec::new();
    let ended = tokio::time::timeout(PING_INTERVALS, silent.read_to_end(&mut said)).await;
    assert!(ended.is_ok(), "the silent connection is kept");
    served.close().await;
}

/// Resident memory of a process, in bytes.
fn resident(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
}

/// Bytes of memory that an idle watch may take; a stream of its own with buffers, and the watch.
const MAX_WATCH_BYTES: u64 = 24 << 10;

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_idle_watches_take_bounded_memory_and_delay_nobody() {
    const WATCHES: usize = 10_000;
    const CONNECTIONS: usize = 20;
    let dir = tempfile::tempdir().unwrap();
    let process = Process::start(dir.path(), free_addr());
    let connect = async || Client::connect([process.addr.to_string()], None).await.unwrap();
    let mut client = connect().await;
    client.put("warm", "1", None).await.unwrap();
    let before = resident(process.child.id());
    let mut watches = Vec::new();
    for connection in 0..CONNECTIONS {
        let mut watcher = connect().await;
        for n in 0..WATCHES / CONNECTIONS {
            let options = WatchOptions::new().with_prefix();
            let mut watch = soon(watcher.watch(format!("idle/{connection}/{n}/"), Some(options))).await.unwrap();
            assert!(soon(watch.message()).await.unwrap().unwrap().created());
            watches.push(watch);
        }
    }
    let each = (resident(process.child.id()) - before) / WATCHES as u64;
    println!("an idle watch takes {each} bytes");
    assert!(each < MAX_WATCH_BYTES, "an idle watch takes {each} bytes");
    let start = Instant::now();
    for n in 0..100 {
        client.put(format!("busy/{n}"), "1", None).await.unwrap();
    }
    assert!(start.elapsed() < Duration::from_secs(10), "100 puts took {:?}", start.elapsed());
    client.put("idle/19/499/x", "1", None).await.unwrap();
    let event = soon(watches.last_mut().unwrap().message()).await.unwrap().unwrap();
    assert_eq!(event.events().len(), 1);
}
