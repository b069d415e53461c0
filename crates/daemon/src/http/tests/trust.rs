//! A store that is not believed: what is refused, what is told, what is accepted.

use flota_agent::trust::{Distrust, Doubt, Known};
use flota_registry::{Cluster, Entry, Key, accept_store};

use super::rig::Rig;

const SLEEPER: &str = "/fleet/v1/units/a.service";

fn distrust(doubt: Doubt) -> Distrust {
    let cluster = "000000000000000000000000000000cc".parse().unwrap();
    Distrust { known: Known { cluster, incarnation: 4, revision: 500, store: None }, doubt }
}

async fn record(rig: &Rig) -> Option<Cluster> {
    let (_, pair) = rig.store.get(&Key::Cluster.to_string()).await.unwrap();
    pair.map(|pair| Entry::<Cluster>::decode(&pair).unwrap().value)
}

#[tokio::test]
async fn changes_are_refused_with_the_reason_and_reads_carry_it() {
    let rig = Rig::start().await;
    rig.submit("a.service", "launched").await.is(201);
    rig.distrust.send_replace(Some(distrust(Doubt::Older(99))));
    rig.submit("b.service", "launched").await.refuses(503, "frozen, nothing can be changed");
    rig.send("DELETE", SLEEPER, &[], "").await.refuses(503, "revision 99, not 500");
    let read = rig.get(SLEEPER).await;
    assert!(read.is(200).header("flota-frozen").contains("revision 99, not 500"), "{read:?}");
    assert!(rig.get("/v1/health").await.json()["detail"].as_str().unwrap().contains("older"));

    rig.distrust.send_replace(None);
    assert_eq!(rig.get(SLEEPER).await.header("flota-frozen"), "");
    rig.submit("b.service", "launched").await.is(201);
}

#[tokio::test]
async fn without_a_bond_to_the_store_reads_tell_the_reason_too() {
    let rig = Rig::start().await;
    rig.link.send_replace(None);
    rig.get(SLEEPER).await.refuses(503, "cannot reach its store");
    rig.distrust.send_replace(Some(distrust(Doubt::Wiped)));
    rig.get(SLEEPER).await.refuses(503, "the store is empty");
}

#[tokio::test]
async fn another_machine_that_is_frozen_keeps_this_one_from_changes() {
    let rig = Rig::start().await;
    rig.get("/fleet/v1/units").await.is(200);
    rig.join_frozen(2, "it has seen more").await;
    rig.get("/fleet/v1/units").await.is(200);
    rig.submit("a.service", "launched").await.refuses(503, "machine 00000000 takes no orders: it has seen more");
}

#[tokio::test]
async fn a_wiped_store_is_accepted_under_the_same_cluster_id_in_a_higher_incarnation() {
    let rig = Rig::start().await;
    rig.distrust.send_replace(Some(distrust(Doubt::Wiped)));
    let shown = rig.get("/v1/store/trust").await.json();
    assert_eq!((&shown["acceptable"], shown["machines"].as_array().unwrap().len()), (&true.into(), 1));
    let answer = rig.send("POST", "/v1/store/trust", &[], "").await;
    assert_eq!(answer.is(200).json()["incarnation"], 5);
    let record = record(&rig).await.unwrap();
    assert_eq!((record.id, record.incarnation), (distrust(Doubt::Wiped).known.cluster, 5));
}

#[tokio::test]
async fn only_what_is_in_doubt_can_be_accepted_and_never_another_clusters_store() {
    let rig = Rig::start().await;
    let foreign =
        Cluster { id: "000000000000000000000000000000ff".parse().unwrap(), created_unix_ms: 1, incarnation: 0 };
    rig.commit(&accept_store(&foreign, None)).await;
    rig.send("POST", "/v1/store/trust", &[], "").await.refuses(409, "nothing to accept");
    rig.distrust.send_replace(Some(distrust(Doubt::Foreign(foreign.id.clone()))));
    rig.send("POST", "/v1/store/trust", &[], "").await.refuses(409, "leave its cluster first");
    assert_eq!(record(&rig).await, Some(foreign));
    rig.send("PUT", "/v1/store/trust", &[], "").await.refuses(405, "only GET and POST");
}
