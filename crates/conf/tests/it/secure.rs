//! With Debian's etcd that does not let everybody in: certificates, user names and passwords.

use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::time::{Duration, SystemTime};

use flota_conf::run::Ended;
use flota_conf::settings::Layer;
use flota_pki::{Authority, Identity, Lifetime, Purpose, Subject};

use crate::rig::{Certificates, Etcd, Place};

fn place() -> Place {
    let place = Place::new();
    place.resource("a.toml", "[template]\nsrc = \"a\"\ndest = \"OUT/a\"\nkeys = [\"/app\"]\n");
    place.template("a", "{{getv \"/app/host\"}}");
    place
}

fn layer(etcd: &Etcd, backend: &str) -> Layer {
    Layer { backend: Some(backend.to_owned()), nodes: Some(vec![etcd.node()]), onetime: Some(true), ..Layer::default() }
}

fn certificates(dir: &Path) -> Certificates {
    let now = SystemTime::now();
    let lifetime = Lifetime { from: now - Duration::from_secs(60), until: now + Duration::from_secs(3_600) };
    let (authority, _) = Authority::create("the test's", lifetime).unwrap();
    let subject = Subject {
        name: "localhost",
        hosts: vec!["localhost".to_owned()],
        addresses: vec![IpAddr::V4(Ipv4Addr::LOCALHOST)],
        purpose: Purpose::Both,
    };
    let Identity { certificate, key } = authority.issue(&subject, lifetime).unwrap();
    let write = |name: &str, text: &str| {
        fs::write(dir.join(name), text).unwrap();
        dir.join(name)
    };
    Certificates {
        ca: write("ca.pem", authority.certificate()),
        cert: write("cert.pem", &certificate),
        key: write("key.pem", &key),
    }
}

#[tokio::test]
async fn keys_are_read_with_a_certificate_and_not_without_one() {
    let place = place();
    let files = certificates(place.dir.path());
    let etcd = Etcd::start_with(Some(files.clone())).await;
    let with_ca = |backend| Layer { client_ca: Some(files.ca.clone()), ..layer(&etcd, backend) };
    let identity =
        |layer: Layer| Layer { client_cert: Some(files.cert.clone()), client_key: Some(files.key.clone()), ..layer };
    etcd.ctl(2, &["set", "/app/host", "two"]);
    etcd.ctl(3, &["put", "/app/host", "three"]);
    assert_eq!(place.run(identity(with_ca("etcd"))).await.unwrap(), Ended::Done);
    assert_eq!(place.read("a"), "two");
    assert_eq!(place.run(identity(with_ca("etcdv3"))).await.unwrap(), Ended::Done);
    assert_eq!(place.read("a"), "three");
    etcd.ctl(3, &["put", "/app/host", "unseen"]);
    for backend in ["etcd", "etcdv3"] {
        place.run(with_ca(backend)).await.unwrap_err();
        place.run(identity(layer(&etcd, backend))).await.expect_err("the system does not trust who signed");
        let half = Layer { client_cert: Some(files.cert.clone()), ..with_ca(backend) };
        let error = place.run(half).await.unwrap_err().to_string();
        assert_eq!(error, "client-cert and client-key are given together or not at all");
    }
    assert_eq!(place.read("a"), "three");
}

fn user(layer: Layer, password: &str) -> Layer {
    Layer { basic_auth: Some(true), username: Some("reader".to_owned()), password: Some(password.to_owned()), ..layer }
}

#[tokio::test]
async fn keys_of_etcd_v3_are_read_and_followed_with_a_password_and_not_without_one() {
    let (place, etcd) = (place(), Etcd::start().await);
    for words in [
        "put /app/host h1",
        "user add root:rootpw",
        "role add root",
        "user grant-role root root",
        "user add reader:pw",
        "role add reads",
        "role grant-permission reads read --prefix /app",
        "user grant-role reader reads",
        "auth enable",
    ] {
        etcd.ctl(3, &words.split(' ').collect::<Vec<_>>());
    }
    place.run(layer(&etcd, "etcdv3")).await.unwrap_err();
    place.run(user(layer(&etcd, "etcdv3"), "wrong")).await.unwrap_err();
    assert_eq!(place.run(user(layer(&etcd, "etcdv3"), "pw")).await.unwrap(), Ended::Done);
    assert_eq!(place.read("a"), "h1");
    let follow = async {
        etcd.ctl(3, &["--user", "root:rootpw", "put", "/app/host", "h2"]);
        place.eventually("a", "h2").await;
    };
    let watching = Layer { watch: Some(true), onetime: Some(false), ..user(layer(&etcd, "etcdv3"), "pw") };
    tokio::select! {
        ended = place.run(watching) => panic!("{ended:?}"),
        () = follow => {}
    }
}

#[tokio::test]
async fn keys_of_etcd_v2_are_read_with_a_password_and_not_without_one() {
    let (place, etcd) = (place(), Etcd::start().await);
    for words in [
        "set /app/host h1",
        "user add root:rootpw",
        "user add reader:pw",
        "role add reads",
        "role grant reads -path /app* -read",
        "user grant reader -roles reads",
        "auth enable",
        "-u root:rootpw role revoke guest -path /* -readwrite",
    ] {
        etcd.ctl(2, &words.split(' ').collect::<Vec<_>>());
    }
    place.run(layer(&etcd, "etcd")).await.unwrap_err();
    place.run(user(layer(&etcd, "etcd"), "wrong")).await.unwrap_err();
    assert_eq!(place.run(user(layer(&etcd, "etcd"), "pw")).await.unwrap(), Ended::Done);
    assert_eq!(place.read("a"), "h1");
}
