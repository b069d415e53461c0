//! Asking at a peer port.

use std::io;
use std::time::Duration;

use flota_engine::Reach;
use flota_registry::MachineId;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::datagram;
use super::wire::{self, Question};
use crate::clock::now_unix_ms;

/// How long one question may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// For the connection.
    pub(super) connect: Duration,
    /// For the connection and the answer.
    pub(super) all: Duration,
}

/// How long a connection may stay without an answer until a second one is tried beside it. The kernel repeats a lost first
/// packet only after a second, when nobody waits any more.
const SECOND_TRY: Duration = Duration::from_millis(300);

/// For whoever decides.
const OWN: Limits = Limits { connect: Duration::from_secs(1), all: Duration::from_millis(1500) };
/// On behalf of another machine: its answer must be there before that one gives up.
pub(super) const FOR_OTHERS: Limits = Limits { connect: Duration::from_millis(800), all: Duration::from_millis(1200) };

/// Asks the peer port at `peer` (`ADDRESS:PORT`) whether the daemon of machine `expect` answers there; takes at most
/// 1.5 s. Another machine's answer is none.
pub async fn probe(peer: &str, expect: &MachineId) -> Reach {
    probe_within(OWN, peer, expect).await
}

/// Asks the daemon at `via_peer` (`ADDRESS:PORT`) how it finds `machine`; takes at most 1.5 s. A daemon that cannot be
/// asked, or cannot tell, has found nothing.
pub async fn ask(via_peer: &str, machine: &MachineId) -> Reach {
    let answer = exchange(OWN, via_peer, &Question::Reach(machine.clone())).await;
    answer.ok().and_then(|line| wire::parse_found(&line)).unwrap_or(Reach::Silent)
}

/// How far the clock of the daemon at `peer` (`ADDRESS:PORT`) is ahead of this one's, in milliseconds, give or take half of
/// the time that asking takes: at most 1.5 s. Nothing where nobody tells.
pub async fn clock_ahead(peer: &str) -> Option<i64> {
    let asked = now_unix_ms();
    let theirs = wire::parse_time(&exchange(OWN, peer, &Question::Clock).await.ok()?)?;
    let ours = asked.midpoint(now_unix_ms());
    i64::try_from(theirs).ok()?.checked_sub_unsigned(ours)
}

/// [`probe`] with limits of one's own: by a connection and by datagrams at once. One sign of life is enough.
pub(super) async fn probe_within(limits: Limits, peer: &str, expect: &MachineId) -> Reach {
    let (connection, datagrams) = (by_connection(limits, peer, expect), datagram::probe(limits.all, peer, expect));
    tokio::pin!(connection, datagrams);
    tokio::select! {
        reach = &mut connection => if reach == Reach::Alive { reach } else { better(reach, datagrams.await) },
        reach = &mut datagrams => if reach == Reach::Alive { reach } else { better(reach, connection.await) },
    }
}

fn better(one: Reach, other: Reach) -> Reach {
    match (one, other) {
        (Reach::Alive, _) | (_, Reach::Alive) => Reach::Alive,
        (Reach::NoDaemon, _) | (_, Reach::NoDaemon) => Reach::NoDaemon,
        (Reach::Silent, Reach::Silent) => Reach::Silent,
    }
}

async fn by_connection(limits: Limits, peer: &str, expect: &MachineId) -> Reach {
    match exchange(limits, peer, &Question::Alive).await {
        Ok(line) if wire::who(&line).as_ref() == Some(expect) => Reach::Alive,
        // Only a kernel that lives refuses.
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Reach::NoDaemon,
        Ok(_) | Err(_) => Reach::Silent,
    }
}

async fn exchange(limits: Limits, peer: &str, question: &Question) -> io::Result<String> {
    let all = async {
        let mut stream = timeout(limits.connect, twice(|| TcpStream::connect(peer))).await??;
        stream.write_all(question.line().as_bytes()).await?;
        wire::read_line(&mut stream).await
    };
    timeout(limits.all, all).await?
}

/// The first of two connections to be made, or refused; the second one begins only if the first takes long.
async fn twice<T, F: Future<Output = io::Result<T>>>(connect: impl Fn() -> F) -> io::Result<T> {
    let first = connect();
    tokio::pin!(first);
    tokio::select! {
        made = &mut first => return made,
        () = tokio::time::sleep(SECOND_TRY) => {}
    }
    tokio::select! {
        made = &mut first => made,
        made = connect() => made,
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    /// What comes of connections that behave like this one after the other: each takes so many milliseconds.
    async fn connections(spans: &[u64]) -> (io::Result<usize>, usize) {
        let tried = Cell::new(0);
        let connect = || {
            let nth = tried.replace(tried.get() + 1);
            async move {
                tokio::time::sleep(Duration::from_millis(spans[nth])).await;
                Ok(nth)
            }
        };
        (twice(connect).await, tried.get())
    }

    #[tokio::test]
    async fn a_connection_whose_first_packet_is_lost_is_tried_again_in_time() {
        let (made, tried) = connections(&[60_000, 1]).await;
        assert_eq!((made.unwrap(), tried), (1, 2));
    }

    #[tokio::test]
    async fn an_answer_that_comes_soon_is_the_only_one_asked_for() {
        let (made, tried) = connections(&[1]).await;
        assert_eq!((made.unwrap(), tried), (0, 1));
    }

    #[tokio::test]
    async fn a_slow_answer_to_the_first_still_counts() {
        let (made, tried) = connections(&[350, 60_000]).await;
        assert_eq!((made.unwrap(), tried), (0, 2));
    }
}
