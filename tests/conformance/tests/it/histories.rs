//! What concurrent clients saw through kill -9 and restarts, judged by the checker: on ours, and on etcd to prove the checker.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use etcd_client::proto as pb;
use flota_conformance::checker::{Answer, Call, Event, Found, Request, check};
use flota_conformance::ops::Watch;
use flota_conformance::{Kind, Server, Wire};
use tonic::Status;

const CLIENTS: u64 = 8;

/// How often the store is killed; more by `FLOTA_HISTORY_ROUNDS`.
const ROUNDS: u64 = 6;

/// How long clients work between two kills.
const ROUND: Duration = Duration::from_millis(400);

/// A sequence of numbers that looks like chance.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

fn key(dice: &mut Dice) -> String {
    format!("k{}", dice.roll(4))
}

async fn ask(wire: &Wire, request: &Request) -> Result<Answer, Status> {
    let put = |key: &str, value: &str| pb::PbPutRequest {
        key: key.as_bytes().to_vec(),
        value: value.as_bytes().to_vec(),
        ..Default::default()
    };
    let (header, found) = match request {
        Request::Put { key, value } => (wire.put(&put(key, value)).await?.header, Found::Written),
        Request::Delete { key } => {
            let request = pb::PbDeleteRequest { key: key.as_bytes().to_vec(), ..Default::default() };
            let answer = wire.delete(&request).await?;
            (answer.header, Found::Deleted(answer.deleted > 0))
        }
        Request::Swap { keys, expected, value } => {
            let op =
                |key: &String| pb::PbTxnRequestOp { request: Some(pb::PbTxnOpRequest::RequestPut(put(key, value))) };
            let compare = pb::PbCompare {
                key: keys[0].as_bytes().to_vec(),
                target: 2,
                target_union: Some(pb::PbTargetUnion::ModRevision(*expected)),
                ..Default::default()
            };
            let success = keys.iter().map(op).collect();
            let request = pb::PbTxnRequest { compare: vec![compare], success, failure: Vec::new() };
            let answer = wire.txn(&request).await?;
            (answer.header, Found::Swapped(answer.succeeded))
        }
        Request::Read => {
            let request = pb::PbRangeRequest { key: vec![0], range_end: vec![0], ..Default::default() };
            let answer = wire.range(&request).await?;
            let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
            let keys = answer.kvs.iter().map(|kv| (text(&kv.key), (text(&kv.value), kv.mod_revision)));
            (answer.header, Found::Keys(keys.collect()))
        }
    };
    Ok(Answer { revision: header.unwrap().revision, found })
}

/// Asks until the store goes away.
async fn work(wire: Wire, client: u64, round: u64, clock: Instant) -> Vec<Call> {
    let now = || clock.elapsed().as_nanos() as u64;
    let mut dice = Dice(client * 1000 + round);
    let mut calls = Vec::new();
    let mut known: BTreeMap<String, i64> = BTreeMap::new();
    for n in 0.. {
        let (key, other) = (key(&mut dice), format!("twin{client}"));
        let value = format!("{round}/{client}/{n}");
        let request = match dice.roll(10) {
            0..4 => Request::Put { key, value },
            4 => Request::Delete { key },
            5..7 => {
                let expected = known.get(&key).copied().unwrap_or(0);
                Request::Swap { keys: [key, other], expected, value }
            }
            _ => Request::Read,
        };
        let start = now();
        let answer = ask(&wire, &request).await;
        if let Ok(Answer { found: Found::Keys(keys), .. }) = &answer {
            known = keys.iter().map(|(key, (_, at))| (key.clone(), *at)).collect();
        }
        let gone = answer.is_err();
        calls.push(Call { start, end: now(), request, answer: answer.ok() });
        if gone {
            return calls;
        }
    }
    calls
}

/// Everything that a watch from the first revision tells up to `last`.
async fn history(wire: &Wire, last: i64) -> Vec<Event> {
    let everything = Watch {
        key: vec![0],
        range_end: vec![0],
        start_revision: 1,
        filters: Vec::new(),
        prev_kv: false,
        fragment: false,
        watch_id: 0,
    };
    let (_requests, mut stream) = wire.watch(everything.request()).await;
    let mut events: Vec<Event> = Vec::new();
    while events.last().is_none_or(|event| event.revision < last) {
        let message = tokio::time::timeout(Duration::from_secs(10), stream.message()).await;
        let response = message.expect("the watch goes on").unwrap().unwrap();
        events.extend(response.events.iter().map(|event| {
            let kv = event.kv.as_ref().unwrap();
            let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
            let value = (event.r#type == 0).then(|| text(&kv.value));
            Event { revision: kv.mod_revision, key: text(&kv.key), value }
        }));
    }
    events
}

async fn prove(kind: Kind) {
    let rounds = std::env::var("FLOTA_HISTORY_ROUNDS").map_or(ROUNDS, |text| text.parse().unwrap());
    let mut server = Server::start(kind);
    let clock = Instant::now();
    let mut calls = Vec::new();
    for round in 0..rounds {
        let mut clients = Vec::new();
        for client in 0..CLIENTS {
            let wire = Wire::connect(server.addr()).await;
            clients.push(tokio::spawn(work(wire, client, round, clock)));
        }
        tokio::time::sleep(ROUND + Duration::from_millis(round * 37 % 200)).await;
        server.kill();
        for client in clients {
            calls.extend(client.await.unwrap());
        }
        server.start_again();
    }
    let wire = Wire::connect(server.addr()).await;
    let all = ask(&wire, &Request::Read).await.unwrap();
    let events = history(&wire, all.revision).await;
    let end = clock.elapsed().as_nanos() as u64;
    calls.push(Call { start: end, end: end + 1, request: Request::Read, answer: Some(all) });
    let answered = calls.iter().filter(|call| call.answer.is_some()).count();
    assert!(answered > 200 && events.len() > 100, "too little happened: {answered} answers");
    let violations = check(&calls, &events);
    assert!(violations.is_empty(), "{} violations, the first: {}", violations.len(), violations[0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs the program flota; run by cargo xtask test"]
async fn histories_through_kill_9_are_linearizable() {
    prove(Kind::Flota).await;
}

/// The same on Debian's etcd: what the checker calls a violation is none of etcd's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Debian's etcd; run by cargo xtask test"]
async fn the_checker_finds_nothing_in_etcd() {
    prove(Kind::Etcd).await;
}
