//! A cluster with its own certificates, and machines that come to its door, with real sockets and stores.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use flota_api::join::{JoinRequest, JoinTls, JoinWay, Joined};
use flota_etcd::{ClientConfig, Membership, StoreClient};
use flota_registry::{
    Capacity, Cluster, DesiredState, DesiredUnit, JoinToken, Key, Machine, MachineId, TokenId, create_cluster,
    put_machine, put_token, put_unit, revoke_token,
};
use flota_store::{Listen, Store, StoreConfig};
use flota_unit::UnitFile;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use super::enter::{JoinError, enter};
use super::token::{Secret, Token};
use super::{Door, Joiner, Refusal, pki};
use crate::disk::DataDir;
use crate::session::Link;

const FIRST: &str = "00000000000000000000000000000001";
const NEW: &str = "00000000000000000000000000000002";
const CLUSTER: &str = "c0000000000000000000000000000001";
const OWN_CLUSTER: &str = "c0000000000000000000000000000002";

fn id(text: &str) -> MachineId {
    text.parse().unwrap()
}

/// A store with a cluster in it.
async fn store(folder: &Path, more: Vec<Listen>, cluster: Option<&str>) -> (StoreClient, Vec<String>) {
    let socket = folder.join("s");
    let listen = [vec![Listen::Unix(socket.clone())], more].concat();
    let store = Store::open(StoreConfig::new(folder.join("of-test"), listen)).await.unwrap();
    let urls = store.addresses().iter().map(ToString::to_string).collect();
    tokio::spawn(store.serve(CancellationToken::new()));
    let config = ClientConfig { endpoints: vec![format!("unix:{}", socket.display())], tls: None };
    let client = StoreClient::new(&config).await.unwrap();
    if let Some(cluster) = cluster {
        let cluster = Cluster { id: cluster.parse().unwrap(), created_unix_ms: 1, incarnation: 0 };
        client.commit(&create_cluster(&cluster)).await.unwrap();
    }
    (client, urls)
}

/// A first machine with authority, store and door.
struct Cluster1 {
    client: StoreClient,
    authority: [u8; 32],
    pki: PathBuf,
    endpoint: String,
    /// Where the door is.
    at: String,
    _folder: tempfile::TempDir,
}

impl Cluster1 {
    async fn new() -> Cluster1 {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("pki");
        let authority = pki::ensure_authority(&dir).unwrap();
        pki::issue_own(&authority, &dir, &id(FIRST), &["127.0.0.1".to_owned()]).unwrap();
        let tls = pki::machine_files(&dir);
        let (cert, key, client_ca) = (tls.cert.clone(), tls.key.clone(), Some(tls.ca.clone()));
        let https = Listen::Tls { addr: "127.0.0.1:0".parse().unwrap(), cert, key, client_ca };
        let (client, urls) = store(folder.path(), vec![https], Some(CLUSTER)).await;
        let endpoint = urls.into_iter().find(|url| url.starts_with("https:")).unwrap();
        let fingerprint = pki::fingerprint_of_pem(authority.certificate()).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap().to_string();
        let door = Door { authority, client: client.clone(), endpoints: vec![endpoint.clone()], tls };
        tokio::spawn(door.serve(listener, CancellationToken::new()));
        Cluster1 { client, authority: fingerprint, pki: dir, endpoint, at, _folder: folder }
    }

    async fn token(&self, number: u32) -> Token {
        let token = Token { id: TokenId::of(number), secret: Secret::draw().unwrap(), authority: self.authority };
        let lease = self.client.grant(Duration::from_secs(60)).await.unwrap();
        let kept = JoinToken { secret_sha256: token.secret.sha256(), created_unix_ms: 0, expires_unix_ms: u64::MAX };
        self.client.commit(&put_token(&token.id, &kept, lease)).await.unwrap();
        token
    }

    /// Lets a machine live in the cluster.
    async fn live(&self, machine: &str, boot_id: &str) {
        let announced = Machine {
            address: "10.9.9.9".to_owned(),
            metadata: std::collections::BTreeMap::new(),
            capacity: Capacity::default(),
            version: "0".to_owned(),
            boot_id: boot_id.to_owned(),
            frozen: None,
        };
        let lease = self.client.grant(Duration::from_secs(60)).await.unwrap();
        self.client.commit(&put_machine(&id(machine), &announced, lease)).await.unwrap();
    }
}

/// A machine that is alone in its own cluster.
struct Alone {
    joiner: Joiner,
    link: Link,
    data: DataDir,
    _folder: tempfile::TempDir,
}

impl Alone {
    async fn new(cluster: Option<&str>) -> Alone {
        let folder = tempfile::tempdir().unwrap();
        let data = DataDir::open(&folder.path().join("data")).unwrap();
        let (client, _) = store(folder.path(), Vec::new(), cluster).await;
        let lease = client.grant(Duration::from_secs(60)).await.unwrap();
        let joiner = Joiner::new(id(NEW), "boot".to_owned(), &data);
        Alone { joiner, link: Link { client, lease }, data, _folder: folder }
    }

    async fn join(&self, at: &str, token: &Token, force: bool) -> Result<Joined, Refusal> {
        let way = JoinWay::Token { address: at.to_owned(), token: token.to_string() };
        self.joiner.join(JoinRequest { way, force }, Some(self.link.clone())).await
    }

    async fn unit(&self, name: &str) {
        let file = UnitFile::parse("[Service]\nExecStart=/bin/true\n").unwrap();
        let unit = DesiredUnit { hash: file.hash(), desired: DesiredState::Launched };
        self.link.client.commit(&put_unit(&name.parse().unwrap(), &unit, &file, None)).await.unwrap();
    }

    fn membership(&self) -> Option<Membership> {
        Membership::read(self.data.root()).unwrap()
    }

    /// Folders of certificates.
    fn certificates(&self) -> Vec<PathBuf> {
        let Ok(entries) = std::fs::read_dir(self.data.root().join("pki")) else { return Vec::new() };
        entries.map(|entry| entry.unwrap().path()).collect()
    }
}

#[tokio::test]
async fn a_token_lets_several_machines_in_until_it_is_revoked() {
    let cluster = Cluster1::new().await;
    let token = cluster.token(1).await;
    let first = enter(&cluster.at, &token, &id(NEW)).await.unwrap();
    let second = enter(&cluster.at, &token, &id(FIRST)).await.unwrap();
    assert_eq!(first.cluster.as_str(), CLUSTER);
    assert_eq!(first.endpoints, std::slice::from_ref(&cluster.endpoint));
    assert_ne!(first.certificate, second.certificate);

    let key = Key::Token(token.id.clone()).to_string();
    let seen = cluster.client.get(&key).await.unwrap().1.unwrap().mod_revision;
    cluster.client.commit(&revoke_token(&token.id, seen)).await.unwrap();
    let error = enter(&cluster.at, &token, &id(NEW)).await.unwrap_err();
    assert!(matches!(&error, JoinError::Refused { message, .. } if message.contains("was revoked")), "{error}");
}

#[tokio::test]
async fn a_wrong_secret_or_an_unknown_token_lets_nobody_in_and_takes_its_time() {
    let cluster = Cluster1::new().await;
    let good = cluster.token(1).await;
    let other = Token { secret: Secret::draw().unwrap(), ..good.clone() };
    let unknown = Token { id: TokenId::of(2), ..good.clone() };
    for wrong in [other, unknown] {
        let begun = Instant::now();
        let error = enter(&cluster.at, &wrong, &id(NEW)).await.unwrap_err().to_string();
        assert!(error.contains("this token lets nobody in"), "{error}");
        assert!(begun.elapsed() >= Duration::from_secs(1), "{:?}", begun.elapsed());
    }
}

#[tokio::test]
async fn a_crowd_of_wrong_tokens_waits_for_its_turns_and_a_right_one_gets_in() {
    let cluster = Cluster1::new().await;
    let good = cluster.token(1).await;
    let begun = Instant::now();
    let wrong: Vec<_> = (0..16)
        .map(|_| {
            let (at, token) = (cluster.at.clone(), Token { secret: Secret::draw().unwrap(), ..good.clone() });
            tokio::spawn(async move { enter(&at, &token, &id(NEW)).await })
        })
        .collect();
    enter(&cluster.at, &good, &id(NEW)).await.unwrap();
    for attempt in wrong {
        assert!(matches!(attempt.await.unwrap(), Err(JoinError::Refused { .. })));
    }
    assert!(begun.elapsed() >= Duration::from_secs(2), "eight in a second: {:?}", begun.elapsed());
}

#[tokio::test]
async fn the_secret_is_not_sent_to_another_cluster() {
    let (cluster, stranger) = (Cluster1::new().await, Cluster1::new().await);
    let token = cluster.token(1).await;
    let error = enter(&stranger.at, &token, &id(NEW)).await.unwrap_err();
    assert!(matches!(error, JoinError::WrongAuthority { .. }), "{error}");
}

#[tokio::test]
async fn what_is_no_door_is_said() {
    let cluster = Cluster1::new().await;
    let token = cluster.token(1).await;
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().to_string();
    let error = enter(&closed, &token, &id(NEW)).await.unwrap_err();
    assert!(matches!(error, JoinError::Unreachable { .. }), "{error}");
    let store = cluster.endpoint.strip_prefix("https://").unwrap();
    let error = enter(store, &token, &id(NEW)).await.unwrap_err();
    assert!(!matches!(error, JoinError::Unreachable { .. }), "the store asks for a certificate first: {error}");
}

#[tokio::test]
async fn a_machine_that_is_alone_joins_and_has_the_way_to_the_store() {
    let (cluster, alone) = (Cluster1::new().await, Alone::new(Some(OWN_CLUSTER)).await);
    let joined = alone.join(&cluster.at, &cluster.token(1).await, false).await.unwrap();
    assert_eq!((joined.cluster.as_str(), joined.was_member), (CLUSTER, false));

    let membership = alone.membership().unwrap();
    assert_eq!(membership.cluster.as_str(), CLUSTER);
    let tls = membership.tls.clone().unwrap();
    for file in [&tls.ca, &tls.cert, &tls.key] {
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{}", file.display());
    }
    let config = ClientConfig { endpoints: membership.store.endpoints, tls: Some(tls) };
    let client = StoreClient::new(&config).await.unwrap();
    assert!(client.get(&Key::Cluster.to_string()).await.unwrap().1.is_some());
}

#[tokio::test]
async fn a_member_that_joins_again_gets_new_certificates_and_the_old_ones_go() {
    let (cluster, member) = (Cluster1::new().await, Alone::new(Some(OWN_CLUSTER)).await);
    member.join(&cluster.at, &cluster.token(1).await, false).await.unwrap();
    let before = member.certificates();
    // Its daemon has started anew: its own cluster is that one, with other machines and units.
    cluster.live(FIRST, "other").await;
    cluster.live(NEW, "boot").await;
    let link = Link { client: cluster.client.clone(), ..member.link.clone() };
    let way = JoinWay::Token { address: cluster.at.clone(), token: cluster.token(2).await.to_string() };
    let joined = member.joiner.join(JoinRequest { way, force: false }, Some(link)).await.unwrap();
    assert!(joined.was_member);
    let after = member.certificates();
    assert_eq!((before.len(), after.len()), (1, 1));
    assert_ne!(before, after);
}

#[tokio::test]
async fn a_machine_with_units_is_refused_and_by_force_they_are_destroyed_first() {
    let (cluster, alone) = (Cluster1::new().await, Alone::new(Some(OWN_CLUSTER)).await);
    alone.unit("a.service").await;
    let token = cluster.token(1).await;
    let error = alone.join(&cluster.at, &token, false).await.unwrap_err().told();
    assert!(error.contains("a.service") && error.contains("--force"), "{error}");
    assert_eq!((alone.membership(), alone.certificates()), (None, Vec::new()), "nothing half-done stays");

    let joined = alone.join(&cluster.at, &token, true).await.unwrap();
    assert_eq!(joined.destroyed, ["a.service"]);
    assert!(alone.membership().is_some());
}

#[tokio::test]
async fn a_wrong_token_costs_no_unit_even_by_force() {
    let (cluster, alone) = (Cluster1::new().await, Alone::new(Some(OWN_CLUSTER)).await);
    alone.unit("a.service").await;
    let wrong = Token { secret: Secret::draw().unwrap(), ..cluster.token(1).await };
    assert!(matches!(alone.join(&cluster.at, &wrong, true).await, Err(Refusal::Enter(JoinError::Refused { .. }))));
    let key = Key::Unit("a.service".parse().unwrap()).to_string();
    assert!(alone.link.client.get(&key).await.unwrap().1.is_some());
    assert_eq!((alone.membership(), alone.certificates()), (None, Vec::new()));
}

#[tokio::test]
async fn a_twin_or_a_machine_of_another_cluster_is_refused() {
    let (cluster, alone) = (Cluster1::new().await, Alone::new(Some(OWN_CLUSTER)).await);
    let token = cluster.token(1).await;
    cluster.live(NEW, "another boot").await;
    let error = alone.join(&cluster.at, &token, true).await.unwrap_err();
    assert!(matches!(&error, Refusal::Twin { address } if address == "10.9.9.9"), "{error}");
    cluster.live(NEW, "boot").await;

    let others = Cluster1::new().await;
    others.live(FIRST, "b").await;
    // The same id as the other test cluster's would make it a member.
    let elsewhere = Alone::new(Some(OWN_CLUSTER)).await;
    let lease = elsewhere.link.lease;
    let machine = others.client.get(&Key::Machine(id(FIRST)).to_string()).await.unwrap().1.unwrap();
    let machine = flota_registry::Entry::<Machine>::decode(&machine).unwrap().value;
    elsewhere.link.client.commit(&put_machine(&id(FIRST), &machine, lease)).await.unwrap();
    let error = elsewhere.join(&cluster.at, &token, true).await.unwrap_err();
    assert!(matches!(error, Refusal::HasMachines { .. }), "{error}");
}

#[tokio::test]
async fn certificates_of_ones_own_are_taken_as_they_are_and_a_store_without_a_cluster_is_refused() {
    let (cluster, alone) = (Cluster1::new().await, Alone::new(Some(OWN_CLUSTER)).await);
    let tls = pki::machine_files(&cluster.pki);
    let join = |endpoint: String| {
        let (ca, cert, key) = (tls.ca.clone(), tls.cert.clone(), tls.key.clone());
        let way = JoinWay::Store { endpoints: vec![endpoint], tls: Some(JoinTls { ca, cert, key }) };
        alone.joiner.join(JoinRequest { way, force: false }, Some(alone.link.clone()))
    };
    let folder = tempfile::tempdir().unwrap();
    let (cert, key, client_ca) = (tls.cert.clone(), tls.key.clone(), Some(tls.ca.clone()));
    let https = Listen::Tls { addr: "127.0.0.1:0".parse().unwrap(), cert, key, client_ca };
    let (_, urls) = store(folder.path(), vec![https], None).await;
    let empty = urls.into_iter().find(|url| url.starts_with("https:")).unwrap();
    let error = join(empty).await.unwrap_err();
    assert!(matches!(error, Refusal::NoCluster { .. }), "{error}");

    join(cluster.endpoint.clone()).await.unwrap();
    let membership = alone.membership().unwrap();
    assert_eq!((membership.tls, membership.cluster.as_str()), (Some(tls.clone()), CLUSTER));
    assert_eq!(alone.certificates(), Vec::<PathBuf>::new());
}
