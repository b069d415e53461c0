//! `/v1/machines`: all machines, what people ask of them, and their removal.

use flota_registry::{Key, Member, Op, TargetState, Txn, codec};
use serde_json::{Value, json};

use super::rig::{Rig, machine};

const REASON: &str = r#"{"mode":"draining","reason":" new disk "}"#;

fn path(number: u32) -> String {
    format!("/v1/machines/{}", machine(number))
}

async fn shown(rig: &Rig, number: u32) -> Value {
    rig.get(&path(number)).await.is(200).json()["machine"].clone()
}

/// A machine says that it belongs to the cluster.
async fn enlist(rig: &Rig, number: u32, down_unix_ms: Option<u64>) {
    let member = Member { address: format!("10.0.0.{number}"), peer: None, down_unix_ms };
    let (key, value) = (Key::Member(machine(number)).to_string(), codec::encode(&member));
    rig.commit(&Txn { compares: Vec::new(), ops: vec![Op::Put { key, value, lease: None }] }).await;
}

#[tokio::test]
async fn machines_are_listed_alive_or_not() {
    let rig = Rig::start().await;
    assert_eq!(rig.get("/v1/machines").await.is(200).json(), json!({"machines": []}));
    rig.join(1, &[("disk", "ssd")]).await;
    rig.schedule(1, &[("a.service", TargetState::Launched)]).await;
    rig.report(1, &["a.service", "b.service"]).await;
    enlist(&rig, 2, None).await;
    enlist(&rig, 3, Some(7)).await;
    let list = rig.get("/v1/machines").await.json();
    let seen: Vec<_> = list["machines"].as_array().unwrap().iter().map(|it| (&it["state"], &it["alive"])).collect();
    assert_eq!(
        seen,
        [(&json!("ready"), &json!(true)), (&json!("lost"), &json!(false)), (&json!("down"), &json!(false))]
    );
    let first = &list["machines"][0];
    assert_eq!((&first["metadata"], &first["address"]), (&json!({"disk": "ssd"}), &json!("10.0.0.1")));
    assert_eq!((&first["units"], &first["version"]), (&json!(2), &json!("0")));

    let holds = rig.get(&path(1)).await.is(200).json()["holds"].clone();
    let held = |unit: &str, scheduled: bool| json!({"unit": unit, "scheduled": scheduled, "active": "active"});
    assert_eq!(holds, json!([held("a.service", true), held("b.service", false)]));
    rig.get(&path(9)).await.refuses(404, "machine does not exist");
    rig.get("/v1/machines/m1").await.refuses(400, "`m1` is not a machine id");
    let fleets = rig.get("/fleet/v1/machines").await.json();
    assert_eq!(fleets["machines"].as_array().unwrap().len(), 1, "fleet's list has living machines only");
}

#[tokio::test]
async fn a_cordon_comes_and_goes() {
    let rig = Rig::start().await;
    rig.join(1, &[]).await;
    let cordon = path(1) + "/cordon";
    rig.put(&cordon, r#"{"mode":"cordoned"}"#).await.is(204);
    assert_eq!(shown(&rig, 1).await["state"], "cordoned");
    rig.put(&cordon, REASON).await.is(204);
    let machine = shown(&rig, 1).await;
    assert_eq!((&machine["state"], &machine["reason"]), (&json!("draining"), &json!("new disk")));
    let since = machine["cordon"]["since_unix_ms"].as_u64().unwrap();
    rig.put(&cordon, REASON).await.is(204);
    assert_eq!(shown(&rig, 1).await["cordon"]["since_unix_ms"], since, "the same again changes nothing");

    rig.lose(1).await;
    let machine = shown(&rig, 1).await;
    assert_eq!((&machine["state"], &machine["cordon"]["mode"]), (&json!("lost"), &json!("draining")));
    rig.send("DELETE", &cordon, &[], "").await.is(204);
    rig.get(&path(1)).await.is(404);
    rig.join(1, &[]).await;
    rig.send("DELETE", &cordon, &[], "").await.is(204);
    assert_eq!(shown(&rig, 1).await["state"], "ready");
}

#[tokio::test]
async fn what_cannot_be_asked_of_a_machine_is_refused() {
    let rig = Rig::start().await;
    rig.join(1, &[]).await;
    let cordon = path(1) + "/cordon";
    let long = format!(r#"{{"mode":"cordoned","reason":"{}"}}"#, "x".repeat(1025));
    for (body, words) in [
        ("{", "unable to decode body"),
        (r#"{"mode":"gone"}"#, "unknown variant `gone`"),
        (r#"{"mode":"cordoned","why":"x"}"#, "unknown field `why`"),
        (r#"{"mode":"removed"}"#, "removed by DELETE"),
        (r#"{"mode":"cordoned","reason":"a\nb"}"#, "one line"),
        (&long, "at most 1024 bytes"),
    ] {
        rig.put(&cordon, body).await.refuses(400, words);
    }
    rig.put(&(path(9) + "/cordon"), REASON).await.refuses(404, "machine does not exist");
    rig.send("DELETE", &(path(9) + "/cordon"), &[], "").await.refuses(404, "machine does not exist");
    rig.get(&cordon).await.refuses(405, "only PUT and DELETE");
    rig.put(&path(1), "{}").await.refuses(405, "only GET and DELETE");
    assert_eq!(shown(&rig, 1).await["state"], "ready");
}

#[tokio::test]
async fn a_machine_that_lives_is_removed_only_by_force() {
    let rig = Rig::start().await;
    rig.join(1, &[]).await;
    enlist(&rig, 2, None).await;
    rig.send("DELETE", &path(1), &[], "").await.refuses(409, "machine 00000000 lives");
    rig.send("DELETE", &(path(1) + "?force=yes"), &[], "").await.refuses(400, "expected true or false");
    rig.send("DELETE", &path(2), &[], "").await.is(202);
    rig.send("DELETE", &(path(1) + "?force=true"), &[], "").await.is(202);
    for number in [1, 2] {
        assert_eq!(shown(&rig, number).await["state"], "removed");
        rig.send("DELETE", &(path(number) + "?force=true"), &[], "").await.is(202);
        rig.put(&(path(number) + "/cordon"), REASON).await.refuses(409, "the machine is being removed");
        rig.send("DELETE", &(path(number) + "/cordon"), &[], "").await.refuses(409, "the machine is being removed");
    }
    rig.send("DELETE", &path(9), &[], "").await.refuses(404, "machine does not exist");
}
