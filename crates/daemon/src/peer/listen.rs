//! Answering at the peer port.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use flota_engine::Reach;
use flota_etcd::StoreClient;
use flota_registry::{Entry, Key, MachineId, Member};
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::Semaphore;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::datagram;
use super::probe::{FOR_OTHERS, probe_within};
use super::wire::{self, Question};
use crate::clock::now_unix_ms;
use crate::port::{ACCEPT_RETRY, bind};

/// Most connections at the same time. One more ends the oldest: a crowd of silent ones keeps nobody from an answer.
const MAX_CONNECTIONS: usize = 64;
/// Most questions about other machines that are looked into at the same time; the next ones wait for their turn.
const MAX_REACHES: usize = 8;
/// How long one connection may last.
const CONNECTION: Duration = Duration::from_secs(2);
/// How long the store may take to say where a machine is: within what the one who asks waits.
const LOOK_UP: Duration = Duration::from_millis(300);

/// What it takes to answer.
#[derive(Clone)]
pub struct Responder {
    /// This machine.
    pub me: MachineId,
    /// The kernel's boot id.
    pub boot_id: String,
    /// Knows where other machines are.
    pub client: StoreClient,
}

impl Responder {
    /// Listens at `address` and answers until `shutdown`. An address that cannot be bound is tried again.
    pub async fn run(self, address: SocketAddr, shutdown: CancellationToken) {
        let bound = tokio::select! {
            () = shutdown.cancelled() => return,
            bound = bind("peer", address) => bound,
        };
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = self.serve(bound) => {}
        }
    }

    /// Answers for ever, to connections and to datagrams at the same port.
    pub(super) async fn serve(self, listener: TcpListener) {
        let here = wire::here(&self.me, &self.boot_id);
        let datagrams = async {
            let bound = async { UdpSocket::bind(listener.local_addr()?).await };
            match bound.await {
                Ok(socket) => datagram::answer(&socket, &here).await,
                Err(error) => warn!("peer port: no datagrams, connections only: {error}"),
            }
        };
        tokio::join!(datagrams, self.clone().serve_connections(&listener));
    }

    async fn serve_connections(self, listener: &TcpListener) {
        let reaches = Arc::new(Semaphore::new(MAX_REACHES));
        let mut connections = JoinSet::new();
        let mut newest: VecDeque<AbortHandle> = VecDeque::with_capacity(MAX_CONNECTIONS);
        loop {
            let stream = match listener.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    warn!("peer port: cannot accept a connection: {error}");
                    sleep(ACCEPT_RETRY).await;
                    continue;
                }
            };
            while connections.try_join_next().is_some() {}
            newest.retain(|handle| !handle.is_finished());
            if newest.len() == MAX_CONNECTIONS
                && let Some(oldest) = newest.pop_front()
            {
                oldest.abort();
            }
            let (responder, reaches) = (self.clone(), Arc::clone(&reaches));
            newest.push_back(connections.spawn(async move {
                // What goes wrong on a connection is for the other side to notice.
                let _ = timeout(CONNECTION, responder.answer(stream, &reaches)).await;
            }));
        }
    }

    async fn answer(&self, mut stream: TcpStream, reaches: &Semaphore) -> io::Result<()> {
        let line = wire::read_line(&mut stream).await?;
        let answer = match Question::parse(&line) {
            Some(Question::Alive) => wire::here(&self.me, &self.boot_id),
            Some(Question::Reach(machine)) => {
                let _turn = reaches.acquire().await.map_err(io::Error::other)?;
                let Some(reach) = self.reach(&machine).await else { return Ok(()) };
                wire::found(reach).to_owned()
            }
            Some(Question::Clock) => wire::time(now_unix_ms()),
            None => return Ok(()),
        };
        stream.write_all(answer.as_bytes()).await?;
        stream.shutdown().await
    }

    /// How this machine finds another one; nothing where the store does not say where that is.
    async fn reach(&self, machine: &MachineId) -> Option<Reach> {
        let key = Key::Member(machine.clone()).to_string();
        let (_, pair) = timeout(LOOK_UP, self.client.get(&key)).await.ok()?.ok()?;
        let peer = Entry::<Member>::decode(&pair?).ok()?.value.peer?;
        Some(probe_within(FOR_OTHERS, &peer, machine).await)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use flota_etcd::ClientConfig;
    use flota_registry::{Op, Txn, codec::encode};
    use flota_store::{Listen, Store, StoreConfig};
    use tokio::io::AsyncReadExt;

    use super::super::{ask, clock_ahead, probe};
    use super::*;

    const ME: &str = "0123456789abcdef0123456789abcdef";
    const OTHER: &str = "ffffffffffffffffffffffffffffffff";

    fn id(text: &str) -> MachineId {
        text.parse().unwrap()
    }

    /// A store in a folder, and the way to it.
    struct World {
        client: StoreClient,
        shutdown: CancellationToken,
        _folder: tempfile::TempDir,
    }

    impl World {
        async fn new() -> World {
            let folder = tempfile::tempdir().unwrap();
            let socket = folder.path().join("s");
            let listen = vec![Listen::Unix(socket.clone())];
            let store = Store::open(StoreConfig::new(folder.path().join("store"), listen)).await.unwrap();
            let shutdown = CancellationToken::new();
            tokio::spawn(store.serve(shutdown.clone()));
            let config = ClientConfig { endpoints: vec![format!("unix:{}", socket.display())], tls: None };
            World { client: StoreClient::new(&config).await.unwrap(), shutdown, _folder: folder }
        }

        /// The peer port of a machine.
        async fn machine(&self, me: &str) -> String {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let at = listener.local_addr().unwrap().to_string();
            let responder = Responder { me: id(me), boot_id: "b0".to_owned(), client: self.client.clone() };
            tokio::spawn(responder.serve(listener));
            at
        }

        async fn member(&self, machine: &str, peer: Option<String>) {
            let member = Member { address: "127.0.0.1".to_owned(), peer, down_unix_ms: None };
            let key = Key::Member(id(machine)).to_string();
            let put = Op::Put { key, value: encode(&member), lease: None };
            self.client.commit(&Txn { compares: Vec::new(), ops: vec![put] }).await.unwrap();
        }
    }

    /// An address where the kernel refuses.
    async fn closed() -> String {
        TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().to_string()
    }

    /// A listener that accepts and says `words`, and holds the connection open.
    async fn says(words: &'static [u8]) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap().to_string();
        let deaf = UdpSocket::bind(&at).await.unwrap();
        tokio::spawn(async move {
            let _deaf = deaf;
            let mut held = Vec::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                stream.write_all(words).await.unwrap();
                held.push(stream);
            }
        });
        at
    }

    #[tokio::test]
    async fn a_daemon_that_lives_says_so() {
        let world = World::new().await;
        let peer = world.machine(ME).await;
        assert_eq!(probe(&peer, &id(ME)).await, Reach::Alive);
        assert_eq!(probe(&peer, &id(OTHER)).await, Reach::Silent, "another machine has its address now");
        assert_eq!(probe(&closed().await, &id(ME)).await, Reach::NoDaemon);
    }

    #[tokio::test]
    async fn clocks_are_compared() {
        let world = World::new().await;
        let ahead = clock_ahead(&world.machine(ME).await).await.unwrap();
        assert!(ahead.abs() < 1_000, "{ahead} ms, by the same clock");
        assert_eq!(clock_ahead(&says(b"clock 3000\n").await).await.map(i64::is_negative), Some(true));
        assert_eq!(clock_ahead(&says(b"flota x y\n").await).await, None);
        assert_eq!(clock_ahead(&closed().await).await, None);
    }

    #[tokio::test]
    async fn no_answer_in_time_is_silence() {
        for words in [&b""[..], b"garbage\n", b"flota \xff\n", &[b'x'; 4096]] {
            let begun = Instant::now();
            assert_eq!(probe(&says(words).await, &id(ME)).await, Reach::Silent);
            assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
        }
        assert_eq!(probe("no such address", &id(ME)).await, Reach::Silent);
    }

    #[tokio::test]
    async fn another_machine_is_asked_for_its_opinion() {
        let world = World::new().await;
        let asked = world.machine(ME).await;
        let living = world.machine(OTHER).await;
        for (peer, expected) in [
            (Some(living), Reach::Alive),
            (Some(closed().await), Reach::NoDaemon),
            (Some(says(b"").await), Reach::Silent),
            (None, Reach::Silent),
        ] {
            world.member(OTHER, peer.clone()).await;
            assert_eq!(ask(&asked, &id(OTHER)).await, expected, "{peer:?}");
        }
        assert_eq!(ask(&asked, &id("00000000000000000000000000000001")).await, Reach::Silent, "nobody knows it");
        assert_eq!(ask(&closed().await, &id(OTHER)).await, Reach::Silent, "nobody to ask is no opinion");
        world.shutdown.cancel();
    }

    #[tokio::test]
    async fn a_daemon_without_its_store_still_says_that_it_lives_but_has_no_opinion() {
        let world = World::new().await;
        let peer = world.machine(ME).await;
        world.shutdown.cancel();
        assert_eq!(probe(&peer, &id(ME)).await, Reach::Alive);
        assert_eq!(ask(&peer, &id(OTHER)).await, Reach::Silent);
    }

    #[tokio::test]
    async fn a_thousand_silent_connections_keep_nobody_from_an_answer() {
        let world = World::new().await;
        let peer = world.machine(ME).await;
        let mut held = Vec::new();
        for _ in 0..1000 {
            held.push(TcpStream::connect(&peer).await.unwrap());
        }
        assert_eq!(probe(&peer, &id(ME)).await, Reach::Alive);
        // The oldest of them was let go.
        let mut byte = [0];
        let ended = timeout(Duration::from_secs(5), held[0].read(&mut byte)).await.unwrap();
        assert!(matches!(ended, Ok(0) | Err(_)), "{ended:?}");
    }

    #[tokio::test]
    async fn an_address_that_is_taken_is_listened_at_once_it_is_free() {
        let world = World::new().await;
        let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = taken.local_addr().unwrap();
        let responder = Responder { me: id(ME), boot_id: "b0".to_owned(), client: world.client.clone() };
        tokio::spawn(responder.run(address, world.shutdown.clone()));
        sleep(Duration::from_millis(50)).await;
        drop(taken);
        let deadline = Instant::now() + Duration::from_secs(10);
        while probe(&address.to_string(), &id(ME)).await != Reach::Alive {
            assert!(Instant::now() < deadline, "it never listens");
            sleep(Duration::from_millis(50)).await;
        }
        world.shutdown.cancel();
    }
}
