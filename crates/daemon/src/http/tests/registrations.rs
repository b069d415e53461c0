//! `/v1/registrations`: keys that live as long as a unit.

use flota_api::{
    Client, ClientError, Endpoint,
    registrations::{Registration, Value},
};
use flota_systemd::Systemd;

use super::rig::{Rig, soon};

const PATH: &str = "/v1/registrations";

async fn start_unit(rig: &Rig, unit: &str) {
    let file = rig.socket.with_file_name(unit);
    std::fs::write(&file, super::rig::SLEEP).unwrap();
    let (systemd, _signals) = Systemd::connect_to(rig.systemd.connect().await.unwrap()).await.unwrap();
    systemd.link(&[file]).await.unwrap();
    soon(systemd.start(unit)).await.unwrap();
}

fn registration(unit: &str, key: &str, value: &[u8]) -> Registration {
    Registration { unit: unit.into(), key: key.into(), value: Value::new(value), ttl_seconds: Some(20) }
}

#[tokio::test]
async fn keys_are_registered_listed_and_taken_away_by_the_typed_client() {
    let rig = Rig::start().await;
    start_unit(&rig, "web@1.service").await;
    let client = Client::new(Endpoint::Unix(rig.socket.clone()));
    let key = "/services/web?1&x";
    let registered = soon(client.register(&registration("web@1.service", key, b"\xff1"))).await.unwrap();
    let pair = rig.store.get(key).await.unwrap().1.unwrap();
    assert_eq!(pair.value, b"\xff1");
    assert_eq!(registered.lease, Some(format!("{:x}", pair.lease.unwrap().0)));

    let listed = soon(client.registrations()).await.unwrap();
    assert_eq!((listed.len(), listed[0].unit.as_str(), listed[0].key.as_str()), (1, "web@1.service", key));
    assert_eq!((listed[0].ttl_seconds, listed[0].value.bytes().unwrap()), (20, b"\xff1".to_vec()));
    assert_eq!((&listed[0].lease, &listed[0].problem), (&registered.lease, &None));

    soon(client.unregister("web@1.service", key)).await.unwrap();
    let again = soon(client.unregister("web@1.service", key)).await.unwrap_err();
    assert!(matches!(again, ClientError::Api { code: 404, .. }), "{again}");
    rig.get(PATH).await.is(200);
}

#[tokio::test]
async fn without_the_store_a_key_is_accepted_and_the_answer_says_so() {
    let rig = Rig::start().await;
    start_unit(&rig, "web.service").await;
    rig.link.send_replace(None);
    let answer = rig.put(PATH, r#"{"unit":"web.service","key":"/a","value":"1"}"#).await;
    assert_eq!(answer.is(202).json()["detail"], "the store is out of reach");
    assert_eq!(rig.get(PATH).await.json()["registrations"][0]["problem"], "the store is out of reach");
}

#[tokio::test]
async fn what_is_refused_and_with_which_code() {
    let rig = Rig::start().await;
    start_unit(&rig, "web.service").await;
    rig.put(PATH, "{").await.refuses(400, "unable to decode body");
    rig.put(PATH, r#"{"unit":"web.service","key":"/a"}"#).await.refuses(400, "exactly one of `value`");
    rig.put(PATH, r#"{"unit":"web","key":"/a","value":""}"#).await.refuses(400, "unit `web`: unit name must contain");
    let put = |body: &'static str| rig.put(PATH, body);
    put(r#"{"unit":"db.service","key":"/a","value":""}"#)
        .await
        .refuses(409, "db.service is not active on this machine");
    put(r#"{"unit":"web.service","key":"/flota/v1/leader","value":""}"#).await.refuses(403, "the cluster's own");
    put(r#"{"unit":"web.service","key":"","value":""}"#).await.refuses(400, "a key has 1 to 1024 bytes");
    put(r#"{"unit":"web.service","key":"/a","value":"","ttl_seconds":1}"#).await.refuses(400, "expected 5 to 3600 s");
    put(r#"{"unit":"web.service","key":"/a","value":""}"#).await.is(200);
    put(r#"{"unit":"web.service","key":"/b","value":"","ttl_seconds":20}"#).await.refuses(409, "time to live of 10 s");
    rig.send("DELETE", PATH, &[], "").await.refuses(400, "query parameter `unit` is missing");
    rig.send("POST", PATH, &[], "").await.refuses(405, "only GET, PUT and DELETE supported");
}
