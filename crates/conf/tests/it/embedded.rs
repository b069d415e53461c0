//! With Flota's own store.

use std::net::SocketAddr;
use std::path::Path;

use flota_conf::plan::Health;
use flota_conf::run::{Ended, GroupStatus, run};
use flota_conf::settings::Layer;
use flota_store::{Listen, Store, StoreConfig};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::rig::{PATIENCE, Place, try_etcdctl};

struct Served {
    address: SocketAddr,
    stop: CancellationToken,
    end: JoinHandle<()>,
}

impl Served {
    async fn start(dir: &Path, address: SocketAddr) -> Served {
        let store = Store::open(StoreConfig::new(dir, vec![Listen::Tcp(address)])).await.unwrap();
        let [Listen::Tcp(address)] = store.addresses()[..] else { panic!("{:?}", store.addresses()) };
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let end = tokio::spawn(async move { store.serve(stopped).await.unwrap() });
        Served { address, stop, end }
    }

    async fn stop(self) -> SocketAddr {
        self.stop.cancel();
        self.end.await.unwrap();
        self.address
    }

    fn layer(&self) -> Layer {
        Layer {
            backend: Some("etcdv3".to_owned()),
            nodes: Some(vec![format!("http://{}", self.address)]),
            ..Layer::default()
        }
    }

    fn ctl(&self, arguments: &[&str]) {
        assert!(try_etcdctl(&format!("http://{}", self.address), 3, None, arguments), "{arguments:?}");
    }
}

// etcdctl is waited for in the test's own thread; the store answers from another one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_of_flotas_own_store_become_files_also_after_it_was_away_or_compacted() {
    let place = Place::new();
    place.resource(
        "a.toml",
        "[template]\nsrc = \"a\"\ndest = \"OUT/a\"\nprefix = \"/app\"\nkeys = [\"/host\", \"/up\"]\n",
    );
    place.template("a", "{{getv \"/host\"}}{{range gets \"/up/*\"}} {{.Key}}={{.Value}}{{end}}");
    let data = place.path("data");
    let store = Served::start(&data, SocketAddr::from(([127, 0, 0, 1], 0))).await;
    store.ctl(&["put", "/app/host", "h1"]);
    let once = Layer { onetime: Some(true), ..store.layer() };
    assert_eq!(place.run(once).await.unwrap(), Ended::Done);
    assert_eq!(place.read("a"), "h1");
    let watching = Layer { watch: Some(true), ..store.layer() };
    let follow = async {
        store.ctl(&["put", "/app/up/1", "x"]);
        place.eventually("a", "h1 /up/1=x").await;
        store.ctl(&["del", "/app/up/1"]);
        place.eventually("a", "h1").await;
        let address = store.stop().await;
        let store = Served::start(&data, address).await;
        for n in 2..12 {
            store.ctl(&["put", "/app/host", &format!("h{n}")]);
        }
        store.ctl(&["compaction", "10"]);
        place.eventually("a", "h11").await;
        store.stop().await;
    };
    tokio::select! {
        ended = place.run(watching) => panic!("{ended:?}"),
        () = follow => {}
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_listens_is_told_how_files_are_and_of_which_revision() {
    let place = Place::new();
    let check = "check_cmd = \"grep -q good {{.src}}\"\n";
    place.resource("a.toml", &format!("[template]\nsrc = \"a\"\ndest = \"OUT/a\"\nkeys = [\"/k\"]\n{check}"));
    place.template("a", "{{getv \"/k\"}}");
    let store = Served::start(&place.path("data"), SocketAddr::from(([127, 0, 0, 1], 0))).await;
    store.ctl(&["put", "/k", "good"]);
    let (listener, mut heard) = watch::channel(Vec::<GroupStatus>::new());
    let session = place.session(Layer { watch: Some(true), ..store.layer() }, Some(listener));
    let mut becomes = async |health, revision, error: Option<&str>| {
        let is = |told: &Vec<GroupStatus>| {
            let told = told.first();
            told.is_some_and(|it| (it.health, it.revision, it.error.as_deref()) == (health, revision, error))
        };
        let heard = tokio::time::timeout(PATIENCE, heard.wait_for(is)).await;
        heard.expect("it is told in time").unwrap()[0].clone()
    };
    let listening = async {
        let first = becomes(Health::Ok, 2, None).await;
        assert_eq!(first.resource, place.path("conf.d/a.toml").display().to_string());
        assert_eq!(first.files, [place.path("out/a")]);
        store.ctl(&["put", "/k", "bad"]);
        becomes(Health::Failed, 2, Some("a check failed")).await;
        // Of another key nothing is told: files of revision 2 they stay.
        store.ctl(&["put", "/other", "x"]);
        store.ctl(&["put", "/k", "good too"]);
        becomes(Health::Ok, 5, None).await;
    };
    tokio::select! {
        ended = Box::pin(run(&session)) => panic!("{ended:?}"),
        () = listening => {}
    }
    store.stop().await;
}
