//! Sockets: bound before anything is served, so that a start that cannot work fails as a whole.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use flota_etcd::connection::{self, HEAD_TIMEOUT, tuned};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use crate::service::Front;
use crate::{Listen, StoreError, tls};

/// Most connections of one address; the next one waits in the kernel's queue until one ends.
const MAX_CONNECTIONS: usize = 10_000;

/// Most requests at the same time on one HTTP/2 connection; clients wait with the next one.
const MAX_STREAMS: u32 = 8192;

/// How long to wait when no connection can be accepted, because there are no file descriptors left for example.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// A socket that is listening.
pub(crate) struct Bound {
    listen: Listen,
    socket: Socket,
}

enum Socket {
    Unix(UnixListener, #[expect(dead_code, reason = "removes the file when it is dropped")] SocketFile),
    Tcp(TcpListener),
    Tls(TcpListener, TlsAcceptor),
}

impl Bound {
    pub(crate) async fn bind(listen: &Listen) -> Result<Bound, StoreError> {
        match listen {
            Listen::Unix(path) => {
                let (listener, file) = bind_unix(path).map_err(|source| refused(listen, source))?;
                Ok(Bound { listen: listen.clone(), socket: Socket::Unix(listener, file) })
            }
            Listen::Tcp(addr) => {
                let (listener, addr) = bind_tcp(listen, *addr).await?;
                Ok(Bound { listen: Listen::Tcp(addr), socket: Socket::Tcp(listener) })
            }
            Listen::Tls { addr, cert, key, client_ca } => {
                let config = tls::server_config(cert, key, client_ca.as_deref())
                    .map_err(|source| StoreError::Tls { listen: listen.clone(), source })?;
                let (listener, addr) = bind_tcp(listen, *addr).await?;
                let (cert, key, client_ca) = (cert.clone(), key.clone(), client_ca.clone());
                let listen = Listen::Tls { addr, cert, key, client_ca };
                Ok(Bound { listen, socket: Socket::Tls(listener, TlsAcceptor::from(config)) })
            }
        }
    }

    /// The address, with the port that was chosen if 0 was asked for.
    pub(crate) fn listen(&self) -> &Listen {
        &self.listen
    }

    /// Serves until `stop`, then finishes the requests at hand; dropped, it cuts them off.
    pub(crate) async fn serve(self, front: Front, stop: CancellationToken) {
        let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        let mut connections = JoinSet::new();
        loop {
            let next = async {
                // The semaphore is never closed.
                let permit = Arc::clone(&room).acquire_owned().await.ok();
                (permit, self.socket.accept().await)
            };
            let (permit, accepted) = tokio::select! {
                () = stop.cancelled() => break,
                next = next => next,
            };
            while connections.try_join_next().is_some() {}
            match accepted {
                Ok(accepted) => {
                    let (front, stop) = (front.clone(), stop.clone());
                    connections.spawn(async move {
                        accepted.serve(front, stop).await;
                        drop(permit);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_RETRY).await;
                }
            }
        }
        drop(self.socket);
        while connections.join_next().await.is_some() {}
    }
}

impl Socket {
    async fn accept(&self) -> io::Result<Accepted> {
        Ok(match self {
            Socket::Unix(listener, _) => Accepted::Unix(listener.accept().await?.0),
            Socket::Tcp(listener) => Accepted::Tcp(tuned(listener.accept().await?.0)),
            Socket::Tls(listener, acceptor) => Accepted::Tls(tuned(listener.accept().await?.0), acceptor.clone()),
        })
    }
}

/// A connection that has been made, but has not said anything yet.
enum Accepted {
    Unix(UnixStream),
    Tcp(TcpStream),
    Tls(TcpStream, TlsAcceptor),
}

impl Accepted {
    async fn serve(self, front: Front, stop: CancellationToken) {
        match self {
            Accepted::Unix(stream) => connection::serve(stream, front, MAX_STREAMS, stop).await,
            Accepted::Tcp(stream) => connection::serve(stream, front, MAX_STREAMS, stop).await,
            Accepted::Tls(stream, acceptor) => {
                // A handshake that fails is the client's to report.
                if let Ok(Ok(stream)) = tokio::time::timeout(HEAD_TIMEOUT, acceptor.accept(stream)).await {
                    connection::serve(stream, front, MAX_STREAMS, stop).await;
                }
            }
        }
    }
}

/// Removes the socket file with the listener.
#[derive(Debug)]
struct SocketFile {
    path: PathBuf,
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        // If it has gone already, so much the better.
        let _ = fs::remove_file(&self.path);
    }
}

/// Binds beside the path, narrows the mode, and renames: at its path the socket is never open to others, and a stale one is replaced.
fn bind_unix(path: &Path) -> io::Result<(UnixListener, SocketFile)> {
    match fs::symlink_metadata(path) {
        Ok(found) if !found.file_type().is_socket() => {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, "there is a file that is not a socket"));
        }
        Ok(_) if std::os::unix::net::UnixStream::connect(path).is_ok() => {
            return Err(io::ErrorKind::AddrInUse.into());
        }
        _ => {}
    }
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".{}", std::process::id()));
    let beside = PathBuf::from(beside);
    let _ = fs::remove_file(&beside);
    let listener = UnixListener::bind(&beside)?;
    let placed =
        fs::set_permissions(&beside, fs::Permissions::from_mode(0o600)).and_then(|()| fs::rename(&beside, path));
    if let Err(error) = placed {
        let _ = fs::remove_file(&beside);
        return Err(error);
    }
    Ok((listener, SocketFile { path: path.to_owned() }))
}

async fn bind_tcp(listen: &Listen, addr: SocketAddr) -> Result<(TcpListener, SocketAddr), StoreError> {
    let listener = TcpListener::bind(addr).await.map_err(|source| refused(listen, source))?;
    let addr = listener.local_addr().map_err(|source| refused(listen, source))?;
    Ok((listener, addr))
}

fn refused(listen: &Listen, source: io::Error) -> StoreError {
    let listen = listen.clone();
    if source.kind() == io::ErrorKind::AddrInUse {
        StoreError::AddressInUse { listen }
    } else {
        StoreError::Listen { listen, source }
    }
}
