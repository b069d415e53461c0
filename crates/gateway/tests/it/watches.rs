//! Watches: nothing of the cluster's own comes through, and all else keeps its form.

use etcd_client::proto::{PbWatchRequest, PbWatchRequestUnion};

use crate::support::{Backend, Watches, put, watch};

const DENIED: &str = "rpc error: code = PermissionDenied desc = etcdserver: permission denied";

async fn check(backend: Backend) {
    let gateway = backend.filtered();
    put(&backend.upstream, "/flota/v1/leader", "secret").await;
    put(&gateway, "/a", "1").await;
    let first = vec![
        watch(b"/a", b"", 0),
        watch(b"/flota/v1/leader", b"", 1),
        watch(b"", &[0], 1),
        watch(b"/flota/", b"/flota0", 0),
        watch(b"/flota/x", b"/z", 1),
        watch(b"/b", b"/a", 0),
    ];
    let mut watches = Watches::open(&gateway, first).await;
    let (mut created, mut seen) = (Vec::new(), Vec::new());
    while created.len() < 6 || seen.is_empty() {
        let answer = watches.next().await;
        if answer.created {
            assert!(answer.header.as_ref().is_some_and(|header| header.revision == 3));
            created.push((answer.watch_id, answer.canceled, answer.cancel_reason));
        } else {
            seen.extend(answer.events.into_iter().map(|event| (answer.watch_id, event.kv.unwrap().key)));
        }
    }
    let open = |id: i64| (id, false, String::new());
    let refused = |reason: &str| (-1, true, reason.to_owned());
    let expected =
        [open(0), refused(DENIED), open(1), refused(DENIED), open(2), refused("mvcc: watcher range is empty")];
    assert_eq!(created, expected, "answers in the order of the requests");
    assert_eq!(seen, [(1, b"/a".to_vec())], "history without the cluster's keys");

    put(&backend.upstream, "/flota/v1/leader", "secret too").await;
    put(&gateway, "/flota0", "1").await;
    let mut seen = Vec::new();
    while seen.len() < 2 {
        let answer = watches.next().await;
        assert!(!answer.events.is_empty(), "nothing empty is sent: {answer:?}");
        seen.extend(answer.events.into_iter().map(|event| (answer.watch_id, event.kv.unwrap().key)));
    }
    seen.sort();
    assert_eq!(seen, [(1, b"/flota0".to_vec()), (2, b"/flota0".to_vec())]);

    let progress = PbWatchRequestUnion::ProgressRequest(Default::default());
    watches.requests.send(PbWatchRequest { request_union: Some(progress) }).await.unwrap();
    let answer = watches.next().await;
    assert_eq!((answer.watch_id, answer.header.unwrap().revision, answer.events.len()), (-1, 5, 0));
}

#[tokio::test]
async fn watches_see_nothing_of_the_cluster() {
    check(Backend::embedded().await).await;
}

#[tokio::test]
async fn watches_see_nothing_of_the_cluster_on_debians_etcd() {
    check(Backend::etcd().await).await;
}
