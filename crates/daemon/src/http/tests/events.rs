//! `/v1/events`: what is told, resuming, and who is cut.

use flota_registry::TargetState::{Launched, Loaded};
use flota_registry::{Op, Txn};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;

use super::super::events::MAX_EVENT_STREAMS;
use super::super::feed::MAX_LAG;
use super::rig::{Rig, machine, soon};

/// A client of the stream.
struct Events {
    stream: BufReader<UnixStream>,
    /// The last id that came.
    id: i64,
}

#[derive(Debug, Clone, PartialEq)]
struct Told {
    kind: String,
    data: Value,
}

impl Told {
    /// Kind, unit or machine, change.
    fn brief(&self) -> String {
        let text = |field: &str| self.data[field].as_str().unwrap_or_default().to_owned();
        let subject = if self.data["unit"].is_null() { text("machine") } else { text("unit") };
        format!("{} {} {}", self.kind, subject.trim_start_matches('0'), text("change"))
    }
}

impl Events {
    async fn open(rig: &Rig, query: &str, header: &str) -> Events {
        let mut stream = UnixStream::connect(&rig.socket).await.unwrap();
        let request = format!("GET /v1/events{query} HTTP/1.1\r\nHost: x\r\n{header}\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut events = Events { stream: BufReader::new(stream), id: 0 };
        assert!(events.line().await.unwrap().contains("200"));
        events
    }

    /// From now on.
    async fn now(rig: &Rig) -> Events {
        let mut events = Events::open(rig, "", "").await;
        while events.id == 0 {
            events.line().await.unwrap();
        }
        events
    }

    async fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        let read = soon(self.stream.read_line(&mut line)).await.unwrap();
        if let Some(id) = line.trim_end().strip_prefix("id: ") {
            self.id = id.parse().unwrap();
        }
        (read > 0).then(|| line.trim_end().to_owned())
    }

    /// The next event with its id, if it has one; none at the end of the stream.
    async fn next(&mut self) -> Option<Told> {
        // Heartbeats are lines too, so a wait for each line alone would not end.
        soon(self.next_told()).await
    }

    async fn next_told(&mut self) -> Option<Told> {
        let (mut kind, mut data) = (String::new(), Value::Null);
        loop {
            let line = self.line().await?;
            if let Some(text) = line.strip_prefix("event: ") {
                text.clone_into(&mut kind);
            } else if let Some(text) = line.strip_prefix("data: ") {
                data = serde_json::from_str(text).unwrap();
            } else if line.is_empty() && !kind.is_empty() {
                return Some(Told { kind, data });
            }
        }
    }

    async fn briefs(&mut self, count: usize) -> Vec<String> {
        let mut briefs = Vec::new();
        while briefs.len() < count {
            briefs.push(self.next().await.unwrap().brief());
        }
        briefs
    }
}

async fn a_life(rig: &Rig) {
    rig.submit("a.service", "launched").await.is(201);
    rig.join(1, &[("disk", "ssd")]).await;
    rig.schedule(1, &[("a.service", Loaded)]).await;
    rig.schedule(1, &[("a.service", Launched)]).await;
    rig.report(1, &["a.service"]).await;
    rig.lose(1).await;
    rig.schedule(2, &[("a.service", Launched)]).await;
    rig.schedule(1, &[]).await;
    rig.send("DELETE", "/fleet/v1/units/a.service", &[], "").await.is(204);
    rig.schedule(2, &[]).await;
}

const LIFE: [&str; 11] = [
    "unit a.service desired",
    "machine 1 joined",
    "schedule a.service placed",
    "schedule a.service changed",
    "state a.service changed",
    "machine 1 lost",
    "state a.service gone",
    "schedule a.service placed",
    "schedule a.service removed",
    "unit a.service destroyed",
    "schedule a.service removed",
];

#[tokio::test]
async fn everything_that_happens_is_told_in_order() {
    let rig = Rig::start().await;
    let mut events = Events::now(&rig).await;
    let mut second = Events::now(&rig).await;
    a_life(&rig).await;
    assert_eq!(events.briefs(LIFE.len()).await, LIFE);
    assert_eq!(second.briefs(LIFE.len()).await, LIFE);
    assert_eq!(events.id, second.id);

    rig.submit("b.service", "loaded").await.is(201);
    let told = events.next().await.unwrap();
    assert_eq!((&told.data["desired"], &told.data["revision"]), (&"loaded".into(), &events.id.into()));
    let revision = rig.schedule(1, &[("b.service", Loaded)]).await;
    let told = events.next().await.unwrap().data;
    assert_eq!(told["revision"], revision);
    assert_eq!((&told["machine"], &told["cause"]), (&machine(1).to_string().into(), &"fewest units".into()));
    assert_eq!(told["target"], "loaded");
}

#[tokio::test]
async fn a_stream_resumes_after_any_revision() {
    let rig = Rig::start().await;
    let mut events = Events::now(&rig).await;
    let mut ids = vec![(events.id, 0)];
    a_life(&rig).await;
    for number in 1..=LIFE.len() {
        events.next().await.unwrap();
        // The id of a batch stands behind its last event; it is read with it.
        if ids.last().unwrap().0 != events.id {
            ids.push((events.id, number));
        }
    }
    for (id, number) in ids {
        let by_header = Events::open(&rig, "", &format!("Last-Event-ID: {id}\r\n")).await;
        let by_query = Events::open(&rig, &format!("?since={id}"), "").await;
        for mut resumed in [by_header, by_query] {
            assert_eq!(resumed.briefs(LIFE.len() - number).await, LIFE[number..], "after {id}");
        }
    }
    // What was resumed goes on with what happens now, told once.
    let mut resumed = Events::open(&rig, "?since=2", "").await;
    resumed.briefs(LIFE.len()).await;
    for name in ["x.service", "y.service", "z.service"] {
        rig.submit(name, "inactive").await.is(201);
        assert_eq!(resumed.briefs(1).await, [format!("unit {name} desired")]);
    }
}

#[tokio::test]
async fn a_revision_that_is_gone_or_never_was_is_a_reset() {
    let rig = Rig::start().await;
    a_life(&rig).await;
    let (now, _) = rig.store.get("/flota/v1/leader").await.unwrap();
    let mut ahead = Events::open(&rig, &format!("?since={}", now + 1000), "").await;
    let reset = ahead.next().await.unwrap();
    assert_eq!((reset.kind.as_str(), &reset.data["revision"], ahead.id), ("reset", &now.into(), now));
    rig.submit("b.service", "inactive").await.is(201);
    assert_eq!(ahead.briefs(1).await, ["unit b.service desired"], "it goes on from there");

    rig.compact(now).await;
    let mut old = Events::open(&rig, "?since=2", "").await;
    assert_eq!(old.next().await.unwrap().kind, "reset");
    for bad in ["?since=abc", "?since=0", "?since=-1"] {
        rig.get(&format!("/v1/events{bad}")).await.refuses(400, "is not a revision");
    }
}

#[tokio::test]
async fn what_others_write_to_the_store_is_not_told() {
    let rig = Rig::start().await;
    let mut events = Events::now(&rig).await;
    let ops = vec![Op::Put { key: "/app/x".to_owned(), value: vec![1], lease: None }];
    rig.commit(&Txn { compares: Vec::new(), ops }).await;
    rig.submit("a.service", "inactive").await.is(201);
    assert_eq!(events.briefs(1).await, ["unit a.service desired"]);
}

#[tokio::test]
async fn streams_are_bounded_and_end_with_their_clients() {
    let rig = Rig::start().await;
    let mut open = Vec::new();
    for _ in 0..MAX_EVENT_STREAMS {
        open.push(Events::now(&rig).await);
    }
    rig.get("/v1/events").await.refuses(503, "clients read events");
    rig.get("/fleet/v1/units").await.is(200);
    drop(open.pop());
    soon(async {
        while rig.get("/metrics").await.body.contains(&format!("flota_event_streams {MAX_EVENT_STREAMS}")) {
            tokio::task::yield_now().await;
        }
    })
    .await;
    Events::now(&rig).await;
}

#[tokio::test]
async fn a_client_that_does_not_read_is_cut_with_a_last_event() {
    let rig = Rig::start().await;
    let mut slow = Events::now(&rig).await;
    let mut quick = Events::now(&rig).await;
    // More than sockets, queue and lag hold together: each event names the metadata of a machine.
    let large = "x".repeat(20_000);
    let rounds = MAX_LAG * 3;
    for number in 0..rounds {
        rig.join(1, &[("large", &format!("{large}{number}"))]).await;
        quick.next().await.unwrap();
    }
    let mut kinds = Vec::new();
    while let Some(told) = slow.next().await {
        kinds.push(told.kind);
        if kinds.last().is_some_and(|kind| kind == "cut") {
            break;
        }
    }
    assert_eq!(kinds.last().unwrap(), "cut", "after {} events", kinds.len());
    assert!(kinds.len() < rounds);
    let mut resumed = Events::open(&rig, &format!("?since={}", slow.id), "").await;
    assert_eq!(resumed.briefs(1).await, ["machine 1 changed"], "nothing is lost");
}
