//! `/v1/leave`: what is refused, what is ordered, and what a machine that has left answers.

use flota_agent::Stage;
use flota_api::machines::{LeaveStage, LeaveStatus};
use flota_registry::TargetState;
use serde_json::json;
use tokio::net::UnixListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::rig::{Answer, Rig, machine};
use crate::disk::DataDir;
use crate::http::{Left, serve_left};
use crate::join::Joiner;

async fn post(rig: &Rig, body: &str) -> Answer {
    rig.send("POST", "/v1/leave", &["Content-Type: application/json"], body).await
}

#[tokio::test]
async fn a_machine_leaves_when_it_is_empty_or_keeps_its_units() {
    let rig = Rig::start().await;
    rig.join(1, &[]).await;
    assert_eq!(rig.get("/v1/leave").await.is(200).json()["stage"], "none");
    post(&rig, "{}").await.refuses(409, "no other machine of the cluster lives");
    rig.join(2, &[]).await;
    rig.schedule(1, &[("a.service", TargetState::Launched)]).await;
    post(&rig, r#"{"check":true}"#).await.is(204);
    post(&rig, "{}").await.refuses(409, "this machine holds 1 units: drain it first");
    post(&rig, r#"{"force":true}"#).await.refuses(400, "only a machine that keeps its units");
    post(&rig, r#"{"stay":true}"#).await.refuses(400, "unknown field `stay`");
    rig.put("/v1/leave", "{}").await.refuses(405, "only GET and POST");
    assert!(rig.orders.lock().await.try_recv().is_err(), "nothing was ordered");

    post(&rig, r#"{"keep":true}"#).await.is(202);
    post(&rig, r#"{"keep":true}"#).await.refuses(409, "leaves already");
    let order = rig.orders.lock().await.recv().await.unwrap();
    assert_eq!((order.keep, order.tell, order.stage), (true, true, Stage::Files));
    rig.schedule(1, &[]).await;
    post(&rig, "{}").await.is(202);
    assert_eq!(rig.orders.lock().await.recv().await.unwrap().stage, Stage::Cluster);
}

#[tokio::test]
async fn without_the_store_only_the_local_half_is_done_and_only_by_force() {
    let rig = Rig::start().await;
    rig.link.send_replace(None);
    for body in ["{}", r#"{"keep":true}"#] {
        post(&rig, body).await.refuses(503, "cannot reach its store");
    }
    post(&rig, r#"{"keep":true,"force":true}"#).await.is(202);
    let order = rig.orders.lock().await.recv().await.unwrap();
    assert_eq!((order.tell, order.cluster, order.lease), (false, None, None));
}

#[tokio::test]
async fn a_machine_that_has_left_says_so_whatever_is_asked() {
    let rig = Rig::start().await;
    let status =
        LeaveStatus { stage: LeaveStage::Done, cluster: Some("1a2b3c4d5e6f".into()), ..LeaveStatus::default() };
    let (_out, status) = watch::channel(status);
    let mut left = Rig::start().await;
    left.socket = rig.socket.with_extension("left");
    let listener = UnixListener::bind(&left.socket).unwrap();
    let data = DataDir::open(&left.dir.path().join("left")).unwrap();
    let joiner = Joiner::new(machine(1), "b".to_owned(), &data);
    let answers = Left { me: machine(1), status, joiner, note: data.leave_note() };
    tokio::spawn(serve_left(answers, vec![listener], CancellationToken::new()));
    let words = "this machine left cluster 1a2b3c4d: run `flota join`";
    left.get("/fleet/v1/units").await.refuses(503, words);
    left.submit("a.service", "launched").await.refuses(503, words);
    post(&left, "{}").await.refuses(503, words);
    assert_eq!(left.get("/v1/leave").await.is(200).json()["stage"], "done");
    let health = left.get("/v1/health").await.is(200).json();
    assert_eq!((&health["store_connected"], &health["machine_id"]), (&json!(false), &json!(machine(1).to_string())));
    assert!(health["detail"].as_str().unwrap().starts_with(words));
}
