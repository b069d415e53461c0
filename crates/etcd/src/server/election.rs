//! v3electionpb.Election: one leader at a time, who says something, and those who listen.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use etcd_client::proto::{
    PbCampaignResponse, PbKeyValue, PbLeaderKey, PbLeaderResponse, PbProclaimResponse, PbRangeRequest,
    PbResignResponse, PbResponseHeader,
};
use futures_util::future::BoxFuture;
use futures_util::{Stream, stream};
use tokio::sync::mpsc;
use tonic::body::Body;
use tonic::server::NamedService;
use tonic::{Request, Response, Status};
use tonic_prost::ProstCodec;
use tower::Service;

use super::calls::{Calls, below, delete, found, get, is_delete, oldest, put};
use super::messages::{CampaignRequest, LeaderRequest, ProclaimRequest, ResignRequest};
use super::queue::{self, Place};
use super::unary;
use crate::Upstream;

/// Serves elections with the keys of an upstream.
#[derive(Clone, Debug)]
pub struct ElectionServer {
    upstream: Upstream,
}

impl ElectionServer {
    /// Keeps elections as keys of `upstream`.
    pub fn new(upstream: Upstream) -> ElectionServer {
        ElectionServer { upstream }
    }
}

impl NamedService for ElectionServer {
    const NAME: &'static str = "v3electionpb.Election";
}

impl Service<http::Request<Body>> for ElectionServer {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<http::Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let upstream = self.upstream.clone();
        Box::pin(async move {
            Ok(match request.uri().path() {
                "/v3electionpb.Election/Campaign" => unary(request, |asked| campaign(upstream.clone(), asked)).await,
                "/v3electionpb.Election/Proclaim" => unary(request, |asked| proclaim(upstream.clone(), asked)).await,
                "/v3electionpb.Election/Leader" => unary(request, |asked| leader(upstream.clone(), asked)).await,
                "/v3electionpb.Election/Resign" => unary(request, |asked| resign(upstream.clone(), asked)).await,
                "/v3electionpb.Election/Observe" => {
                    let observe = tower::service_fn(|asked| {
                        std::future::ready(Ok::<_, Status>(observe(upstream.clone(), &asked)))
                    });
                    tonic::server::Grpc::new(ProstCodec::default()).server_streaming(observe, request).await
                }
                path => Status::unimplemented(format!("unknown method {path}")).into_http(),
            })
        })
    }
}

async fn campaign(
    upstream: Upstream,
    request: Request<CampaignRequest>,
) -> Result<Response<PbCampaignResponse>, Status> {
    let calls = Calls::new(upstream, request.metadata());
    let CampaignRequest { name, lease, value } = request.into_inner();
    let lease = calls.lease(lease).await?;
    let prefix = queue::prefix(&name);
    let key = queue::key(&prefix, lease);
    let mine = get(PbRangeRequest { key: key.clone(), ..PbRangeRequest::default() });
    let txn = calls.if_created((&key, 0), vec![put(&key, value.clone(), lease)], vec![mine]).await?;
    let mut header = txn.header;
    let mut rev = header.as_ref().map_or(0, |header| header.revision);
    if let Some(kv) = found(&txn, 0) {
        rev = kv.create_revision;
        if kv.value != value {
            header = say(&calls, (&key, rev), value, lease).await?;
        }
    }
    Place::new(calls, key.clone(), rev).first(&prefix).await?;
    let leader = Some(PbLeaderKey { name, key, rev, lease });
    Ok(Response::new(PbCampaignResponse { header, leader }))
}

async fn proclaim(
    upstream: Upstream,
    request: Request<ProclaimRequest>,
) -> Result<Response<PbProclaimResponse>, Status> {
    let calls = Calls::new(upstream, request.metadata());
    let ProclaimRequest { leader, value } = request.into_inner();
    let leader = leader.ok_or_else(no_leader_key)?;
    let lease = calls.lease(leader.lease).await?;
    let header = say(&calls, (&leader.key, leader.rev), value, lease).await?;
    Ok(Response::new(PbProclaimResponse { header }))
}

/// Changes the value of a key that is still the same.
async fn say(
    calls: &Calls,
    (key, rev): (&[u8], i64),
    value: Vec<u8>,
    lease: i64,
) -> Result<Option<PbResponseHeader>, Status> {
    let txn = calls.if_created((key, rev), vec![put(key, value, lease)], Vec::new()).await?;
    if txn.succeeded { Ok(txn.header) } else { Err(Status::unknown("election: not leader")) }
}

async fn leader(upstream: Upstream, request: Request<LeaderRequest>) -> Result<Response<PbLeaderResponse>, Status> {
    let calls = Calls::new(upstream, request.metadata());
    let found = calls.range(oldest(&queue::prefix(&request.get_ref().name))).await?;
    let kv = found.kvs.into_iter().next().ok_or_else(|| Status::unknown("election: no leader"))?;
    Ok(Response::new(PbLeaderResponse { header: found.header, kv: Some(kv) }))
}

async fn resign(upstream: Upstream, request: Request<ResignRequest>) -> Result<Response<PbResignResponse>, Status> {
    let calls = Calls::new(upstream, request.metadata());
    let leader = request.into_inner().leader.ok_or_else(no_leader_key)?;
    calls.lease(leader.lease).await?;
    let txn = calls.if_created((&leader.key, leader.rev), vec![delete(&leader.key)], Vec::new()).await?;
    Ok(Response::new(PbResignResponse { header: txn.header }))
}

fn no_leader_key() -> Status {
    Status::unknown("\"leader\" field must be provided")
}

type Leaders = Pin<Box<dyn Stream<Item = Result<PbLeaderResponse, Status>> + Send>>;

/// Tells each leader, and each thing a leader says, until the client goes away.
fn observe(upstream: Upstream, request: &Request<LeaderRequest>) -> Response<Leaders> {
    let calls = Calls::new(upstream, request.metadata());
    let prefix = queue::prefix(&request.get_ref().name);
    let (sender, receiver) = mpsc::channel(1);
    tokio::spawn(async move {
        tokio::select! {
            () = sender.closed() => {}
            // Like etcd, it ends without a word when it cannot go on.
            _ = follow(&calls, &prefix, &sender) => {}
        }
    });
    let leaders = stream::unfold(receiver, |mut receiver| async move {
        let leader = receiver.recv().await?;
        Some((Ok(leader), receiver))
    });
    Response::new(Box::pin(leaders))
}

async fn follow(calls: &Calls, prefix: &[u8], told: &mpsc::Sender<PbLeaderResponse>) -> Result<(), Status> {
    loop {
        let (header, kv) = next_leader(calls, prefix).await?;
        let from = header.as_ref().map_or(0, |header| header.revision) + 1;
        let mut events = calls.watch(kv.key.clone(), Vec::new(), from).await?;
        let mut said = vec![(header, kv)];
        let mut gone = false;
        while !gone {
            for (header, kv) in said.drain(..) {
                if told.send(PbLeaderResponse { header, kv: Some(kv) }).await.is_err() {
                    return Ok(());
                }
            }
            let (header, events) = events.next().await?;
            gone = events.iter().any(is_delete);
            let words = events.into_iter().take_while(|event| !is_delete(event)).filter_map(|event| event.kv);
            said = words.map(|kv| (header, kv)).collect();
        }
    }
}

/// The leader; the first one that will stand for election if there is none.
async fn next_leader(calls: &Calls, prefix: &[u8]) -> Result<(Option<PbResponseHeader>, PbKeyValue), Status> {
    let answer = calls.range(oldest(prefix)).await?;
    if let Some(kv) = answer.kvs.into_iter().next() {
        return Ok((answer.header, kv));
    }
    let all = below(prefix);
    let from = answer.header.map_or(0, |header| header.revision);
    let mut events = calls.watch(all.key, all.range_end, from).await?;
    loop {
        let (header, events) = events.next().await?;
        if let Some(kv) = events.into_iter().find(|event| !is_delete(event)).and_then(|event| event.kv) {
            // Several may have come at once: what follows the first is still to be told.
            let header = header.map(|header| PbResponseHeader { revision: kv.mod_revision, ..header });
            return Ok((header, kv));
        }
    }
}
