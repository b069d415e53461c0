//! Requests that are wrong as such: the right code, the right words, and the next request is served.

use etcd_client::{AlarmAction, AlarmType};
use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;

use super::rig::Rig;

#[tokio::test]
async fn wrong_methods_and_wrong_paths() {
    let rig = Rig::start().await;
    rig.submit("a.service", "loaded").await.is(201);
    let before = rig.get("/fleet/v1/units").await.json();
    for prefix in ["/fleet/v1", "/v1-alpha"] {
        let rows = [
            ("POST", "/units", 405, "only GET supported against this resource"),
            ("DELETE", "/units", 405, "only GET supported against this resource"),
            ("POST", "/units/a.service", 405, "only GET, PUT and DELETE supported against this resource"),
            ("PATCH", "/units/a.service", 405, "only GET, PUT and DELETE supported against this resource"),
            ("PUT", "/state", 405, "only GET supported against this resource"),
            ("DELETE", "/state/a.service", 405, "only GET supported against this resource"),
            ("PUT", "/machines", 405, "only GET and PATCH supported against this resource"),
            ("GET", "/units/", 404, ""),
            ("GET", "/units/a/b", 404, ""),
            ("GET", "/units/../units", 404, ""),
            ("GET", "/bogus", 404, ""),
            ("GET", "", 405, ""),
            ("POST", "", 405, ""),
        ];
        for (method, path, status, words) in rows {
            rig.send(method, &format!("{prefix}{path}"), &[], "").await.refuses(status, words);
        }
        rig.get(&format!("{prefix}/units/a.service")).await.is(200);
    }
    for (method, path, status) in
        [("GET", "/", 405), ("DELETE", "/", 405), ("GET", "/fleet", 404), ("GET", "/fleet/v2/units", 404)]
    {
        rig.send(method, path, &[], "").await.refuses(status, "");
    }
    let allowed = rig.send("POST", "/fleet/v1/machines", &[], "").await;
    assert_eq!(allowed.header("allow"), "GET,HEAD,PATCH");
    for path in ["/v1/events", "/v1/health", "/metrics", "/v1/units/a.service/why"] {
        rig.send("POST", path, &[], "").await.refuses(405, "only GET supported against this resource");
    }
    assert_eq!(rig.get("/fleet/v1/units").await.json(), before);
}

#[tokio::test]
async fn every_answer_names_its_server() {
    let rig = Rig::start().await;
    let expected = format!("flota/{}", env!("CARGO_PKG_VERSION"));
    for path in ["/fleet/v1/units", "/fleet/v1/units/none.service", "/bogus", "/", "/v1/health"] {
        assert_eq!(rig.get(path).await.header("server"), expected, "{path}");
    }
}

#[tokio::test]
async fn a_body_that_is_too_large() {
    let rig = Rig::start().await;
    let body = format!(r#"{{"name":"{}"}}"#, "a".repeat(super::super::extract::MAX_BODY_BYTES));
    rig.put("/fleet/v1/units/a.service", &body).await.refuses(413, "request body exceeds maximum size (4194304 bytes)");
    rig.send("PATCH", "/fleet/v1/machines", &[], &body).await.refuses(413, "request body exceeds maximum size");
    assert_eq!(rig.get("/fleet/v1/units").await.is(200).body, "{}");
}

#[tokio::test]
async fn a_body_that_is_half_sent() {
    let rig = Rig::start().await;
    let head = "PUT /fleet/v1/units/a.service HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 500\r\n\r\n";
    let mut held = Vec::new();
    for round in 0..20 {
        let mut stream = UnixStream::connect(&rig.socket).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(br#"{"desiredState":"lau"#).await.unwrap();
        // Every other client drops its connection, the rest just stops.
        if round % 2 == 0 {
            held.push(stream);
        }
    }
    rig.submit("b.service", "launched").await.is(201);
    rig.get("/fleet/v1/units/a.service").await.is(404);
    assert_eq!(rig.get("/fleet/v1/units").await.json()["units"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn what_is_not_http() {
    let rig = Rig::start().await;
    for garbage in [&b"\0\0\0\0\r\n\r\n"[..], b"GET\r\n\r\n", b"GET /fleet/v1/units HTTP/9.9\r\n\r\n"] {
        let answer = rig.raw(garbage).await;
        assert!(matches!(answer.status, 0 | 400 | 505), "{answer:?}");
    }
    rig.get("/fleet/v1/units").await.is(200);
}

#[tokio::test]
async fn a_full_store_refuses_changes_with_what_is_to_be_done_and_reads_go_on() {
    let rig = Rig::start().await;
    rig.submit("a.service", "loaded").await.is(201);
    let mut etcd = rig.etcd().await;
    etcd.alarm(AlarmAction::Activate, AlarmType::Nospace, None).await.unwrap();
    rig.submit("b.service", "launched").await.refuses(507, "etcd's alarm NOSPACE");
    rig.submit("b.service", "launched").await.refuses(507, "`etcdctl alarm disarm`");
    rig.put("/fleet/v1/units/a.service", r#"{"desiredState":"launched"}"#).await.refuses(507, "nothing was changed");
    rig.get("/fleet/v1/units/a.service").await.is(200);
    etcd.alarm(AlarmAction::Deactivate, AlarmType::Nospace, None).await.unwrap();
    rig.submit("b.service", "launched").await.is(201);
}
