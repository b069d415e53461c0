//! With Debian's etcd.

use flota_conf::run::Ended;
use flota_conf::settings::Layer;

use crate::rig::{Etcd, Place};

fn place() -> Place {
    let place = Place::new();
    place.resource(
        "a.toml",
        "[template]\nsrc = \"a\"\ndest = \"OUT/a\"\nprefix = \"/app\"\nkeys = [\"/host\", \"/up\"]\n",
    );
    place.template("a", "{{getv \"/host\"}}{{range gets \"/up/*\"}} {{.Key}}={{.Value}}{{end}}");
    place
}

fn layer(etcd: &Etcd, backend: &str, watch: bool) -> Layer {
    Layer {
        backend: Some(backend.to_owned()),
        nodes: Some(vec![etcd.node()]),
        watch: Some(watch),
        onetime: Some(!watch),
        ..Layer::default()
    }
}

#[tokio::test]
async fn keys_of_etcd_v3_become_files_and_changes_follow() {
    let (place, etcd) = (place(), Etcd::start().await);
    assert_eq!(place.run(layer(&etcd, "etcdv3", false)).await.unwrap(), Ended::Failed, "the key is not there");
    etcd.ctl(3, &["put", "/app/host", "h"]);
    etcd.ctl(3, &["put", "/app/up-not", "sibling"]);
    assert_eq!(place.run(layer(&etcd, "etcdv3", false)).await.unwrap(), Ended::Done);
    assert_eq!(place.read("a"), "h");
    let follow = async {
        place.eventually("a", "h").await;
        etcd.ctl(3, &["put", "/app/up/1", "x"]);
        place.eventually("a", "h /up/1=x").await;
        etcd.ctl(3, &["del", "/app/up/1"]);
        place.eventually("a", "h").await;
    };
    tokio::select! {
        ended = place.run(layer(&etcd, "etcdv3", true)) => panic!("{ended:?}"),
        () = follow => {}
    }
}

#[tokio::test]
async fn keys_of_etcd_v2_become_files_and_changes_follow() {
    let (place, etcd) = (place(), Etcd::start().await);
    etcd.ctl(2, &["set", "/app/host", "h"]);
    assert_eq!(place.run(layer(&etcd, "etcd", false)).await.unwrap(), Ended::Done);
    assert_eq!(place.read("a"), "h");
    let follow = async {
        etcd.ctl(2, &["set", "/app/up/1", "x"]);
        place.eventually("a", "h /up/1=x").await;
        etcd.ctl(2, &["rm", "--recursive", "/app/up"]);
        place.eventually("a", "h").await;
    };
    tokio::select! {
        ended = place.run(layer(&etcd, "etcd", true)) => panic!("{ended:?}"),
        () = follow => {}
    }
}

#[tokio::test]
async fn a_store_that_was_away_or_compacted_loses_nothing() {
    let (place, mut etcd) = (place(), Etcd::start().await);
    etcd.ctl(3, &["put", "/app/host", "h1"]);
    let options = layer(&etcd, "etcdv3", true);
    let follow = async {
        place.eventually("a", "h1").await;
        etcd.stop();
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        etcd.start_again().await;
        for n in 2..12 {
            etcd.ctl(3, &["put", "/app/host", &format!("h{n}")]);
        }
        etcd.ctl(3, &["compaction", "10"]);
        place.eventually("a", "h11").await;
    };
    tokio::select! {
        ended = place.run(options) => panic!("{ended:?}"),
        () = follow => {}
    }
}

#[tokio::test]
async fn a_file_of_keys_is_followed() {
    let place = place();
    let keys = place.path("keys.yaml");
    std::fs::write(&keys, "app: {host: h1}").unwrap();
    let options = Layer {
        backend: Some("file".to_owned()),
        files: Some(vec![keys.clone()]),
        watch: Some(true),
        ..Layer::default()
    };
    let follow = async {
        place.eventually("a", "h1").await;
        // As editors do it: another file of the same name.
        std::fs::write(place.path("new"), "app: {host: h2, up: {b: 1}}").unwrap();
        std::fs::rename(place.path("new"), &keys).unwrap();
        place.eventually("a", "h2 /up/b=1").await;
    };
    tokio::select! {
        ended = place.run(options) => panic!("{ended:?}"),
        () = follow => {}
    }
}

#[tokio::test]
async fn a_bad_resource_does_not_stop_the_others_and_is_told_by_the_exit_code() {
    let place = place();
    place.resource("bad.toml", "[template]\nsrc = 1\n");
    place.resource("worse.toml", "[template]\nsrc = \"none\"\ndest = \"OUT/none\"\n");
    let keys = place.path("keys.yaml");
    std::fs::write(&keys, "app: {host: h1}").unwrap();
    let options =
        Layer { backend: Some("file".to_owned()), files: Some(vec![keys]), onetime: Some(true), ..Layer::default() };
    assert_eq!(place.run(options).await.unwrap(), Ended::Failed);
    assert_eq!(place.read("a"), "h1");
}
