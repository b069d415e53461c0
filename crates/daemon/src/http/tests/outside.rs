//! What a machine answers that has to join a cluster first.

use serde_json::json;
use tokio::net::UnixListener;
use tokio_util::sync::CancellationToken;

use super::rig::{Rig, machine};
use crate::disk::DataDir;
use crate::http::{Outside, serve_outside};
use crate::join::Joiner;

#[tokio::test]
async fn a_machine_that_has_to_join_says_so_and_why_it_could_not() {
    let mut rig = Rig::start().await;
    rig.socket = rig.socket.with_extension("outside");
    let listener = UnixListener::bind(&rig.socket).unwrap();
    let data = DataDir::open(&rig.dir.path().join("outside")).unwrap();
    let joiner = Joiner::new(machine(1), "b".to_owned(), &data);
    tokio::spawn(serve_outside(Outside::new(machine(1), joiner), vec![listener], CancellationToken::new()));

    let words = "this machine is in no cluster, and nothing runs on it";
    rig.get("/fleet/v1/machines").await.refuses(503, words);
    rig.submit("a.service", "launched").await.refuses(503, words);
    let health = rig.get("/v1/health").await.is(200).json();
    assert_eq!((&health["store_connected"], &health["machine_id"]), (&json!(false), &json!(machine(1).to_string())));

    let request = r#"{"way":{"token":{"address":"127.0.0.1","token":"x"}}}"#;
    let refused = rig.send("POST", "/v1/join", &["Content-Type: application/json"], request).await;
    refused.refuses(400, "this is not a token");
    let detail = rig.get("/v1/health").await.is(200).json()["detail"].as_str().unwrap().to_owned();
    assert!(detail.contains("the last attempt failed: this is not a token"), "{detail}");
    rig.get("/fleet/v1/machines").await.refuses(503, "the last attempt failed: this is not a token");
    assert!(!data.root().join("membership.toml").exists());
}
