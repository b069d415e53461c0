//! `/machines`: the list, and PATCH of metadata.

use serde_json::{Value, json};

use super::rig::{Answer, Rig, machine};

async fn patch(rig: &Rig, body: &str) -> Answer {
    rig.send("PATCH", "/fleet/v1/machines", &[], body).await
}

/// One operation as JSON.
fn operation(op: &str, number: u32, key: &str, value: Value) -> Value {
    let mut operation = json!({"op": op, "path": format!("/{}/metadata/{key}", machine(number))});
    if !value.is_null() {
        operation["value"] = value;
    }
    operation
}

async fn metadata(rig: &Rig, number: u32) -> Value {
    let page = rig.get("/fleet/v1/machines").await.json();
    let machines = page["machines"].as_array().cloned().unwrap_or_default();
    let found = machines.iter().find(|it| it["id"] == machine(number).to_string());
    found.and_then(|it| it.get("metadata")).cloned().unwrap_or_default()
}

#[tokio::test]
async fn machines_are_listed_with_address_and_metadata() {
    let rig = Rig::start().await;
    assert_eq!(rig.get("/fleet/v1/machines").await.is(200).body, "{}");
    rig.join(2, &[("disk", "ssd")]).await;
    rig.join(1, &[]).await;
    let expected = json!({"machines": [
        {"id": machine(1).to_string(), "primaryIP": "10.0.0.1"},
        {"id": machine(2).to_string(), "metadata": {"disk": "ssd"}, "primaryIP": "10.0.0.2"},
    ]});
    assert_eq!(rig.get("/fleet/v1/machines").await.json(), expected);
    rig.lose(2).await;
    assert_eq!(rig.get("/fleet/v1/machines").await.json()["machines"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn patch_adds_replaces_and_removes_in_both_forms_of_a_value() {
    let rig = Rig::start().await;
    rig.join(1, &[("disk", "hdd"), ("zone", "a")]).await;
    rig.join(2, &[]).await;
    let add =
        json!([operation("add", 1, "rack", json!("7")), operation("replace", 1, "disk", json!({"value": "ssd"}))]);
    let answer = patch(&rig, &add.to_string()).await;
    assert_eq!((answer.is(204).body.as_str(), answer.header("content-type")), ("", "application/json"));
    assert_eq!(metadata(&rig, 1).await, json!({"disk": "ssd", "rack": "7", "zone": "a"}));

    let two = json!([operation("remove", 1, "zone", Value::Null), operation("add", 2, "a.b_c-d", json!("x y"))]);
    patch(&rig, &two.to_string()).await.is(204);
    assert_eq!(metadata(&rig, 1).await, json!({"disk": "ssd", "rack": "7"}), "what is configured is hidden");
    assert_eq!(metadata(&rig, 2).await, json!({"a.b_c-d": "x y"}));

    let again = json!([operation("add", 1, "zone", json!("b")), operation("remove", 1, "nothing", json!("x"))]);
    patch(&rig, &again.to_string()).await.is(204);
    assert_eq!(metadata(&rig, 1).await, json!({"disk": "ssd", "rack": "7", "zone": "b"}));
    for empty in ["[]", "null"] {
        patch(&rig, empty).await.is(204);
    }
}

#[tokio::test]
async fn patched_metadata_outlives_the_machine_and_may_come_before_it() {
    let rig = Rig::start().await;
    rig.join(1, &[("disk", "hdd"), ("zone", "a")]).await;
    let both = json!([operation("add", 1, "disk", json!("ssd")), operation("remove", 1, "zone", Value::Null)]);
    patch(&rig, &both.to_string()).await.is(204);
    rig.lose(1).await;
    assert_eq!(metadata(&rig, 1).await, Value::Null);
    rig.join(1, &[("disk", "hdd"), ("zone", "a")]).await;
    assert_eq!(metadata(&rig, 1).await, json!({"disk": "ssd"}));

    patch(&rig, &json!([operation("add", 9, "disk", json!("ssd"))]).to_string()).await.is(204);
    rig.join(9, &[]).await;
    assert_eq!(metadata(&rig, 9).await, json!({"disk": "ssd"}));
}

#[tokio::test]
async fn patch_refuses_in_fleets_words_and_changes_nothing() {
    let rig = Rig::start().await;
    rig.join(1, &[("disk", "hdd")]).await;
    let good = operation("add", 1, "disk", json!("ssd"));
    let path = |path: &str| json!({"op": "add", "path": path, "value": "x"});
    let many: Vec<Value> = (0..101).map(|number| operation("add", 1, &format!("k{number}"), json!("x"))).collect();
    let rows = [
        (operation("copy", 1, "disk", json!("x")), "invalid op: expect add, remove, or replace"),
        (json!({"path": "/a/metadata/b", "value": "x"}), "invalid op: expect add, remove, or replace"),
        (path("/disk"), "machine metadata path invalid"),
        (path(""), "machine metadata path invalid"),
        (path(&format!("/{}/metadata/a b", machine(1))), "machine metadata path invalid"),
        (path(&format!("/{}/metadata/", machine(1))), "machine metadata path invalid"),
        (path("/XYZ/metadata/disk"), "machine metadata path invalid: `XYZ` is not a machine id"),
        (operation("add", 1, "disk", Value::Null), "invalid value: add and replace require a value"),
        (operation("replace", 1, "disk", json!("")), "invalid value: add and replace require a value"),
        (operation("replace", 1, "disk", json!({})), "invalid value: add and replace require a value"),
        (operation("add", 1, "disk", json!(7)), "unable to decode body"),
        (operation("add", 1, "disk", json!("a\nb")), "control characters"),
        (operation("add", 1, "disk", json!("x".repeat(1025))), "at most 1024 bytes"),
    ];
    for (bad, words) in rows {
        patch(&rig, &json!([good, bad]).to_string()).await.refuses(400, words);
    }
    patch(&rig, "{").await.refuses(400, "unable to decode body");
    patch(&rig, "{}").await.refuses(400, "unable to decode body");
    patch(&rig, &Value::from(many).to_string()).await.refuses(400, "more than 100 operations");
    assert_eq!(metadata(&rig, 1).await, json!({"disk": "hdd"}), "not even the good half was done");
}

#[tokio::test]
async fn a_machine_has_a_bound_of_changed_keys() {
    let rig = Rig::start().await;
    let batch = |from: u32| -> String {
        let operations = (from..from + 100).map(|number| operation("add", 1, &format!("k{number}"), json!("x")));
        Value::from(operations.collect::<Vec<_>>()).to_string()
    };
    patch(&rig, &batch(0)).await.is(204);
    patch(&rig, &batch(100)).await.is(204);
    patch(&rig, &batch(200)).await.refuses(400, "more than 256 changed metadata keys");
    patch(&rig, &batch(50)).await.is(204);
}
