//! What v2 keys are among v3 keys, and what the differential test cannot see: times to live, contention, limits.

use std::time::{Duration, Instant};

use etcd_client::{GetOptions, PutOptions};

use crate::support::{PATIENCE, Served, request};

async fn keys(served: &Served) -> Vec<String> {
    let mut v3 = served.v3().await;
    let all = v3.get("/", Some(GetOptions::new().with_prefix())).await.unwrap();
    all.kvs().iter().map(|pair| pair.key_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn only_empty_directories_are_marked_among_v3_keys() {
    let served = Served::start().await;
    let addr = served.addr;
    request(addr, "PUT", "/v2/keys/a/b/c", "value=1").await;
    assert_eq!(keys(&served).await, ["/a/b/c"]);
    request(addr, "DELETE", "/v2/keys/a/b/c", "").await;
    assert_eq!(keys(&served).await, ["/a/b/"]);
    assert_eq!(request(addr, "GET", "/v2/keys/a/b", "").await.status, 200);
    request(addr, "PUT", "/v2/keys/a/x", "value=1").await;
    assert_eq!(keys(&served).await, ["/a/b/", "/a/x"]);
    request(addr, "PUT", "/v2/keys/a/b/d", "value=1").await;
    assert_eq!(keys(&served).await, ["/a/b/d", "/a/x"]);
    request(addr, "DELETE", "/v2/keys/a?recursive=true", "").await;
    assert_eq!(keys(&served).await, Vec::<String>::new());
    served.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_v3_clients_write_is_there_in_v2() {
    let served = Served::start().await;
    let mut v3 = served.v3().await;
    v3.put("/svc/a", "1", None).await.unwrap();
    v3.put("/svc/a", "2", None).await.unwrap();
    let lease = v3.lease_grant(100, None).await.unwrap().id();
    v3.put("/svc/b", "x", Some(PutOptions::new().with_lease(lease))).await.unwrap();
    let answer = request(served.addr, "GET", "/v2/keys/svc?recursive=true", "").await.json();
    let nodes = answer["node"]["nodes"].as_array().unwrap();
    assert_eq!((nodes[0]["value"].as_str(), nodes[0]["modifiedIndex"].as_i64()), (Some("2"), Some(3)));
    let ttl = nodes[1]["ttl"].as_i64().unwrap();
    assert!((98..=100).contains(&ttl), "{ttl}");
    served.close().await;
}

async fn wait_until_gone(served: &Served, path: &str) -> Duration {
    let start = Instant::now();
    while request(served.addr, "GET", path, "").await.status != 404 {
        assert!(start.elapsed() < PATIENCE, "{path} stays");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    start.elapsed()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_goes_at_its_moment_and_its_directory_stays() {
    let served = Served::start().await;
    let addr = served.addr;
    request(addr, "PUT", "/v2/keys/svc/a", "value=1&ttl=1").await;
    let lived = wait_until_gone(&served, "/v2/keys/svc/a").await;
    assert!((Duration::from_millis(700)..Duration::from_secs(4)).contains(&lived), "{lived:?}");
    assert_eq!(request(addr, "GET", "/v2/keys/svc", "").await.status, 200);
    // Kept by refreshes, and then without an end.
    request(addr, "PUT", "/v2/keys/svc/b", "value=1&ttl=1").await;
    let kept = request(addr, "PUT", "/v2/keys/svc/b", "ttl=100&refresh=true&prevExist=true").await.json();
    assert_eq!((kept["node"]["value"].as_str(), kept["node"]["ttl"].as_i64()), (Some("1"), Some(100)));
    request(addr, "PUT", "/v2/keys/svc/c", "value=1&ttl=1").await;
    request(addr, "PUT", "/v2/keys/svc/c", "value=2&ttl=&prevExist=true").await;
    request(addr, "PUT", "/v2/keys/svc/d", "value=1&ttl=0").await;
    wait_until_gone(&served, "/v2/keys/svc/d").await;
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert_eq!(request(addr, "GET", "/v2/keys/svc/b", "").await.status, 200);
    let endless = request(addr, "GET", "/v2/keys/svc/c", "").await;
    assert!(endless.status == 200 && !endless.body.contains("expiration"), "{}", endless.body);
    served.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_goes_with_everything_in_it_in_one_revision() {
    let served = Served::start().await;
    let addr = served.addr;
    request(addr, "PUT", "/v2/keys/d", "dir=true&ttl=1").await;
    request(addr, "PUT", "/v2/keys/d/x/y", "value=1").await;
    let put = request(addr, "PUT", "/v2/keys/d/z", "value=1&ttl=100").await;
    wait_until_gone(&served, "/v2/keys/d").await;
    let gone = request(addr, "GET", "/v2/keys/d/x/y", "").await;
    assert_eq!((gone.status, gone.index), (404, put.index.map(|index| index + 1)));
    assert_eq!(keys(&served).await, Vec::<String>::new());
    served.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn ends_survive_a_restart() {
    let served = Served::start().await;
    let before = request(served.addr, "PUT", "/v2/keys/a/k", "value=1&ttl=3").await.json();
    request(served.addr, "PUT", "/v2/keys/a/l", "value=1&ttl=500").await;
    let served = Served::start_in(served.close().await).await;
    let after = request(served.addr, "GET", "/v2/keys/a/k", "").await.json();
    assert_eq!(after["node"]["expiration"], before["node"]["expiration"]);
    let start = Instant::now();
    wait_until_gone(&served, "/v2/keys/a/k").await;
    assert!(start.elapsed() < Duration::from_secs(6), "its lease has begun anew, its end has not");
    assert_eq!(request(served.addr, "GET", "/v2/keys/a/l", "").await.status, 200);
    served.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_made_at_the_same_time_are_in_order_and_none_is_lost() {
    let served = Served::start().await;
    let addr = served.addr;
    let makers = (0..8).map(|maker| async move {
        for n in 0..10 {
            let made = request(addr, "POST", "/v2/keys/q", &format!("value={maker}-{n}")).await;
            assert_eq!(made.status, 201, "{}", made.body);
        }
    });
    futures_util::future::join_all(makers).await;
    let queue = request(addr, "GET", "/v2/keys/q?sorted=true", "").await.json();
    let nodes = queue["node"]["nodes"].as_array().unwrap().clone();
    let created: Vec<i64> = nodes.iter().map(|node| node["createdIndex"].as_i64().unwrap()).collect();
    assert_eq!(created.len(), 80);
    assert!(created.is_sorted(), "names are in the order of creation: {created:?}");
    served.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_that_compare_and_swap_one_wins_each_round() {
    let served = Served::start().await;
    let addr = served.addr;
    request(addr, "PUT", "/v2/keys/n", "value=0").await;
    let counters = (0..8).map(|_| async move {
        for _ in 0..10 {
            loop {
                let now = request(addr, "GET", "/v2/keys/n", "").await.json();
                let value: i64 = now["node"]["value"].as_str().unwrap().parse().unwrap();
                let form = format!("value={}&prevIndex={}", value + 1, now["node"]["modifiedIndex"]);
                match request(addr, "PUT", "/v2/keys/n", &form).await.status {
                    200 => break,
                    status => assert_eq!(status, 412),
                }
            }
        }
    });
    futures_util::future::join_all(counters).await;
    assert!(request(addr, "GET", "/v2/keys/n", "").await.body.contains("\"value\":\"80\""));
    served.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn large_directories_are_read_whole() {
    let served = Served::start().await;
    let mut v3 = served.v3().await;
    for n in 0..1500 {
        let key = if n % 2 == 0 { format!("/big/{n:05}") } else { format!("/big/sub/{n:05}") };
        v3.put(key, format!("v{n}"), None).await.unwrap();
    }
    let flat = request(served.addr, "GET", "/v2/keys/big", "").await.json();
    let nodes = flat["node"]["nodes"].as_array().unwrap();
    assert_eq!(nodes.len(), 751);
    assert!(nodes.iter().all(|node| node["dir"] == true || node["value"].as_str().unwrap().starts_with('v')));
    let whole = request(served.addr, "GET", "/v2/keys/big?recursive=true", "").await;
    assert_eq!(whole.body.matches("\"value\":\"v").count(), 1500);
    served.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn paths_are_decoded_and_cleaned_before_anything_is_decided() {
    let served = Served::start().await;
    let addr = served.addr;
    request(addr, "PUT", "/v2/keys/a%20b", "value=1").await;
    assert_eq!(keys(&served).await, ["/a b"]);
    assert_eq!(request(addr, "GET", "/v2/%6beys/%61%20b", "").await.status, 200);
    for path in ["/v2/keys//a", "/v2/keys/x/../a", "/v2/keys/%2e%2e/a", "/v2/keys/x%2f%2f", "/v2/keys/./a"] {
        assert_eq!(request(addr, "PUT", path, "value=1").await.status, 301, "{path}");
    }
    assert_eq!(request(addr, "PUT", "/v2/keys/%ff", "value=1").await.status, 400);
    let long = format!("/v2/keys/{}", "x".repeat(5000));
    assert_eq!(request(addr, "PUT", &long, "value=1").await.status, 400);
    let large = format!("value={}", "x".repeat(1_600_000));
    let refused = request(addr, "PUT", "/v2/keys/a", &large).await;
    assert_eq!((refused.status, refused.body.contains("request is too large")), (400, true), "{}", refused.body);
    let larger = format!("value={}", "x".repeat(11 << 20));
    assert_eq!(request(addr, "PUT", "/v2/keys/a", &larger).await.status, 400);
    served.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn members_and_users_are_not_changed_here_and_it_is_said() {
    let served = Served::start().await;
    let addr = served.addr;
    for (method, path, status, part) in [
        ("GET", "/v2/auth/enable", 200, "{\"enabled\":false}\n"),
        ("GET", "/v2/auth/users", 200, "{\"users\":null}\n"),
        ("PUT", "/v2/auth/users/root", 409, "use authentication of etcd v3"),
        ("PUT", "/v2/auth/enable", 409, "use authentication of etcd v3"),
        ("DELETE", "/v2/auth/enable", 409, "auth: already disabled"),
        ("GET", "/v2/auth/users/x", 404, "auth: User x does not exist."),
        ("GET", "/v2/members/leader", 200, "\"name\":\"default\""),
        ("DELETE", "/v2/members/12", 404, "No such member: 12"),
        ("POST", "/v2/members", 415, "accept application/json"),
        ("DELETE", "/v2/members", 405, "Method Not Allowed"),
        ("GET", "/v2/stats/leader", 200, "\"followers\":{}"),
        ("GET", "/v2/stats/store", 200, "{\"getsSuccess\":0,\"getsFail\":0,"),
        ("PUT", "/v2/stats/self", 405, "Method Not Allowed"),
        ("GET", "/v2/leader", 404, "404 page not found"),
    ] {
        let answer = request(addr, method, path, "").await;
        assert!(answer.status == status && answer.body.contains(part), "{method} {path}: {answer:?}");
    }
    served.close().await;
}
