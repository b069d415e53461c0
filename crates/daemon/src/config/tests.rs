//! What configurations become, and what is refused.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use flota_etcd::{Membership, MembershipStore, TlsFiles};
use flota_registry::Millis;
use flota_store::Listen;

use super::file::{File, parse};
use super::{Config, ConfigError, Options, PortChoice, StoreChoice};

fn build(text: &str) -> Result<Config, ConfigError> {
    Config::build(parse(Path::new("flota.toml"), text)?, None, &Options::default())
}

#[track_caller]
fn refused(text: &str, word: &str) {
    let error = build(text).unwrap_err().to_string();
    assert!(error.contains(word), "{error}");
}

#[test]
fn nothing_configured_is_one_machine_with_a_private_store() {
    let config = build("").unwrap();
    assert!(matches!(config.store, StoreChoice::Embedded { listen } if matches!(listen.as_slice(), [Listen::Unix(_)])));
    assert_eq!(config.client.endpoints, ["unix:/run/flota/store.sock"]);
    assert_eq!((config.lease, config.grace), (Duration::from_secs(5), Millis(1000)));
}

#[test]
fn the_store_for_others_and_a_member() {
    let tls = "[tls]\nca = \"/ca\"\ncert = \"/cert\"\nkey = \"/key\"\n";
    let first = build(&format!("[store]\nlisten = [\"https://10.0.0.1:2379\", \"unix:/run/s\"]\n{tls}")).unwrap();
    assert_eq!(first.client.endpoints, ["unix:/run/s"]);
    let member = build(&format!("[store]\nendpoints = [\"https://10.0.0.1:2379\"]\n{tls}")).unwrap();
    assert!(matches!(member.store, StoreChoice::Remote));
}

#[test]
fn a_store_on_the_network_without_certificates_has_its_own_and_lets_machines_join() {
    let listen = "[store]\nlisten = [\"https://10.0.0.1:2379\"]\n";
    let first = build(listen).unwrap();
    assert_eq!(first.own_pki.as_deref(), Some(Path::new("/var/lib/flota/pki")));
    assert_eq!(first.join.announced("10.0.0.1").as_deref(), Some("10.0.0.1:4003"));
    assert_eq!(first.client.tls.unwrap().ca, Path::new("/var/lib/flota/pki/ca.pem"));
    let tls = "[tls]\nca = \"/ca\"\ncert = \"/cert\"\nkey = \"/key\"\n";
    let with_tls = build(&format!("{listen}{tls}")).unwrap();
    assert_eq!((with_tls.own_pki, with_tls.join), (None, PortChoice::Off));
    let off = build(&format!("{listen}[join]\nlisten = \"off\"\n")).unwrap();
    assert_eq!((off.own_pki.is_some(), off.join), (true, PortChoice::Off));
    assert_eq!(build("").unwrap().own_pki, None);
}

#[test]
fn what_the_machine_was_told_when_it_joined_wins_over_the_file_and_flags_win_over_both() {
    let told = Membership {
        cluster: "0123456789abcdef0123456789abcdef".parse().unwrap(),
        store: MembershipStore { endpoints: vec!["https://10.0.0.1:2379".to_owned()] },
        tls: Some(TlsFiles { ca: "/a".into(), cert: "/b".into(), key: "/c".into() }),
    };
    let text = "[store]\nlisten = [\"https://10.0.0.2:2379\"]\n";
    let file = || parse(Path::new("f"), text).unwrap();
    let joined = Config::build(file(), Some(told.clone()), &Options::default()).unwrap();
    assert!(matches!(joined.store, StoreChoice::Remote));
    assert_eq!(joined.client.endpoints, ["https://10.0.0.1:2379"]);
    assert_eq!((joined.own_pki, joined.join, joined.membership), (None, PortChoice::Off, Some(told.clone())));
    let options = Options { store_listen: vec!["unix:/run/s".to_owned()], ..Options::default() };
    let flags = Config::build(file(), Some(told.clone()), &options).unwrap();
    assert_eq!((flags.client.endpoints, flags.membership), (vec!["unix:/run/s".to_owned()], None));
    let with_door = parse(Path::new("f"), &format!("{text}[join]\nlisten = \"0.0.0.0:4003\"\n")).unwrap();
    let moved = Config::build(with_door, Some(told.clone()), &Options::default()).unwrap();
    assert_eq!(moved.join, PortChoice::Off);
    // Moved back from a store elsewhere to the one in this daemon.
    let back = flota_etcd::MembershipStore { endpoints: Vec::new() };
    let back = Membership { store: back, tls: None, ..told };
    let config = Config::build(file(), Some(back), &Options::default()).unwrap();
    assert!(matches!(config.store, StoreChoice::Embedded { .. }) && config.own_pki.is_some());
}

#[test]
fn flags_win_over_the_file() {
    let file = parse(Path::new("f"), "data_dir = \"/a\"\n[machine]\nmetadata = { x = \"1\" }\n").unwrap();
    let options = Options { data_dir: Some("/b".into()), metadata: Some("k=v, l=w=2".into()), ..Options::default() };
    let config = Config::build(file, None, &options).unwrap();
    assert_eq!(config.data_dir, Path::new("/b"));
    assert_eq!(config.metadata, BTreeMap::from([("k".into(), "v".into()), ("l".into(), "w=2".into())]));
}

#[test]
fn where_the_cluster_moved_to_counts_more_than_the_file_and_less_than_a_flag() {
    let told = Membership {
        cluster: "0123456789abcdef0123456789abcdef".parse().unwrap(),
        store: flota_etcd::MembershipStore { endpoints: vec!["http://10.0.0.9:2379".to_owned()] },
        tls: None,
    };
    let file = || parse(Path::new("f"), "[store]\nlisten = [\"unix:/run/s\"]\n").unwrap();
    let moved = Config::build(file(), Some(told.clone()), &Options::default()).unwrap();
    assert_eq!(moved.client.endpoints, ["http://10.0.0.9:2379"]);
    assert!(matches!(moved.store, StoreChoice::Remote));
    assert!(matches!(moved.left.as_deref(), Some([Listen::Unix(path)]) if path == Path::new("/run/s")));

    let options = Options { store_listen: vec!["unix:/run/t".to_owned()], ..Options::default() };
    let fixed = Config::build(file(), Some(told), &options).unwrap();
    assert_eq!((fixed.client.endpoints, fixed.membership), (vec!["unix:/run/t".to_owned()], None));
}

#[test]
fn the_gateway_is_on_loopback_and_dockers_bridge_until_it_is_told_otherwise() {
    let listens = |config: Config| config.gateway.map(|listen| (listen.addresses, listen.bridges));
    let loopback: SocketAddr = "127.0.0.1:4001".parse().unwrap();
    assert_eq!(listens(build("").unwrap()), Some((vec![loopback], vec!["docker0".to_owned()])));
    let elsewhere = build("[gateway]\nlisten = [\"10.0.0.1:2379\"]\nbridges = []\n").unwrap();
    assert_eq!(listens(elsewhere), Some((vec!["10.0.0.1:2379".parse().unwrap()], Vec::new())));
    assert_eq!(listens(build("[gateway]\nenabled = false\n").unwrap()), None);
    assert_eq!(listens(build("[gateway]\nlisten = []\nbridges = []\n").unwrap()), None);

    let flag = |text: &str| Options { gateway_listen: vec![text.to_owned()], ..Options::default() };
    assert_eq!(listens(Config::build(File::default(), None, &flag("off")).unwrap()), None);
    let config = Config::build(File::default(), None, &flag("127.0.0.1:2379")).unwrap();
    assert_eq!(config.gateway.unwrap().bridge_port(), 2379);
}

#[test]
fn others_can_ask_a_machine_that_shares_its_store() {
    let remote = "[store]\nendpoints = [\"http://10.0.0.1:2379\"]\n";
    assert_eq!(build("").unwrap().peer, PortChoice::Off);
    let peer = build(remote).unwrap().peer;
    assert_eq!(peer.listen("10.0.0.2"), "10.0.0.2:4002".parse().ok());
    assert_eq!(peer.announced("10.0.0.2").as_deref(), Some("10.0.0.2:4002"));
    assert_eq!(peer.announced("fd00::2").as_deref(), Some("[fd00::2]:4002"));
    assert_eq!(peer.listen("m2.example"), "[::]:4002".parse().ok());
    assert_eq!(peer.announced("m2.example").as_deref(), Some("m2.example:4002"));

    let everywhere = build("[peer]\nlisten = \"0.0.0.0:5000\"\n").unwrap().peer;
    assert_eq!(everywhere.announced("10.0.0.2").as_deref(), Some("10.0.0.2:5000"));
    assert_eq!(build(&format!("[peer]\nlisten = \"off\"\n{remote}")).unwrap().peer, PortChoice::Off);
    let options = Options { peer_listen: Some("127.0.0.1:1".to_owned()), ..Options::default() };
    let config = Config::build(parse(Path::new("f"), remote).unwrap(), None, &options).unwrap();
    assert_eq!(config.peer.announced("10.0.0.2").as_deref(), Some("127.0.0.1:1"));
}

/// The file that the package installs.
const SHIPPED: &str = include_str!("../../../../dist/flota.toml");

/// The names that the parser expects in place of one that it does not know.
fn expected(section: &str) -> Vec<String> {
    let text = if section.is_empty() { "unknown = 1\n".to_owned() } else { format!("[{section}]\nunknown = 1\n") };
    let error = parse(Path::new("f"), &text).unwrap_err().to_string();
    let (_, names) = error.split_once("expected ").unwrap();
    names.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

#[test]
fn the_shipped_file_sets_nothing_and_explains_every_key() {
    let shipped = build(SHIPPED).unwrap();
    assert_eq!(format!("{shipped:?}"), format!("{:?}", build("").unwrap()));
    let is_key = |line: &str| {
        line.strip_prefix('#').is_some_and(|key| key.starts_with(|c: char| c == '[' || c.is_ascii_lowercase()))
    };
    let all: Vec<&str> = SHIPPED.lines().map(|line| if is_key(line) { &line[1..] } else { line }).collect();
    let all = all.join("\n");
    parse(Path::new("f"), &all).unwrap();
    let sections: BTreeMap<String, toml::Value> = toml::from_str(&all).unwrap();
    let names = expected("");
    assert_eq!(names.len(), 9, "{names:?}");
    for name in names {
        let value = sections.get(&name).unwrap_or_else(|| panic!("{name} is not explained"));
        for key in value.as_table().map_or(Vec::new(), |_| expected(&name)) {
            assert!(value.get(&key).is_some(), "{name}.{key} is not explained");
        }
    }
}

#[test]
fn a_machine_that_must_join_may_once_it_was_told_a_cluster() {
    let text = "[join]\nrequired = true\n";
    assert!(build(text).unwrap().must_join && !build("").unwrap().must_join);
    assert!(!build(&format!("{text}[store]\nendpoints = [\"http://127.0.0.1:1\"]\n")).unwrap().must_join);
    let store = MembershipStore { endpoints: vec!["https://10.0.0.1:2379".to_owned()] };
    let tls = TlsFiles { ca: "/ca".into(), cert: "/cert".into(), key: "/key".into() };
    let cluster = "00000000000000000000000000000001".parse().unwrap();
    let told = Membership { cluster, store, tls: Some(tls) };
    let file = parse(Path::new("f"), text).unwrap();
    assert!(!Config::build(file, Some(told), &Options::default()).unwrap().must_join);
}

#[test]
fn what_is_wrong_is_said() {
    refused("[store]\nlisten = [\"http://0.0.0.0:2379\"]\n", "everyone on the network");
    refused("[join]\nlisten = \"0.0.0.0:4003\"\n", "needs the cluster's own certificates");
    refused("[store]\nlisten = [\"10.0.0.1:2379\"]\n", "not of the form");
    refused("[store]\nlisten = [\"unix:/a\"]\nendpoints = [\"http://b:1\"]\n", "exclude each other");
    refused("[stor]\n", "unknown field `stor`");
    refused("[machine]\nadress = \"x\"\n", "line 2");
    refused("[cluster]\nlease_seconds = 1\n", "expected 2 to 600");
    refused("[gateway]\nlisten = [\"localhost\"]\n", "gateway.listen `localhost` is not of the form ADDRESS:PORT");
    refused("[peer]\nlisten = \"4002\"\n", "not of the form ADDRESS:PORT");
    refused("[gateway]\nbridges = [\"docker0, br0\"]\n", "not the name of an interface");
}
