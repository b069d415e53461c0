//! The door: where a machine that shows a token gets a certificate.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Json;
use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flota_api::ErrorBody;
use flota_etcd::connection;
use flota_etcd::{StoreClient, TlsFiles};
use flota_pki::Authority;
use flota_registry::{Cluster, ClusterId, Entry, JoinToken, Key, codec, open_door};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::token::Secret;
use super::wire::{Admission, Application, Hello, MAX_BYTES, PATH};
use super::{pki, tls};
use crate::port::{ACCEPT_RETRY, bind};
use crate::session::LinkWatch;

/// Most connections at the same time; the next one waits in the kernel's queue.
const MAX_CONNECTIONS: usize = 32;
/// How long one connection may last.
const CONNECTION: Duration = Duration::from_secs(15);
/// Most machines that are let in at the same time, and most wrong tokens in [`WRONG_TOKEN`].
const MAX_TRIES: usize = 8;
/// How long a wrong token keeps its place.
const WRONG_TOKEN: Duration = Duration::from_secs(1);
/// How long to wait before the cluster is told again where its door is.
const ANNOUNCE_RETRY: Duration = Duration::from_secs(1);

/// What it takes to let machines in.
pub struct Door {
    /// Signs their certificates.
    pub authority: Authority,
    /// Knows the tokens.
    pub client: StoreClient,
    /// Where machines find the store.
    pub endpoints: Vec<String>,
    /// This machine's own certificate.
    pub tls: TlsFiles,
}

impl Door {
    /// Lets machines in at `address` until `shutdown`.
    pub async fn run(self, address: SocketAddr, shutdown: CancellationToken) {
        let bound = tokio::select! {
            () = shutdown.cancelled() => return,
            bound = bind("join", address) => bound,
        };
        tokio::select! {
            () = shutdown.cancelled() => {}
            ended = self.serve(bound, shutdown.clone()) => {
                let Err(why) = ended;
                error!("no machine can join: {why:#}");
            }
        }
    }

    /// Lets machines in for ever; an error if its certificate is of no use.
    pub(super) async fn serve(self, listener: TcpListener, stop: CancellationToken) -> anyhow::Result<Infallible> {
        let acceptor = TlsAcceptor::from(tls::server(&self.tls)?);
        let tries = Semaphore::new(MAX_TRIES);
        let behind = Arc::new(Behind { door: self, tries });
        let router = Router::new()
            .route(PATH, get(hello).post(apply))
            .layer(DefaultBodyLimit::max(MAX_BYTES))
            .with_state(behind);
        let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
        loop {
            let place = Arc::clone(&room).acquire_owned().await?;
            let stream = match listener.accept().await {
                Ok((stream, _)) => connection::tuned(stream),
                Err(error) => {
                    warn!("join port: cannot accept a connection: {error}");
                    sleep(ACCEPT_RETRY).await;
                    continue;
                }
            };
            let (acceptor, router, stop) = (acceptor.clone(), router.clone(), stop.clone());
            tokio::spawn(async move {
                let served = async {
                    // A handshake that fails is for the other side to report.
                    if let Ok(stream) = acceptor.accept(stream).await {
                        connection::serve(stream, router, 1, stop).await;
                    }
                };
                let _ = timeout(CONNECTION, served).await;
                drop(place);
            });
        }
    }
}

/// Tells the cluster where its door is, with each new session; ends `known` when it has done so.
pub async fn announce(
    door: flota_registry::Door,
    mut link: LinkWatch,
    known: CancellationToken,
    shutdown: CancellationToken,
) {
    let announced = async {
        loop {
            let Ok(Some(current)) = link.wait_for(Option::is_some).await.map(|link| link.clone()) else { return };
            match current.client.commit(&open_door(&door, current.lease)).await {
                Ok(_) => {
                    known.cancel();
                    if link.changed().await.is_err() {
                        return;
                    }
                }
                Err(why) => {
                    warn!("the cluster does not know where machines join: {why}");
                    sleep(ANNOUNCE_RETRY).await;
                }
            }
        }
    };
    tokio::select! {
        () = shutdown.cancelled() => {}
        () = announced => {}
    }
}

/// What the handlers know.
struct Behind {
    door: Door,
    tries: Semaphore,
}

/// Why a machine is not let in.
struct Refused(StatusCode, String);

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let Refused(status, message) = self;
        (status, Json(ErrorBody::new(status.as_u16(), message))).into_response()
    }
}

fn refused(status: StatusCode, message: impl Into<String>) -> Refused {
    Refused(status, message.into())
}

async fn hello() -> Json<Hello> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Json(Hello {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        format: codec::FORMAT,
        now_unix_ms: u64::try_from(now.as_millis()).unwrap_or(u64::MAX),
    })
}

async fn apply(
    State(behind): State<Arc<Behind>>,
    Json(application): Json<Application>,
) -> Result<Json<Admission>, Refused> {
    let _place =
        behind.tries.acquire().await.map_err(|why| refused(StatusCode::SERVICE_UNAVAILABLE, why.to_string()))?;
    let Door { authority, client, endpoints, .. } = &behind.door;
    let (machine, id) = (&application.machine, &application.token.0);
    if !is_good(client, &application).await? {
        warn!("machine {machine} showed a token that lets nobody in ({id})");
        sleep(WRONG_TOKEN).await;
        let message = "this token lets nobody in: it is wrong, has expired or was revoked";
        return Err(refused(StatusCode::FORBIDDEN, message));
    }
    let cluster = cluster_of(client).await?;
    let key = STANDARD.decode(&application.public_key);
    let key = key.map_err(|why| refused(StatusCode::BAD_REQUEST, format!("public key: {why}")))?;
    let certificate = pki::certify(authority, machine, &key);
    let certificate = certificate.map_err(|why| refused(StatusCode::BAD_REQUEST, why.to_string()))?;
    info!("machine {machine} was let in with token {id}");
    let (endpoints, authority) = (endpoints.clone(), authority.certificate().to_owned());
    Ok(Json(Admission { cluster, endpoints, authority, certificate }))
}

/// Whether the secret is that of a token that lives.
async fn is_good(client: &StoreClient, application: &Application) -> Result<bool, Refused> {
    let (_, pair) = client.get(&Key::Token(application.token.0.clone()).to_string()).await.map_err(away)?;
    let token = pair.and_then(|pair| Entry::<JoinToken>::decode(&pair).ok());
    let secret = Secret::decode(&application.secret);
    Ok(token.zip(secret).is_some_and(|(token, secret)| secret.is(&token.value.secret_sha256)))
}

async fn cluster_of(client: &StoreClient) -> Result<ClusterId, Refused> {
    let (_, pair) = client.get(&Key::Cluster.to_string()).await.map_err(away)?;
    let cluster = pair.and_then(|pair| Entry::<Cluster>::decode(&pair).ok());
    let cluster = cluster.ok_or_else(|| refused(StatusCode::SERVICE_UNAVAILABLE, "there is no cluster here yet"))?;
    Ok(cluster.value.id)
}

fn away(why: flota_etcd::EtcdError) -> Refused {
    refused(StatusCode::SERVICE_UNAVAILABLE, format!("the cluster's store: {why}"))
}
