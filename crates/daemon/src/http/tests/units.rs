//! `/units`: fleet's rules row by row, and what is new.

use flota_registry::{Op, Txn};
use serde_json::json;

use super::rig::{Rig, machine};

const OPTION: &str = r#"{"section":"Service","name":"ExecStart","value":"/bin/sleep 100"}"#;
const OTHER: &str = r#"{"section":"Service","name":"ExecStart","value":"/bin/sleep 200"}"#;

#[tokio::test]
async fn put_creates_replaces_and_changes() {
    let rig = Rig::start().await;
    let path = "/fleet/v1/units/a.service";
    // Body, status, and the desired state afterwards.
    let rows = [
        (format!(r#"{{"options":[{OPTION}]}}"#), 201, "inactive"),
        (r#"{"desiredState":"launched"}"#.to_owned(), 204, "launched"),
        (r#"{"desiredState":"launched"}"#.to_owned(), 204, "launched"),
        (format!(r#"{{"desiredState":"loaded","options":[{OPTION}]}}"#), 204, "loaded"),
        (format!(r#"{{"name":"a.service","desiredState":"launched","options":[{OTHER}]}}"#), 201, "launched"),
        (format!(r#"{{"options":[{OPTION}]}}"#), 201, "inactive"),
    ];
    for (body, status, desired) in rows {
        let answer = rig.put(path, &body).await;
        answer.is(status);
        assert_eq!((answer.body.as_str(), answer.header("content-type")), ("", ""), "{body}");
        let unit = rig.get(path).await.json();
        assert_eq!(unit["desiredState"], desired, "{body}");
    }
    let expected = json!({
        "name": "a.service",
        "options": [{"section": "Service", "name": "ExecStart", "value": "/bin/sleep 100"}],
        "desiredState": "inactive",
        "currentState": "inactive",
    });
    assert_eq!(rig.get(path).await.json(), expected);
}

#[tokio::test]
async fn put_refuses_in_fleets_words_and_changes_nothing() {
    let rig = Rig::start().await;
    rig.submit("there.service", "loaded").await.is(201);
    let before = rig.get("/fleet/v1/units").await.json();
    let fleet = |options: &str| {
        let options: Vec<String> = options
            .split(';')
            .map(|option| {
                let (name, value) = option.split_once('=').unwrap();
                format!(r#"{{"section":"X-Fleet","name":"{name}","value":"{value}"}}"#)
            })
            .collect();
        format!(r#"{{"options":[{OPTION},{}]}}"#, options.join(","))
    };
    let same = format!(r#"{{"options":[{OPTION}]}}"#);
    let launched = format!(r#"{{"desiredState":"launched","options":[{OPTION}]}}"#);
    let long = format!("{}.service", "a".repeat(300));
    let rows: Vec<(&str, String, u16, &str)> = vec![
        ("new.service", "not json".into(), 400, "unable to decode body: "),
        ("new.service", "[1]".into(), 400, "unable to decode body: "),
        ("new.service", r#"{"options":7}"#.into(), 400, "unable to decode body: "),
        ("new.service", String::new(), 400, "unable to decode body: "),
        (
            "a.service",
            r#"{"name":"b.service"}"#.into(),
            400,
            r#"name in URL "a.service" differs from unit name in request body "b.service""#,
        ),
        ("new.service", "{}".into(), 409, "unit does not exist and options field empty"),
        ("new.service", r#"{"desiredState":"launched"}"#.into(), 409, "unit does not exist and options field empty"),
        ("there.service", same.clone(), 409, "must provide DesiredState to update existing unit"),
        ("there.service", "{}".into(), 409, "must provide DesiredState to update existing unit"),
        ("there.service", r#"{"desiredState":"bogus"}"#.into(), 400, r#"invalid state "bogus""#),
        ("new.service", format!(r#"{{"desiredState":"bogus","options":[{OPTION}]}}"#), 400, r#"invalid state "bogus""#),
        ("b@.service", launched.clone(), 400, r#"cannot activate template "b@.service""#),
        ("noext", launched.clone(), 400, "unit name must contain"),
        ("a.foo", launched.clone(), 400, "invalid unit type"),
        ("@a.service", launched.clone(), 400, "unit name cannot start in"),
        ("a%25b.service", launched.clone(), 400, "invalid character '%' in unit name"),
        ("a%2Fb.service", launched.clone(), 400, "invalid character '/' in unit name"),
        ("a%00b.service", launched.clone(), 400, "invalid character '\\0' in unit name"),
        ("%2e%2e.service", launched.clone(), 201, ""),
        (&long, launched.clone(), 400, "unit name exceeds maximum length (256)"),
        ("a%ff.service", launched, 400, "UTF-8"),
        ("x.service", fleet("MachineID=1;Global=true"), 400, "MachineID cannot be used with Global"),
        ("x.service", fleet("MachineID=1;MachineOf=y.service"), 400, "MachineID cannot be used with"),
        ("x.service", fleet("MachineID=1;Conflicts=y"), 400, "MachineID cannot be used with Conflicts"),
        ("x.service", fleet("MachineID=1;Replaces=y.service"), 400, "MachineID cannot be used with Replaces"),
        ("x.service", fleet("Global=true;MachineOf=y.service"), 400, "Global cannot be used with"),
        ("x.service", fleet("Global=true;Replaces=y.service"), 400, "Global cannot be used with Replaces"),
        ("x.service", fleet("Conflicts=y;Replaces=z.service"), 400, "Conflicts cannot be used with Replaces"),
        (
            "x.service",
            fleet("MachineOf=y.service;Conflicts=y*"),
            400,
            r#"unresolvable requirements: peer "y.service" matches conflict "y*""#,
        ),
        // fleet let this pass where the unit exists.
        ("there.service", fleet("MachineID=1;Global=true"), 400, "MachineID cannot be used with Global"),
    ];
    for (name, body, status, words) in rows {
        let answer = rig.put(&format!("/fleet/v1/units/{name}"), &body).await;
        if status == 201 {
            // Dots alone do not lead anywhere: it is a name like others.
            answer.is(201);
            rig.send("DELETE", &format!("/fleet/v1/units/{name}"), &[], "").await.is(204);
        } else {
            answer.refuses(status, words);
        }
    }
    assert_eq!(rig.get("/fleet/v1/units").await.json(), before, "nothing changed");
}

#[tokio::test]
async fn a_template_is_kept_but_never_activated() {
    let rig = Rig::start().await;
    rig.submit("b@.service", "inactive").await.is(201);
    for state in ["loaded", "launched"] {
        let body = format!(r#"{{"desiredState":"{state}"}}"#);
        let answer = rig.put("/fleet/v1/units/b@.service", &body).await;
        answer.refuses(400, r#"cannot activate template "b@.service""#);
    }
    assert_eq!(rig.get("/fleet/v1/units/b@.service").await.json()["desiredState"], "inactive");
}

#[tokio::test]
async fn put_wants_json() {
    let rig = Rig::start().await;
    let body = format!(r#"{{"options":[{OPTION}]}}"#);
    for (headers, words) in [
        (&[][..], "expected 1 Content-Type, got 0"),
        (&["Content-Type: application/json", "Content-Type: text/plain"][..], "expected 1 Content-Type, got 2"),
        (&["Content-Type: text/plain"][..], "only acceptable Content-Type is application/json"),
    ] {
        rig.send("PUT", "/fleet/v1/units/a.service", headers, &body).await.refuses(415, words);
    }
    rig.send("PUT", "/fleet/v1/units/a.service", &["Content-Type: application/json; charset=utf-8"], &body)
        .await
        .is(201);
}

#[tokio::test]
async fn get_and_delete() {
    let rig = Rig::start().await;
    for path in ["/fleet/v1/units/a.service", "/fleet/v1/units/noext", "/fleet/v1/units/a%2Fb.service"] {
        rig.get(path).await.refuses(404, "unit does not exist");
        rig.send("DELETE", path, &[], "").await.refuses(404, "unit does not exist");
    }
    rig.submit("a.service", "launched").await.is(201);
    let gone = rig.send("DELETE", "/fleet/v1/units/a.service", &[], "").await;
    assert_eq!((gone.is(204).body.as_str(), gone.header("content-type")), ("", ""));
    rig.get("/fleet/v1/units/a.service").await.refuses(404, "unit does not exist");
}

#[tokio::test]
async fn a_list_has_pages_of_a_hundred_sorted_by_name() {
    let rig = Rig::start().await;
    assert_eq!(rig.get("/fleet/v1/units").await.body, "{}", "an empty page is an empty object");
    for number in 0..200 {
        rig.submit(&format!("u{number:03}.service"), "inactive").await.is(201);
    }
    let names = |page: &serde_json::Value| -> Vec<String> {
        let units = page["units"].as_array().unwrap();
        units.iter().map(|unit| unit["name"].as_str().unwrap().to_owned()).collect()
    };
    let first = rig.get("/fleet/v1/units").await.json();
    assert_eq!(first["nextPageToken"], "ZAACAA==");
    let second = rig.get("/fleet/v1/units?nextPageToken=ZAACAA==").await.json();
    assert_eq!(second.get("nextPageToken"), None, "no empty page follows, unlike in fleet");
    let all: Vec<String> = names(&first).into_iter().chain(names(&second)).collect();
    assert_eq!(all, (0..200).map(|number| format!("u{number:03}.service")).collect::<Vec<_>>());
    // A client of fleet's that counts on the extra page may ask for it.
    assert_eq!(rig.get("/fleet/v1/units?nextPageToken=ZAADAA==").await.is(200).body, "{}");
}

#[tokio::test]
async fn page_tokens_are_checked() {
    let rig = Rig::start().await;
    for (query, words) in [
        ("nextPageToken=EwBMLg==", "token limit must be 100"),
        ("nextPageToken=ZAAAAA==", "token page must be greater than zero"),
        ("nextPageToken=ZAACAAA=", "too many values for page token"),
        ("nextPageToken=ZAACAA==&nextPageToken=ZAACAA==", "too many values for page token"),
        ("nextPageToken=*", "illegal base64 data at input byte 0"),
        ("nextPageToken=", "EOF"),
    ] {
        for resource in ["units", "state", "machines"] {
            rig.get(&format!("/fleet/v1/{resource}?{query}")).await.refuses(400, words);
        }
    }
}

#[tokio::test]
async fn a_unit_shows_where_it_is_and_what_it_is() {
    use flota_registry::TargetState::{Launched, Loaded};
    let rig = Rig::start().await;
    rig.join(1, &[]).await;
    rig.submit("a.service", "launched").await.is(201);
    rig.submit("b.service", "loaded").await.is(201);
    let global = format!(
        r#"{{"desiredState":"launched","options":[{OPTION},{{"section":"X-Fleet","name":"Global","value":"true"}}]}}"#
    );
    rig.put("/fleet/v1/units/g.service", &global).await.is(201);
    rig.schedule(1, &[("a.service", Launched), ("b.service", Loaded), ("g.service", Launched)]).await;
    let shown = async |name: &str| {
        let unit = rig.get(&format!("/fleet/v1/units/{name}")).await.json();
        (unit.get("machineID").cloned(), unit.get("currentState").cloned())
    };
    let here = Some(json!(machine(1).to_string()));
    assert_eq!(shown("a.service").await, (here.clone(), Some(json!("inactive"))));
    rig.report(1, &["a.service", "g.service"]).await;
    assert_eq!(shown("a.service").await, (here.clone(), Some(json!("launched"))));
    assert_eq!(shown("b.service").await, (here, Some(json!("inactive"))));
    assert_eq!(shown("g.service").await, (None, None), "a global unit has neither");
}

#[tokio::test]
async fn two_writers_do_not_overwrite_each_other_in_silence() {
    let rig = Rig::start().await;
    let path = "/fleet/v1/units/a.service";
    let body = format!(r#"{{"desiredState":"loaded","options":[{OPTION}]}}"#);
    let put = async |condition: &str, body: &str| {
        rig.send("PUT", path, &["Content-Type: application/json", condition], body).await
    };
    put("If-Match: *", &body).await.refuses(412, "does not exist");
    let created = put("If-None-Match: *", &body).await;
    let tag = created.is(201).header("etag").to_owned();
    let (revision, hash) = tag.trim_matches('"').split_once('-').unwrap();
    assert!(revision.parse::<i64>().unwrap() > 0 && hash.len() == 40, "{tag}");
    assert_eq!(rig.get(path).await.header("etag"), tag);
    let again = put("If-None-Match: *", &body).await;
    again.refuses(412, "If-None-Match does not hold");
    assert_eq!(again.header("etag"), tag);

    let launched = put(&format!("If-Match: {tag}"), r#"{"desiredState":"launched"}"#).await;
    let newer = launched.is(204).header("etag").to_owned();
    assert_ne!(newer, tag);
    assert_eq!(rig.get(path).await.header("etag"), newer);

    let late = put(&format!("If-Match: {tag}"), r#"{"desiredState":"inactive"}"#).await;
    late.refuses(
        412,
        &format!(
            "last changed by revision {}, to desired state launched with content {hash}",
            newer.trim_matches('"').split('-').next().unwrap()
        ),
    );
    assert_eq!(late.header("etag"), newer);
    assert_eq!(rig.get(path).await.json()["desiredState"], "launched", "the first writer's word stands");

    put(&format!("If-Match: W/{newer}"), r#"{"desiredState":"inactive"}"#).await.refuses(412, "If-Match");
    put("If-Match: abc", r#"{"desiredState":"inactive"}"#).await.refuses(400, "if-match");
    put("If-Match: *", r#"{"desiredState":"bogus"}"#).await.refuses(400, "invalid state");
    let delete = async |condition: &str| rig.send("DELETE", path, &[condition], "").await;
    delete(&format!("If-Match: {tag}")).await.refuses(412, "If-Match does not hold");
    delete("If-None-Match: *").await.refuses(412, "If-None-Match does not hold");
    let gone = delete(&format!("If-Match: \"x\", {newer}")).await;
    assert_eq!(gone.is(204).header("etag"), newer);
    delete("If-Match: *").await.refuses(404, "unit does not exist");
    // Without a condition the last writer wins, as in fleet.
    rig.submit("a.service", "loaded").await.is(201);
    assert_ne!(rig.put(path, r#"{"desiredState":"launched"}"#).await.is(204).header("etag"), "");
}

#[tokio::test]
async fn writers_that_race_all_get_through() {
    let rig = std::sync::Arc::new(Rig::start().await);
    rig.submit("a.service", "inactive").await.is(201);
    let writers = (0..4).map(|number| {
        let rig = std::sync::Arc::clone(&rig);
        tokio::spawn(async move {
            let state = if number % 2 == 0 { "loaded" } else { "launched" };
            rig.put("/fleet/v1/units/a.service", &format!(r#"{{"desiredState":"{state}"}}"#)).await.status
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        assert_eq!(writer.await.unwrap(), 204);
    }
}

#[tokio::test]
async fn a_write_is_seen_by_the_next_read_whoever_wrote() {
    let rig = Rig::start().await;
    for round in 0..50 {
        rig.submit("a.service", "loaded").await.is(201);
        assert_eq!(rig.get("/fleet/v1/units/a.service").await.json()["desiredState"], "loaded", "round {round}");
        // Another daemon, and an application that is not Flota's business.
        let key = "/app/x".to_owned();
        let ops =
            vec![Op::Put { key, value: vec![1], lease: None }, Op::Delete { key: "/flota/v1/units/a.service".into() }];
        rig.commit(&Txn { compares: Vec::new(), ops }).await;
        rig.get("/fleet/v1/units/a.service").await.is(404);
        let ops = vec![Op::Put { key: "/app/x".to_owned(), value: vec![2], lease: None }];
        rig.commit(&Txn { compares: Vec::new(), ops }).await;
        assert_eq!(rig.get("/fleet/v1/units").await.body, "{}", "round {round}");
    }
}

#[tokio::test]
async fn a_unit_that_a_later_version_wrote_can_be_destroyed() {
    let rig = Rig::start().await;
    let key = "/flota/v1/units/a.service".to_owned();
    let ops = vec![Op::Put { key, value: br#"{"v":99}"#.to_vec(), lease: None }];
    rig.commit(&Txn { compares: Vec::new(), ops }).await;
    rig.put("/fleet/v1/units/a.service", r#"{"desiredState":"loaded"}"#).await.refuses(500, "upgrade flota");
    rig.send("DELETE", "/fleet/v1/units/a.service", &[], "").await.is(204);
    rig.submit("a.service", "loaded").await.is(201);
}
