//! The question whether a machine lives in single datagrams: on a cable that loses a fifth of them one in three questions
//! comes to nothing, and a connection, which takes three packets to be made, nearly two.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use flota_engine::Reach;
use flota_registry::MachineId;
use tokio::net::{UdpSocket, lookup_host};
use tokio::time::{interval, sleep, timeout};
use tracing::warn;
use uuid::Uuid;

use super::wire;
use crate::port::ACCEPT_RETRY;

/// Length of every question. No answer is longer: nobody can have a third machine flooded by forging questions.
const QUESTION_BYTES: usize = 192;
/// How long after a question it is asked again.
const REPEAT: Duration = Duration::from_millis(100);

/// Answers questions for ever.
pub(super) async fn answer(socket: &UdpSocket, here: &str) {
    let mut buffer = [0; QUESTION_BYTES];
    loop {
        let (length, from) = match socket.recv_from(&mut buffer).await {
            Ok(received) => received,
            Err(error) => {
                warn!("peer port: cannot take a datagram: {error}");
                sleep(ACCEPT_RETRY).await;
                continue;
            }
        };
        let Some(mark) = marked(&buffer[..length]) else { continue };
        let answer = format!("{} {mark}\n", here.trim_end());
        if answer.len() <= length {
            // One that cannot be sent is like one that is lost: the question comes again.
            let _ = socket.send_to(answer.as_bytes(), from).await;
        }
    }
}

/// Asks at `peer` (`ADDRESS:PORT`) again and again, for so long, whether the daemon of machine `expect` answers there.
pub(super) async fn probe(limit: Duration, peer: &str, expect: &MachineId) -> Reach {
    match timeout(limit, ask(peer, expect)).await {
        Ok(Ok(reach)) => reach,
        // Only a kernel that lives refuses.
        Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => Reach::NoDaemon,
        Ok(Err(_)) | Err(_) => Reach::Silent,
    }
}

async fn ask(peer: &str, expect: &MachineId) -> io::Result<Reach> {
    let address = lookup_host(peer).await?.next().ok_or(io::ErrorKind::NotFound)?;
    let any: SocketAddr = match address {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(any).await?;
    socket.connect(address).await?;
    let mark = Uuid::new_v4().simple().to_string();
    let question = format!("{:<width$}\n", format!("alive {mark}"), width = QUESTION_BYTES - 1);
    let mut again = interval(REPEAT);
    let mut buffer = [0; QUESTION_BYTES];
    loop {
        tokio::select! {
            _ = again.tick() => drop(socket.send(question.as_bytes()).await?),
            length = socket.recv(&mut buffer) => {
                let answer = std::str::from_utf8(&buffer[..length?]).unwrap_or_default().trim_end();
                if let Some((line, its)) = answer.rsplit_once(' ')
                    && its == mark
                {
                    let is_there = wire::who(line).as_ref() == Some(expect);
                    return Ok(if is_there { Reach::Alive } else { Reach::Silent });
                }
            }
        }
    }
}

/// The mark of a question that this daemon answers.
fn marked(question: &[u8]) -> Option<&str> {
    let mark = std::str::from_utf8(question).ok()?.trim_end().strip_prefix("alive ")?;
    mark.bytes().all(|byte| byte.is_ascii_hexdigit()).then_some(mark)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    const ME: &str = "0123456789abcdef0123456789abcdef";
    const LIMIT: Duration = Duration::from_millis(1500);

    fn me() -> MachineId {
        ME.parse().unwrap()
    }

    async fn bound() -> (UdpSocket, String) {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let at = socket.local_addr().unwrap().to_string();
        (socket, at)
    }

    #[tokio::test]
    async fn who_loses_most_questions_is_heard_all_the_same() {
        let (inner, hidden) = bound().await;
        tokio::spawn(async move { answer(&inner, &wire::here(&me(), "b0")).await });
        // A cable that lets only every fifth question through.
        let (outer, at) = bound().await;
        let (outer, (to_daemon, _)) = (Arc::new(outer), bound().await);
        to_daemon.connect(&hidden).await.unwrap();
        tokio::spawn(async move {
            let mut buffer = [0; 512];
            let mut count = 0;
            loop {
                let (length, from) = outer.recv_from(&mut buffer).await.unwrap();
                count += 1;
                if count % 5 == 0 {
                    to_daemon.send(&buffer[..length]).await.unwrap();
                    let length = to_daemon.recv(&mut buffer).await.unwrap();
                    outer.send_to(&buffer[..length], from).await.unwrap();
                }
            }
        });
        assert_eq!(probe(LIMIT, &at, &me()).await, Reach::Alive);
    }

    #[tokio::test]
    async fn silence_a_closed_port_and_somebody_else_are_told_apart() {
        let (_silent, at) = bound().await;
        assert_eq!(probe(Duration::from_millis(300), &at, &me()).await, Reach::Silent);
        let (closed, at) = bound().await;
        drop(closed);
        assert_eq!(probe(LIMIT, &at, &me()).await, Reach::NoDaemon);
        let (other, at) = bound().await;
        tokio::spawn(async move { answer(&other, &wire::here(&"f".repeat(32).parse().unwrap(), "b0")).await });
        assert_eq!(probe(LIMIT, &at, &me()).await, Reach::Silent, "another machine has its address now");
    }

    #[tokio::test]
    async fn no_answer_is_longer_than_its_question() {
        let (socket, at) = bound().await;
        tokio::spawn(async move { answer(&socket, &wire::here(&me(), "b0")).await });
        let (asking, _) = bound().await;
        asking.connect(&at).await.unwrap();
        for refused in ["alive 12\n".to_owned(), format!("{:<150}\n", "alive x;y"), format!("{:<150}\n", "reach me")] {
            asking.send(refused.as_bytes()).await.unwrap();
        }
        let whole = format!("{:<150}\n", "alive 34");
        asking.send(whole.as_bytes()).await.unwrap();
        let mut buffer = [0; 512];
        let length = timeout(LIMIT, asking.recv(&mut buffer)).await.unwrap().unwrap();
        assert_eq!(std::str::from_utf8(&buffer[..length]).unwrap(), format!("flota {ME} b0 34\n"));
    }
}
