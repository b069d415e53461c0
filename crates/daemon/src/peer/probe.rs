//! Asking at a peer port.

use std::io;
use std::time::Duration;

use flota_engine::Reach;
use flota_registry::MachineId;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::wire::{self, Question};

/// How long one question may take.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// For the connection.
    pub(super) connect: Duration,
    /// For the connection and the answer.
    pub(super) all: Duration,
}

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

/// [`probe`] with limits of one's own.
pub(super) async fn probe_within(limits: Limits, peer: &str, expect: &MachineId) -> Reach {
    match exchange(limits, peer, &Question::Alive).await {
        Ok(line) if wire::who(&line).as_ref() == Some(expect) => Reach::Alive,
        // Only a kernel that lives refuses.
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Reach::NoDaemon,
        Ok(_) | Err(_) => Reach::Silent,
    }
}

async fn exchange(limits: Limits, peer: &str, question: &Question) -> io::Result<String> {
    let all = async {
        let mut stream = timeout(limits.connect, TcpStream::connect(peer)).await??;
        stream.write_all(question.line().as_bytes()).await?;
        wire::read_line(&mut stream).await
    };
    timeout(limits.all, all).await?
}
