//! Members that die, freeze, lose the others and come back.

use std::time::Duration;

use etcd_client::proto::{PbPutRequest, PbPutResponse, PbRangeRequest, PbRangeResponse};
use flota_etcd::{Batch, Committed, EtcdError, KeepAlive, Watch};
use tokio::time::{Instant, sleep};

use crate::rig::{Cluster, eventually, put, soon};

/// The longest that a client may take to be served again while two of three members are well.
const FAILOVER: Duration = Duration::from_millis(4500);
/// A lease of this length must outlive the loss of any one member.
const LEASE: Duration = Duration::from_secs(5);

/// The next changes; the answers to questions about progress are passed over.
async fn changes(watch: &mut Watch) -> Result<Batch, EtcdError> {
    loop {
        let batch = watch.next().await?;
        if !batch.changes.is_empty() {
            return Ok(batch);
        }
    }
}

/// Ends with what went wrong.
async fn renew_for_ever(mut keep_alive: KeepAlive) -> EtcdError {
    loop {
        sleep(LEASE / 3).await;
        if let Err(error) = keep_alive.renew().await {
            return error;
        }
    }
}

/// What a session does: it holds a lease and a watch, and takes both up again where they broke. Does `harm` in between, and
/// `mend` when the session is whole again; returns how long that took.
async fn session_survives(cluster: &mut Cluster, harm: impl AsyncFnOnce(&mut Cluster)) -> Duration {
    let client = cluster.client().await;
    let lease = client.grant(LEASE).await.unwrap();
    let renewal = renew_for_ever(client.keep_alive(lease).await.unwrap());
    let Committed::Yes(revision) = client.commit(&put("/t/a", "1")).await.unwrap() else { panic!() };
    let mut watch = client.watch_prefix("/t/", revision).await.unwrap();
    assert_eq!(soon(changes(&mut watch)).await.unwrap().revision, revision);
    let mut renewal = Box::pin(renewal);

    harm(cluster).await;
    let begun = Instant::now();
    // The one or the other notices; a member that is not in use can be lost without a word.
    let noticed = tokio::select! {
        _ = &mut renewal => true,
        _ = changes(&mut watch) => true,
        () = sleep(FAILOVER) => false,
    };
    if noticed {
        eventually(async || client.keep_alive(lease).await.map(drop)).await;
        eventually(async || client.get("/t/a").await).await;
        watch = soon(client.watch_prefix("/t/", revision + 1)).await.unwrap();
    }
    let took = begun.elapsed();
    client.keep_alive(lease).await.expect("the lease outlived it");
    let Ok(Committed::Yes(second)) = client.commit(&put("/t/a", "2")).await else { panic!() };
    assert_eq!(soon(changes(&mut watch)).await.unwrap().revision, second, "nothing is lost and nothing comes twice");
    if noticed { took } else { Duration::ZERO }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_outlives_each_member_that_is_killed() {
    let mut cluster = Cluster::start().await;
    for at in cluster.all() {
        let took = Box::pin(session_survives(&mut cluster, async |cluster| cluster.kill(at))).await;
        println!("member {at} killed: whole again after {took:?}");
        assert!(took < FAILOVER, "{took:?}");
        cluster.spawn(at);
        let client = cluster.client_of(at).await;
        eventually(async || client.get("/t/a").await).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_outlives_a_leader_that_is_frozen_for_ten_seconds() {
    let mut cluster = Cluster::start().await;
    let leader = cluster.leader().await;
    let frozen = Instant::now();
    let took = Box::pin(session_survives(&mut cluster, async |cluster| cluster.freeze(leader))).await;
    println!("leader frozen: whole again after {took:?}");
    assert!(took < FAILOVER, "{took:?}");
    sleep(Duration::from_secs(10).saturating_sub(frozen.elapsed())).await;
    cluster.thaw(leader);
    let took = Box::pin(session_survives(&mut cluster, async |_| ())).await;
    println!("leader thawed: whole again after {took:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_under_way_on_a_frozen_member_is_answered_by_another() {
    let cluster = Cluster::start().await;
    let client = cluster.client().await;
    client.get("/x").await.unwrap();
    // Whichever is in use: the others serve without it.
    for at in cluster.all() {
        cluster.freeze(at);
        let begun = Instant::now();
        client.get("/x").await.unwrap();
        println!("member {at} frozen: read after {:?}", begun.elapsed());
        cluster.thaw(at);
        let thawed = cluster.client_of(at).await;
        eventually(async || thawed.get("/x").await).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_watch_of_a_member_that_is_cut_off_from_the_others_ends() {
    let cluster = Cluster::start().await;
    let client = cluster.client_of(0).await;
    let mut watch = client.watch_prefix("/t/", 1).await.unwrap();
    // The created answer has come; from now on there would be silence.
    cluster.freeze(1);
    cluster.freeze(2);
    let error = soon(changes(&mut watch)).await.unwrap_err();
    assert!(error.to_string().contains("no leader"), "{error}");
    let error = client.get("/t/a").await.unwrap_err();
    assert!(error.to_string().contains("no leader"), "it refuses at once: {error}");
    cluster.thaw(1);
    cluster.thaw(2);
    eventually(async || client.get("/t/a").await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_all_members_return_the_store_is_there_within_five_seconds() {
    let mut cluster = Cluster::start().await;
    let client = cluster.client().await;
    client.commit(&put("/t/a", "1")).await.unwrap();
    cluster.all().for_each(|at| cluster.kill(at));
    let begun = Instant::now();
    let error = client.get("/t/a").await.unwrap_err();
    assert!(error.to_string().starts_with("no member of the store serves (http://127.0.0.1:"), "{error}");
    assert!(error.to_string().contains("Connection refused"), "{error}");
    assert!(begun.elapsed() < Duration::from_secs(6), "{:?}", begun.elapsed());
    cluster.all().for_each(|at| cluster.spawn(at));
    let took = eventually(async || client.get("/t/a").await).await;
    println!("all started again: read after {took:?}");
    assert!(took < Duration::from_secs(5), "{took:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_that_was_replaced_serves() {
    let mut cluster = Cluster::start().await;
    let client = cluster.client().await;
    client.commit(&put("/t/a", "1")).await.unwrap();
    for at in cluster.all() {
        cluster.kill(at);
        eventually(async || client.commit(&put("/t/a", "2")).await).await;
        Box::pin(cluster.replace(at)).await;
        client.get("/t/a").await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_is_sent_to_another_member_when_the_first_refuses_the_connection() {
    let mut cluster = Cluster::start().await;
    let client = cluster.client().await;
    let gateways = cluster.config().upstream().unwrap();
    let write = async || {
        client.commit(&put("/t/a", "1")).await.unwrap();
        let put = PbPutRequest { key: b"/t/b".to_vec(), ..PbPutRequest::default() };
        gateways.unary::<PbPutRequest, PbPutResponse>("/etcdserverpb.KV/Put", put).await.unwrap();
    };
    write().await;
    let leader = cluster.leader().await;
    for at in cluster.all().filter(|at| *at != leader) {
        cluster.kill(at);
        // The connection's end is noticed, nothing is under way.
        sleep(Duration::from_millis(200)).await;
        write().await;
        cluster.spawn(at);
        let started = cluster.client_of(at).await;
        eventually(async || started.get("/t/a").await).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_gateways_way_fails_over_too() {
    let cluster = Cluster::start().await;
    let upstream = cluster.config().upstream().unwrap();
    let read = async || {
        let range = PbRangeRequest { key: b"/t/a".to_vec(), ..PbRangeRequest::default() };
        upstream.unary::<PbRangeRequest, PbRangeResponse>("/etcdserverpb.KV/Range", range).await
    };
    read().await.unwrap();
    for at in cluster.all() {
        cluster.freeze(at);
        let begun = Instant::now();
        soon(async {
            // Cut, or asked while the others had no leader: the client's own call to repeat.
            while let Err(status) = read().await {
                assert_eq!(status.code(), tonic::Code::Unavailable, "{status}");
                sleep(Duration::from_millis(50)).await;
            }
        })
        .await;
        assert!(begun.elapsed() < FAILOVER, "{:?}", begun.elapsed());
        cluster.thaw(at);
        let thawed = cluster.client_of(at).await;
        eventually(async || thawed.get("/x").await).await;
    }
}
