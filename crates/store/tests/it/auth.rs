//! Auth as clients see it: tokens, certificates, the private door, and what outlives a crash.

use std::path::{Path, PathBuf};
use std::time::Duration;

use etcd_client::proto::{PbRangeRequest, PbRangeResponse};
use etcd_client::{
    Certificate, Client, Compare, CompareOp, ConnectOptions, GetOptions, Identity, Permission, PutOptions, TlsOptions,
    Txn, TxnOp, UserAddOptions, WatchOptions,
};
use flota_store::{AuthConfig, Listen, Store, StoreConfig, StoreError};
use rcgen::ExtendedKeyUsagePurpose;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::metadata::MetadataValue;

use crate::startup::Authority;
use crate::support::*;

/// A store with the cheapest passwords.
fn cheap(dir: &Path, listen: Vec<Listen>) -> StoreConfig {
    let auth = AuthConfig { bcrypt_cost: 4, token_ttl: Duration::from_secs(2), ..AuthConfig::default() };
    StoreConfig { auth, ..StoreConfig::new(dir.join("data"), listen) }
}

struct Guarded {
    addr: String,
    socket: PathBuf,
    stop: CancellationToken,
    end: JoinHandle<Result<(), StoreError>>,
}

impl Guarded {
    async fn start(dir: &Path) -> Guarded {
        let socket = dir.join("store.sock");
        let config = cheap(dir, vec![loopback(), Listen::Unix(socket.clone())]);
        let store = Store::open(config).await.unwrap();
        let addr = store.addresses()[0].to_string();
        let stop = CancellationToken::new();
        let end = tokio::spawn(store.serve(stop.clone()));
        Guarded { addr, socket, stop, end }
    }

    async fn client(&self) -> Client {
        Client::connect([&self.addr], None).await.unwrap()
    }

    async fn user(&self, name: &str, password: &str) -> Result<Client, etcd_client::Error> {
        let options = ConnectOptions::new().with_user(name, password);
        let mut client = Client::connect([&self.addr], Some(options)).await?;
        // Connecting authenticates; a first request tells whether that has worked.
        client.user_get(name).await?;
        Ok(client)
    }

    async fn private(&self) -> Client {
        let channel = etcd_client::Channel::Tonic(self.private_channel().await);
        Client::from_channel(channel, None).await.unwrap()
    }

    async fn private_channel(&self) -> tonic::transport::Channel {
        let url = format!("unix://{}", self.socket.display());
        tonic::transport::Endpoint::from_shared(url).unwrap().connect().await.unwrap()
    }

    async fn close(self) {
        self.stop.cancel();
        soon(self.end).await.unwrap().unwrap();
    }
}

/// The users `root` and `app`; `app` may read and write what begins with `/app/`.
async fn enable(client: &mut Client) {
    client.user_add("root", "rootpw", None).await.unwrap();
    client.user_grant_role("root", "root").await.unwrap();
    client.user_add("app", "apppw", None).await.unwrap();
    client.role_add("app").await.unwrap();
    client.role_grant_permission("app", Permission::read_write("/app/").with_prefix()).await.unwrap();
    client.user_grant_role("app", "app").await.unwrap();
    client.auth_enable().await.unwrap();
}

#[track_caller]
fn refused<T>(answer: Result<T, etcd_client::Error>, text: &str) {
    let error = answer.err().expect("it must be refused").to_string();
    assert!(error.contains(text), "{error}");
}

const NOBODY: &str = "etcdserver: user name is empty";
const DENIED: &str = "etcdserver: permission denied";

#[tokio::test]
async fn with_auth_enabled_each_request_needs_a_user_who_may() {
    let dir = tempfile::tempdir().unwrap();
    let store = Guarded::start(dir.path()).await;
    let mut nobody = store.client().await;
    nobody.put("/app/a", "1", None).await.unwrap();
    enable(&mut nobody).await;
    refused(nobody.put("/app/a", "2", None).await, NOBODY);
    refused(nobody.get("/app/a", None).await, NOBODY);
    refused(nobody.compact(2, None).await, NOBODY);
    refused(nobody.lease_grant(60, None).await, NOBODY);
    refused(nobody.leases().await, NOBODY);
    refused(nobody.member_list().await, NOBODY);
    refused(nobody.user_list().await, NOBODY);
    refused(nobody.defragment().await, "auth: user name is empty");
    refused(store.user("app", "wrong").await, "etcdserver: authentication failed, invalid user ID or password");
    let mut app = store.user("app", "apppw").await.unwrap();
    app.put("/app/a", "2", None).await.unwrap();
    assert_eq!(app.get("/app/", Some(GetOptions::new().with_prefix())).await.unwrap().count(), 1);
    refused(app.put("/other", "1", None).await, DENIED);
    refused(app.get("", Some(GetOptions::new().with_all_keys())).await, DENIED);
    refused(app.compact(2, None).await, DENIED);
    refused(app.role_list().await, DENIED);
    refused(app.hash().await, "auth: permission denied");
    let guess =
        Txn::new().when([Compare::value("/other", CompareOp::Equal, "1")]).and_then([TxnOp::put("/app/a", "3", None)]);
    refused(app.txn(Txn::new().and_then([TxnOp::txn(guess)])).await, DENIED);
    let mut root = store.user("root", "rootpw").await.unwrap();
    root.put("/other", "1", None).await.unwrap();
    root.compact(3, None).await.unwrap();
    root.auth_disable().await.unwrap();
    nobody.put("/other", "2", None).await.unwrap();
    store.close().await;
}

#[tokio::test]
async fn a_watch_is_refused_when_it_is_made_and_others_of_the_stream_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let store = Guarded::start(dir.path()).await;
    enable(&mut store.client().await).await;
    let mut app = store.user("app", "apppw").await.unwrap();
    let mut watch = app.watch("/app/", Some(WatchOptions::new().with_prefix())).await.unwrap();
    assert!(soon(watch.message()).await.unwrap().unwrap().created());
    let all = WatchOptions::new().with_all_keys();
    let open_ended = WatchOptions::new().with_from_key();
    for (key, options) in [("/other", WatchOptions::new()), ("/app/a", open_ended), ("", all)] {
        watch.watch(key, Some(options)).await.unwrap();
        let answer = soon(watch.message()).await.unwrap().unwrap();
        assert!(answer.created() && answer.canceled() && answer.watch_id() == -1);
        let reason = "rpc error: code = PermissionDenied desc = etcdserver: permission denied";
        assert_eq!(answer.cancel_reason(), reason);
    }
    app.put("/app/a", "1", None).await.unwrap();
    assert_eq!(soon(watch.message()).await.unwrap().unwrap().events().len(), 1);
    let mut nobody = store.client().await.watch("/app/a", None).await.unwrap();
    let answer = soon(nobody.message()).await.unwrap().unwrap();
    assert_eq!(answer.cancel_reason(), "rpc error: code = InvalidArgument desc = etcdserver: user name is empty");
    store.close().await;
}

#[tokio::test]
async fn the_keys_of_a_lease_are_told_to_who_may_read_them() {
    let dir = tempfile::tempdir().unwrap();
    let store = Guarded::start(dir.path()).await;
    enable(&mut store.client().await).await;
    let mut root = store.user("root", "rootpw").await.unwrap();
    let id = root.lease_grant(60, None).await.unwrap().id();
    root.put("/other", "1", Some(PutOptions::new().with_lease(id))).await.unwrap();
    let mut app = store.user("app", "apppw").await.unwrap();
    let with_keys = || Some(etcd_client::LeaseTimeToLiveOptions::new().with_keys());
    refused(app.lease_time_to_live(id, with_keys()).await, DENIED);
    assert_eq!(app.lease_time_to_live(id, None).await.unwrap().granted_ttl(), 60);
    refused(app.lease_revoke(id).await, DENIED);
    refused(app.put("/app/a", "1", Some(PutOptions::new().with_lease(id))).await, DENIED);
    assert_eq!(root.lease_time_to_live(id, with_keys()).await.unwrap().keys(), [b"/other"]);
    root.lease_revoke(id).await.unwrap();
    store.close().await;
}

#[tokio::test]
async fn a_token_ends_when_it_is_not_used_and_with_the_password_it_was_given_for() {
    let dir = tempfile::tempdir().unwrap();
    let store = Guarded::start(dir.path()).await;
    enable(&mut store.client().await).await;
    let mut app = store.user("app", "apppw").await.unwrap();
    for _ in 0..6 {
        tokio::time::sleep(Duration::from_millis(500)).await;
        app.get("/app/a", None).await.unwrap();
    }
    let mut idle = store.user("root", "rootpw").await.unwrap();
    let mut root = store.user("root", "rootpw").await.unwrap();
    root.user_change_password("app", "another").await.unwrap();
    refused(app.get("/app/a", None).await, "etcdserver: invalid auth token");
    refused(store.user("app", "apppw").await, "etcdserver: authentication failed");
    assert!(store.user("app", "another").await.is_ok());
    tokio::time::sleep(Duration::from_millis(2100)).await;
    refused(idle.get("/app/a", None).await, "etcdserver: invalid auth token");
    store.close().await;
}

#[tokio::test]
async fn the_private_door_is_root_unless_it_speaks_for_others() {
    let dir = tempfile::tempdir().unwrap();
    let store = Guarded::start(dir.path()).await;
    let mut private = store.private().await;
    enable(&mut private).await;
    private.put("/flota/v1/cluster", "1", None).await.unwrap();
    private.user_list().await.unwrap();
    let upstream = flota_etcd::Upstream::new(store.private_channel().await);
    let read = async |metadata: &'static str, value: &'static str| {
        let mut request =
            tonic::Request::new(PbRangeRequest { key: b"/flota/v1/cluster".to_vec(), ..Default::default() });
        request.metadata_mut().insert(metadata, MetadataValue::from_static(value));
        let answer: Result<tonic::Response<PbRangeResponse>, _> =
            upstream.unary::<PbRangeRequest, _>("/etcdserverpb.KV/Range", request).await;
        answer.map(|answer| answer.get_ref().count).map_err(|status| status.message().to_owned())
    };
    assert_eq!(read("some", "thing").await, Ok(1));
    assert_eq!(read(flota_etcd::ON_BEHALF, "gateway").await, Err(NOBODY.to_owned()));
    assert_eq!(read("token", "madeUp.1").await, Err("etcdserver: invalid auth token".to_owned()));
    store.close().await;
}

#[tokio::test]
async fn the_common_name_of_a_certificate_is_a_user() {
    let dir = tempfile::tempdir().unwrap();
    let authority = Authority::new();
    let (cert, key) = authority.sign("localhost", ExtendedKeyUsagePurpose::ServerAuth);
    let write = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let listen = Listen::Tls {
        addr: free_addr(),
        cert: write("cert.pem", &cert),
        key: write("key.pem", &key),
        client_ca: Some(write("ca.pem", &authority.issuer.pem())),
    };
    let socket = dir.path().join("store.sock");
    let store = Store::open(cheap(dir.path(), vec![listen.clone(), Listen::Unix(socket.clone())])).await.unwrap();
    let stop = CancellationToken::new();
    let end = tokio::spawn(store.serve(stop.clone()));
    let connect = async |common_name: Option<&str>| {
        let (cert, key) = authority.sign_as(common_name);
        let tls = TlsOptions::new()
            .domain_name("localhost")
            .ca_certificate(Certificate::from_pem(authority.issuer.pem()))
            .identity(Identity::from_pem(cert, key));
        Client::connect([listen.to_string()], Some(ConnectOptions::new().with_tls(tls))).await.unwrap()
    };
    let mut root = connect(Some("root")).await;
    enable(&mut root).await;
    root.user_add("cert", "", Some(UserAddOptions::new().with_no_pwd())).await.unwrap();
    root.user_grant_role("cert", "app").await.unwrap();
    let mut cert = connect(Some("cert")).await;
    cert.put("/app/a", "1", None).await.unwrap();
    refused(cert.put("/other", "1", None).await, DENIED);
    refused(connect(Some("stranger")).await.put("/app/a", "1", None).await, DENIED);
    refused(connect(None).await.put("/app/a", "1", None).await, DENIED);
    root.put("/other", "1", None).await.unwrap();
    stop.cancel();
    soon(end).await.unwrap().unwrap();
}

#[tokio::test]
async fn users_and_roles_outlive_kill_9_and_tokens_do_not() {
    let dir = tempfile::tempdir().unwrap();
    let mut process = Process::start(dir.path(), free_addr());
    let addr = process.addr.to_string();
    enable(&mut Client::connect([&addr], None).await.unwrap()).await;
    let user = async || Client::connect([&addr], Some(ConnectOptions::new().with_user("app", "apppw"))).await.unwrap();
    let mut before = user().await;
    before.put("/app/a", "1", None).await.unwrap();
    process.kill();
    let _process = Process::start(dir.path(), process.addr);
    refused(Client::connect([&addr], None).await.unwrap().get("/app/a", None).await, NOBODY);
    refused(before.get("/app/a", None).await, "etcdserver: invalid auth token");
    let mut again = user().await;
    assert_eq!(again.get("/app/a", None).await.unwrap().kvs()[0].value(), b"1");
    refused(again.put("/other", "1", None).await, DENIED);
}
