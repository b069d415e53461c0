//! `lab forward`: a port of a machine of the lab as a port of this host, for as long as the command runs.

use std::{convert::Infallible, io, net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    runtime::Builder,
    sync::Semaphore,
    time::{sleep, timeout},
};

use super::{failure, name_flag, open};
use crate::{cli::LabForwardArgs, exit::Exit, failure::Failure, output::printer::Printer};

/// Most connections at the same time; the next one waits in the kernel's queue.
const MAX_CONNECTIONS: usize = 256;
/// How long the machine may take to answer a connection.
const CONNECT: Duration = Duration::from_secs(5);
/// How long to wait when the host has no place for one more connection.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// Runs the verb: forwards until a signal ends the process.
pub fn run(printer: &mut Printer<'_>, arguments: &LabForwardArgs) -> Result<Exit, Failure> {
    let target = target(arguments)?;
    let listen = arguments.listen.unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], target.port())));
    let failed = |error: io::Error| {
        Failure::new(Exit::FAILURE, format!("cannot listen on {listen}: {error}"))
            .with_hint("name another address and port with --listen")
    };
    Builder::new_current_thread().enable_all().build().map_err(failed)?.block_on(async {
        let listener = TcpListener::bind(listen).await.map_err(failed)?;
        let listen = listener.local_addr().map_err(failed)?;
        printer.say(&format!("{listen} leads to {target} on {}, until Ctrl-C", arguments.at.machine));
        match forward(listener, target).await {}
    })
}

/// The machine's port.
fn target(arguments: &LabForwardArgs) -> Result<SocketAddr, Failure> {
    let (lab, machine) = (&arguments.at.name.lab, &arguments.at.machine);
    let machines = open(lab)?.list().map_err(failure)?;
    let Some(found) = machines.iter().find(|it| it.name == *machine) else {
        let hint = format!("see which there are with: flota lab list{}", name_flag(lab));
        return Err(Failure::new(Exit::FAILURE, format!("lab {lab} has no machine {machine}")).with_hint(hint));
    };
    Ok(SocketAddr::from((found.address, arguments.port)))
}

async fn forward(listener: TcpListener, target: SocketAddr) -> Infallible {
    let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let place = Arc::clone(&room).acquire_owned().await;
        let Ok((mut near, _)) = listener.accept().await else {
            sleep(ACCEPT_RETRY).await;
            continue;
        };
        tokio::spawn(async move {
            // A machine without power answers nobody; whoever asked sees the connection end.
            if let Ok(Ok(mut far)) = timeout(CONNECT, TcpStream::connect(target)).await {
                let _ = copy_bidirectional(&mut near, &mut far).await;
            }
            drop(place);
        });
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    async fn listener() -> (TcpListener, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        (listener, at)
    }

    #[tokio::test]
    async fn bytes_go_both_ways_and_the_end_of_either_side_is_passed_on() {
        let (far, target) = listener().await;
        let (near, at) = listener().await;
        tokio::spawn(forward(near, target));
        let mut here = TcpStream::connect(at).await.unwrap();
        let (mut there, _) = far.accept().await.unwrap();
        here.write_all(b"question").await.unwrap();
        here.shutdown().await.unwrap();
        let mut asked = String::new();
        there.read_to_string(&mut asked).await.unwrap();
        there.write_all(b"answer").await.unwrap();
        drop(there);
        let mut answered = String::new();
        here.read_to_string(&mut answered).await.unwrap();
        assert_eq!((asked.as_str(), answered.as_str()), ("question", "answer"));
    }

    #[tokio::test]
    async fn a_machine_that_does_not_answer_ends_the_connection_and_not_the_command() {
        let (far, target) = listener().await;
        drop(far);
        let (near, at) = listener().await;
        tokio::spawn(forward(near, target));
        for _ in 0..2 {
            let mut here = TcpStream::connect(at).await.unwrap();
            assert_eq!(here.read(&mut [0]).await.unwrap_or(0), 0);
        }
    }
}
