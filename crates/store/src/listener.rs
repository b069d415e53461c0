//! Sockets: bound before anything is served, so that a start that cannot work fails as a whole.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};

use tokio::net::{TcpListener, UnixListener};
use tokio_stream::wrappers::UnixListenerStream;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Certificate, Identity, Server, ServerTlsConfig};

use crate::{Listen, StoreError};

/// A socket that is listening.
#[derive(Debug)]
pub(crate) struct Bound {
    listen: Listen,
    socket: Socket,
}

#[derive(Debug)]
enum Socket {
    Unix(UnixListener, SocketFile),
    Tcp(TcpListener),
    Tls(TcpListener, Box<ServerTlsConfig>),
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
                let config = ServerTlsConfig::new()
                    .identity(Identity::from_pem(read(cert)?, read(key)?))
                    .client_ca_root(Certificate::from_pem(read(client_ca)?));
                // Built once now and once to serve: a bad certificate must be told at the start.
                let checked = Server::builder().tls_config(config.clone());
                checked.map_err(|source| StoreError::Tls { listen: listen.clone(), source })?;
                let (listener, addr) = bind_tcp(listen, *addr).await?;
                let (cert, key, client_ca) = (cert.clone(), key.clone(), client_ca.clone());
                let listen = Listen::Tls { addr, cert, key, client_ca };
                Ok(Bound { listen, socket: Socket::Tls(listener, Box::new(config)) })
            }
        }
    }

    /// The address, with the port that was chosen if 0 was asked for.
    pub(crate) fn listen(&self) -> &Listen {
        &self.listen
    }

    /// Serves until `stop`, then finishes the requests at hand.
    pub(crate) async fn serve(self, routes: Routes, stop: CancellationToken) -> Result<(), StoreError> {
        let listen = self.listen;
        let stopped = stop.cancelled_owned();
        let served = match self.socket {
            Socket::Unix(listener, _file) => {
                let incoming = UnixListenerStream::new(listener);
                Server::builder().add_routes(routes).serve_with_incoming_shutdown(incoming, stopped).await
            }
            Socket::Tcp(listener) => {
                let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
                Server::builder().add_routes(routes).serve_with_incoming_shutdown(incoming, stopped).await
            }
            Socket::Tls(listener, config) => {
                let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
                match Server::builder().tls_config(*config) {
                    Ok(mut server) => server.add_routes(routes).serve_with_incoming_shutdown(incoming, stopped).await,
                    Err(error) => Err(error),
                }
            }
        };
        served.map_err(|source| StoreError::Serve { listen, source })
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

fn read(path: &Path) -> Result<Vec<u8>, StoreError> {
    fs::read(path).map_err(|source| StoreError::Io { action: "read", path: path.to_owned(), source })
}
