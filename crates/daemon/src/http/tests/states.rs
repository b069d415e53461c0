//! `/state` and the other paths that are only read.

use std::time::Duration;

use flota_registry::TargetState::Launched;
use serde_json::{Value, json};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::rig::{Rig, machine};

async fn three_units_on_two_machines() -> Rig {
    let rig = Rig::start().await;
    rig.join(1, &[]).await;
    rig.join(2, &[]).await;
    for name in ["a.service", "b.service", "g.service"] {
        rig.submit(name, "launched").await.is(201);
    }
    rig.submit("idle.service", "inactive").await.is(201);
    rig.report(2, &["b.service", "g.service"]).await;
    rig.report(1, &["a.service", "g.service"]).await;
    rig
}

fn places(page: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().trim_start_matches('0').to_owned();
    let states = page["states"].as_array().cloned().unwrap_or_default();
    states.iter().map(|state| (text(&state["name"]), text(&state["machineID"]))).collect()
}

#[tokio::test]
async fn states_are_sorted_and_filtered() {
    let rig = three_units_on_two_machines().await;
    let (one, two) = (machine(1), machine(2));
    let rows = [
        (String::new(), vec![("a.service", "1"), ("b.service", "2"), ("g.service", "1"), ("g.service", "2")]),
        ("?unitName=g.service".to_owned(), vec![("g.service", "1"), ("g.service", "2")]),
        (format!("?machineID={two}"), vec![("b.service", "2"), ("g.service", "2")]),
        (format!("?unitName=g.service&machineID={one}"), vec![("g.service", "1")]),
        (
            "?unitName=&machineID=".to_owned(),
            vec![("a.service", "1"), ("b.service", "2"), ("g.service", "1"), ("g.service", "2")],
        ),
        ("?unitName=none.service".to_owned(), vec![]),
        (format!("?machineID={}", one.short()), vec![]),
    ];
    for (query, expected) in rows {
        let page = rig.get(&format!("/fleet/v1/state{query}")).await;
        let found = places(&page.is(200).json());
        let found: Vec<(&str, &str)> = found.iter().map(|(name, id)| (name.as_str(), id.as_str())).collect();
        assert_eq!(found, expected, "{query}");
    }
}

#[tokio::test]
async fn one_state_is_the_first_and_an_unknown_one_is_404() {
    let rig = three_units_on_two_machines().await;
    let state = rig.get("/fleet/v1/state/g.service").await.json();
    let expected = json!({
        "name": "g.service",
        "hash": "1c6fb6f3684bafb0c173d8b8b957ceff031180c1",
        "machineID": machine(1).to_string(),
        "systemdLoadState": "loaded",
        "systemdActiveState": "active",
        "systemdSubState": "running",
    });
    assert_eq!(state, expected);
    rig.get("/fleet/v1/state/none.service").await.refuses(404, "unit does not exist");
    rig.get("/fleet/v1/state/noext").await.refuses(404, "unit does not exist");
    rig.get("/fleet/v1/state/idle.service").await.refuses(404, "unit has no state");
    rig.get("/fleet/v1/units").await.is(200);
}

#[tokio::test]
async fn states_have_pages() {
    let rig = Rig::start().await;
    let names: Vec<String> = (0..150).map(|number| format!("u{number:03}.service")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    rig.report(1, &names).await;
    let first = rig.get("/fleet/v1/state").await.json();
    assert_eq!((places(&first).len(), &first["nextPageToken"]), (100, &json!("ZAACAA==")));
    let second = rig.get("/fleet/v1/state?nextPageToken=ZAACAA==").await.json();
    assert_eq!((places(&second).len(), second.get("nextPageToken")), (50, None));
}

#[tokio::test]
async fn the_discovery_document_is_served() {
    let rig = Rig::start().await;
    let answer = rig.get("/fleet/v1/discovery").await;
    assert_eq!(answer.is(200).header("content-type"), "application/json");
    assert_eq!(answer.json()["id"], "fleet:v1");
    for method in ["POST", "PUT", "DELETE"] {
        let answer = rig.send(method, "/fleet/v1/discovery", &[], "").await;
        answer.refuses(400, "only HTTP GET supported against this resource");
    }
}

#[tokio::test]
async fn why_and_health_and_metrics() {
    let rig = three_units_on_two_machines().await;
    rig.schedule(1, &[("a.service", Launched)]).await;
    let why = rig.get("/v1/units/a.service/why").await.json();
    assert_eq!((&why["scheduled_on"], &why["cause"]), (&json!(machine(1).to_string()), &json!("fewest units")));
    rig.get("/v1/units/none.service/why").await.refuses(404, "unit does not exist");
    let health = rig.get("/v1/health").await.json();
    assert_eq!((&health["store_connected"], &health["generation"]), (&json!(true), &json!(7)));
    let metrics = rig.get("/metrics").await;
    let text = &metrics.is(200).body;
    for line in
        ["flota_store_connected 1", "flota_leader 1", "flota_units 4", "flota_api_requests_total{code=\"404\"} 1"]
    {
        assert!(text.lines().any(|it| it == line), "{line} is not in {text}");
    }
}

#[tokio::test]
async fn what_is_asked_before_the_stores_first_answer_waits_for_it() {
    let mut rig = Rig::start().await;
    let open = CancellationToken::new();
    rig.socket = rig.serve_second(rig.api().opened_by(open.clone()));
    let link = rig.link.send_replace(None);
    assert_eq!(rig.get("/v1/health").await.is(200).json()["store_connected"], false);
    let asked = rig.get("/fleet/v1/units");
    tokio::pin!(asked);
    assert!(timeout(Duration::from_millis(200), &mut asked).await.is_err());
    rig.link.send_replace(link);
    open.cancel();
    asked.await.is(200);
}

#[tokio::test]
async fn without_a_store_all_is_503() {
    let rig = Rig::start().await;
    rig.submit("a.service", "loaded").await.is(201);
    rig.get("/fleet/v1/units").await.is(200);
    let link = rig.link.send_replace(None);
    for path in ["/fleet/v1/units", "/fleet/v1/units/a.service", "/fleet/v1/machines", "/fleet/v1/state", "/v1/events"]
    {
        rig.get(path).await.refuses(503, "cannot reach its store");
    }
    rig.submit("b.service", "loaded").await.refuses(503, "cannot reach its store");
    assert_eq!(rig.get("/v1/health").await.is(200).json()["store_connected"], false);
    rig.link.send_replace(link);
    rig.get("/fleet/v1/units/a.service").await.is(200);
    rig.get("/fleet/v1/units/b.service").await.is(404);
}
