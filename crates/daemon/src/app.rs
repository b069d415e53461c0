//! Builds the daemon from its configuration, runs it, and ends it without stopping any unit.

use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener as StdUnixListener;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::{Context, bail};
use flota_agent::fence::Guarded;
use flota_agent::trust::Distrust;
use flota_agent::{Agent, Leave};
use flota_engine::{Engine, Settings};
use flota_etcd::StoreClient;
use flota_gateway::Gateway;
use flota_gateway::listen::{Listen, keep};
use flota_pki::Authority;
use flota_registry::{Machine, MachineId, Millis};
use flota_store::{Store, StoreConfig, StoreError};
use flota_systemd::{Notifier, inherited_listeners};
use tokio::net::UnixListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{error, info, warn};

use crate::config::{Config, Options, StoreChoice};
use crate::disk::DataDir;
use crate::guard::GuardFile;
use crate::join::{self, Door, Joiner, announce, hex, pki};
use crate::leave::{self, Departure, Desk, when_removed};
use crate::peer::Responder;
use crate::readiness::Readiness;
use crate::session::{LinkWatch, MAX_GOODBYE, Session, machine_goes_down};
use crate::tasks::agent::{AgentTask, boot};
use crate::tasks::conf::{ConfHandle, ConfTask};
use crate::tasks::engine::EngineTask;
use crate::tasks::guard::Guard;
use crate::tasks::mover::MoverTask;
use crate::tasks::registrations::{Handle, RegistrationsTask, RuntimeFile, system_bus};
use crate::tasks::reload::{announcement, on_hangup};
use crate::tasks::{Clock, MAX_QUEUED_EVENTS};
use crate::{http, identity, left, logging, outside};

/// How long tasks get to finish after a signal.
const DRAIN: Duration = Duration::from_secs(5);
/// Threads that run tasks: the daemon waits far more than it works.
const WORKER_THREADS: usize = 2;

/// Why a machine does not go along when its cluster moves.
const FIXED: &str = "its store is fixed by --store-endpoints, --store-listen or their variables, which count more";

/// Runs the daemon until SIGTERM or SIGINT; returns with an error when it cannot start or its store fails.
pub fn run(options: Options) -> anyhow::Result<()> {
    let config = Config::load(&options)?;
    logging::init(config.verbose);
    // Before any thread: taking the sockets over changes the environment.
    let inherited = inherited_listeners()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(WORKER_THREADS).enable_all().build()?;
    let ended = runtime.block_on(serve(config, options, inherited));
    runtime.shutdown_timeout(Duration::from_millis(100));
    ended
}

async fn serve(config: Config, options: Options, inherited: Vec<StdUnixListener>) -> anyhow::Result<()> {
    // From now on, for whoever sends SIGHUP expects the daemon to survive it.
    let hangups = signal(SignalKind::hangup()).context("cannot catch SIGHUP")?;
    let me = identity::machine_id()?;
    let notifier = Arc::new(Notifier::from_env());
    let data = DataDir::open(&config.data_dir)?;
    let listeners = api_listeners(&config, inherited).await?;
    let shutdown = CancellationToken::new();
    let tasks = TaskTracker::new();
    let (desk, mut orders) = Desk::new(data.agent(), config.has_store(), identity::boot_id()?);
    let departure = Departure { me: me.clone(), data: &data, desk: desk.clone(), config: &config };
    if let Some(leave) = data.read_leave()? {
        notifier.ready();
        return depart(departure, leave, listeners).await;
    }
    if config.must_join {
        notifier.ready();
        return outside::run(&me, &data, listeners, termination()).await;
    }

    if let Some(membership) = &config.membership {
        join::adopt(&data, membership)?;
    }
    let announced = announcement(&config)?;
    let authority = certificates(&config, &me, &announced.address)?;

    let store = match &config.store {
        StoreChoice::Embedded { listen } => {
            let store = Store::open(StoreConfig::new(data.store(), listen.clone())).await?;
            info!("embedded store at revision {}", store.revision());
            Some(store)
        }
        StoreChoice::Remote => match (&config.left, &config.membership) {
            (Some(listen), Some(told)) => left::open(data.store(), listen.clone(), &told.cluster).await,
            _ => None,
        },
    };
    let (announced, machine) = watch::channel(announced);
    let goodbye = CancellationToken::new();
    let sockets = duplicate(&listeners)?;
    let open = CancellationToken::new();
    let front = Front { listeners, open: open.clone(), desk };
    let Running { link, distrust, session } =
        spawn_tasks(&config, &me, machine, &data, front, &tasks, &shutdown, &goodbye).await?;
    let moved = CancellationToken::new();
    let (data_dir, fixed) = (config.data_dir.clone(), options.fixes_store().then(|| FIXED.to_owned()));
    let mover = MoverTask { me: me.clone(), link: link.clone(), data_dir, fixed, moved: moved.clone() };
    tasks.spawn(mover.run(shutdown.clone()));
    let door = match authority {
        Some(authority) => {
            let address = announced.borrow().address.clone();
            open_door(&config, authority, &address, link.clone(), &tasks, &shutdown).await?
        }
        None => no_door(),
    };
    tasks.spawn(on_hangup(hangups, options, announced, shutdown.clone()));
    tasks.spawn(Readiness { link, distrust, door, open }.tell(Arc::clone(&notifier), shutdown.clone()));
    info!("flota {} on machine {}", env!("CARGO_PKG_VERSION"), me.short());

    let mut order = None;
    let ended = tokio::select! {
        signal = farewell(&goodbye, session) => {
            info!("{signal}: the daemon ends, units run on");
            Ok(())
        }
        // Whoever runs the daemon starts it again; it then finds the store where the cluster is now.
        () = moved.cancelled() => Ok(()),
        Some(leave) = orders.recv() => {
            info!("this machine leaves its cluster");
            order = Some(leave);
            Ok(())
        }
        failed = serve_store(store, shutdown.clone()) => failed.context("the embedded store failed; units run on"),
    };
    if order.is_none() {
        notifier.stopping();
    }
    shutdown.cancel();
    tasks.close();
    if tokio::time::timeout(DRAIN, tasks.wait()).await.is_err() {
        warn!("some tasks did not finish within {} s", DRAIN.as_secs());
    }
    match order {
        Some(order) => {
            // A machine that hears at its start that it was removed has not said so yet.
            notifier.ready();
            let leave = departure.begin(order).await.context("cannot leave the cluster; nothing is changed")?;
            depart(departure, leave, sockets).await
        }
        None => ended,
    }
}

/// Does what a machine that leaves still has to do, and nothing else. Its exclusive units are nobody's to end any more.
async fn depart(departure: Departure<'_>, leave: Leave, listeners: Vec<UnixListener>) -> anyhow::Result<()> {
    let file = GuardFile::in_folder(departure.config.runtime_dir());
    tokio::task::spawn_blocking(move || file.write(None)).await?.context("cannot send the guard home")?;
    leave::run(departure, leave, listeners, termination()).await
}

/// The same sockets once more, for who answers after the one that has them.
fn duplicate(listeners: &[UnixListener]) -> anyhow::Result<Vec<UnixListener>> {
    let again = |listener: &UnixListener| UnixListener::from_std(listener.as_fd().try_clone_to_owned()?.into());
    listeners.iter().map(again).collect::<Result<_, _>>().context("cannot keep the API's sockets")
}

/// Sees to this machine's certificates; the cluster's authority, where this machine has it.
fn certificates(config: &Config, me: &MachineId, address: &str) -> anyhow::Result<Option<Authority>> {
    let Some(folder) = &config.own_pki else {
        // Nobody but people can renew these.
        if let Some(what) = config.client.tls.as_ref().and_then(|files| pki::ends_soon(files, SystemTime::now())) {
            warn!("{what}; a machine that joined by a token gets a new one by joining again (flota join)");
        }
        return Ok(None);
    };
    let authority = pki::ensure_authority(folder)?;
    pki::issue_own(&authority, folder, me, &config.served_at(address))?;
    Ok(Some(authority))
}

/// Lets other machines join by tokens; what it returns ends once the cluster knows where.
async fn open_door(
    config: &Config,
    authority: Authority,
    address: &str,
    link: LinkWatch,
    tasks: &TaskTracker,
    shutdown: &CancellationToken,
) -> anyhow::Result<CancellationToken> {
    let (Some(listen), Some(at), Some(tls)) =
        (config.join.listen(address), config.join.announced(address), config.client.tls.clone())
    else {
        return Ok(no_door());
    };
    let fingerprint = hex(&pki::fingerprint_of_pem(authority.certificate())?);
    let announced = flota_registry::Door { address: at, authority: fingerprint };
    let client = StoreClient::new(&config.client).await?;
    let door = Door { authority, client, endpoints: config.store_for_others(address), tls };
    tasks.spawn(door.run(listen, shutdown.clone()));
    let known = CancellationToken::new();
    tasks.spawn(announce(announced, link, known.clone(), shutdown.clone()));
    Ok(known)
}

/// Nobody has to wait until machines can join here.
fn no_door() -> CancellationToken {
    let known = CancellationToken::new();
    known.cancel();
    known
}

/// Waits for the signal that ends the daemon. Where the whole machine goes down its units are handed over first; the
/// embedded store must still be served for that.
async fn farewell(goodbye: &CancellationToken, session: JoinHandle<()>) -> &'static str {
    let signal = termination().await;
    if machine_goes_down().await {
        goodbye.cancel();
        // The session has its own limit, and a word to say when that is reached.
        let _ = tokio::time::timeout(MAX_GOODBYE + Duration::from_millis(100), session).await;
    }
    signal
}

/// Serves the embedded store; where there is none this never ends.
async fn serve_store(store: Option<Store>, shutdown: CancellationToken) -> Result<(), StoreError> {
    match store {
        Some(store) => store.serve(shutdown).await,
        None => std::future::pending().await,
    }
}

/// Where people come in.
struct Front {
    listeners: Vec<UnixListener>,
    /// Whoever asks for the cluster before it has ended waits.
    open: CancellationToken,
    /// Takes the order to leave the cluster.
    desk: Desk,
}

/// What the daemon goes by once its tasks run.
struct Running {
    link: LinkWatch,
    distrust: watch::Receiver<Option<Distrust>>,
    session: JoinHandle<()>,
}

#[expect(clippy::too_many_arguments, reason = "everything that the tasks share is made by the one caller")]
async fn spawn_tasks(
    config: &Config,
    me: &MachineId,
    machine: watch::Receiver<Machine>,
    data: &DataDir,
    front: Front,
    tasks: &TaskTracker,
    shutdown: &CancellationToken,
    goodbye: &CancellationToken,
) -> anyhow::Result<Running> {
    let Machine { boot_id, address, .. } = machine.borrow().clone();
    let client = StoreClient::new(&config.client).await?;
    let (peer_client, api_client) = (client.clone(), client.clone());
    let clock = Clock;
    let lease = Millis(u64::try_from(config.lease.as_millis()).unwrap_or(u64::MAX));
    let guard_file = GuardFile::in_folder(config.runtime_dir());
    let (engine_in, engine_out) = mpsc::channel(MAX_QUEUED_EVENTS);
    let (agent_in, agent_out) = mpsc::channel(MAX_QUEUED_EVENTS);
    let (link, link_watch) = watch::channel(None);
    let (leader, leader_watch) = watch::channel(None);
    let (generation, generation_watch) = watch::channel(0);

    let first = boot(&data.agent(), boot_id.clone())?;
    let remembered = data.agent().read_held()?;
    let known = remembered.belongs();
    let (held, held_watch) = watch::channel(remembered);
    let (distrust, distrust_watch) = watch::channel(None);

    let agent = AgentTask {
        agent: Agent::fencing(lease, found_guarded(&guard_file)),
        me: me.clone(),
        dir: data.agent(),
        link: link_watch.clone(),
        clock,
        events: agent_in.clone(),
        generation,
        held,
        guard: Guard::new(guard_file, std::env::current_exe().context("cannot find the program that this is")?),
        connect: system_bus(),
    };
    tasks.spawn(agent.run(first, agent_out, shutdown.clone()));

    let lease = Millis(u64::try_from(config.lease.as_millis()).unwrap_or(u64::MAX));
    let settings = Settings { grace: config.grace, lease, max_moves: config.max_moves, ..Settings::default() };
    let engine = EngineTask {
        engine: Engine::new(me.clone(), settings),
        link: link_watch.clone(),
        clock,
        events: engine_in.clone(),
        feed: None,
    };
    tasks.spawn(engine.run(engine_out, shutdown.clone()));

    let session = Session {
        client,
        me: me.clone(),
        machine,
        peer: config.peer,
        ttl: config.lease,
        clock,
        known,
        held: held_watch.clone(),
        dir: data.agent(),
        distrust,
        link,
        leader,
        engine: engine_in,
        agent: agent_in,
        goodbye: goodbye.clone(),
        desk: front.desk.clone(),
    };
    let session = tasks.spawn(session.run(shutdown.clone()));

    let (registrations, requests) = Handle::new();
    let file = RuntimeFile::new(config.runtime_dir());
    let task =
        RegistrationsTask { link: link_watch.clone(), clock, file, boot_id: boot_id.clone(), connect: system_bus() };
    tasks.spawn(task.run(requests, shutdown.clone()));

    let (conf, told) = ConfHandle::new();
    tasks.spawn(ConfTask::new(me.clone(), link_watch.clone(), config.runtime_dir()).run(told, shutdown.clone()));

    if let Some(listen) = config.peer.listen(&address) {
        let responder = Responder { me: me.clone(), boot_id: boot_id.clone(), client: peer_client };
        tasks.spawn(responder.run(listen, shutdown.clone()));
    }
    if let Some(listen) = &config.gateway {
        tasks.spawn(gateway(config, listen.clone(), shutdown.clone()));
    }
    let Front { listeners, open, desk } = front;
    let (removed, over) = (when_removed(me.clone(), link_watch.clone(), desk.clone()), shutdown.clone());
    tasks.spawn(async move { over.run_until_cancelled(Box::pin(removed)).await.unwrap_or_default() });
    let for_others = link_watch.clone();
    let doubts = distrust_watch.clone();
    let trust = http::Trust { client: api_client, distrust: distrust_watch, held: held_watch };
    let api =
        http::Api::new(me.clone(), link_watch, leader_watch, generation_watch, registrations, trust, shutdown.clone());
    let api = api.with_joiner(Joiner::new(me.clone(), boot_id, data)).with_desk(desk).with_conf(conf);
    tasks.spawn(http::serve(api.opened_by(open), listeners));
    Ok(Running { link: for_others, distrust: doubts, session })
}

/// What an earlier daemon of this boot told the guard. Without it exclusive units are stopped first, and start again.
fn found_guarded(file: &GuardFile) -> Option<Guarded> {
    file.read().unwrap_or_else(|why| {
        error!("{}: {why}; exclusive units are stopped until the store answers", file.path().display());
        None
    })
}

/// The discovery gateway, on a way to the store of its own: what applications do never stands before the cluster's own calls.
fn gateway(config: &Config, listen: Listen, shutdown: CancellationToken) -> impl Future<Output = ()> + use<> {
    let open_to_all = listen.addresses.iter().filter(|address| !address.ip().is_loopback());
    for address in open_to_all {
        warn!("whoever reaches {address} can read and write what applications keep in the store");
    }
    let client = config.client.clone();
    let gateway = Gateway::new(client.endpoints.join(","), move || client.upstream());
    keep(Arc::new(gateway), listen, shutdown)
}

/// The sockets that systemd passed, or else the configured ones.
async fn api_listeners(config: &Config, inherited: Vec<StdUnixListener>) -> anyhow::Result<Vec<UnixListener>> {
    let mut listeners = Vec::new();
    for listener in inherited {
        listener.set_nonblocking(true).context("cannot use the socket that systemd passed")?;
        listeners.push(UnixListener::from_std(listener).context("cannot use the socket that systemd passed")?);
    }
    if listeners.is_empty() {
        for path in &config.api_listen {
            listeners.push(bind(path).await?);
        }
    }
    Ok(listeners)
}

/// Binds a socket for root only; one left over from a dead daemon is replaced, a living one is not.
async fn bind(path: &Path) -> anyhow::Result<UnixListener> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    if tokio::net::UnixStream::connect(path).await.is_ok() {
        bail!(
            "API socket {} is in use by another process: stop it, or name another one with --api-listen",
            path.display()
        );
    }
    if path.exists() {
        std::fs::remove_file(path).with_context(|| format!("cannot replace {}", path.display()))?;
    }
    let listener = UnixListener::bind(path).with_context(|| format!("cannot listen on {}", path.display()))?;
    let private = std::fs::Permissions::from_mode(0o600);
    std::fs::set_permissions(path, private).with_context(|| format!("cannot protect {}", path.display()))?;
    Ok(listener)
}

/// Waits for the signal that ends the process, and names it.
pub(crate) async fn termination() -> &'static str {
    let (Ok(mut term), Ok(mut int)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt())) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = term.recv() => "SIGTERM",
        _ = int.recv() => "SIGINT",
    }
}
