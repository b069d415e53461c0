//! Streams in both directions, message by message: as slow as the slower of the two sides, with nothing kept in between.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::{Stream, stream};
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use tonic::{Request, Response, Status, Streaming};

use super::policy::Refusal;
use super::store::{FilteredStore, on_behalf, told};

/// What becomes of the messages of a stream.
pub(super) trait StreamPolicy: Send + 'static {
    /// What the client sends.
    type Request: prost::Message + Default + Send + Sync + 'static;
    /// What the store sends.
    type Response: prost::Message + Default + Send + Sync + 'static;

    /// What to ask the store instead; a refusal ends the stream.
    fn request(&mut self, request: Self::Request) -> Result<Self::Request, Refusal>;

    /// What to tell the client, if anything.
    fn response(&mut self, response: Self::Response) -> Option<Self::Response>;
}

/// Answers of the store, as the client gets them.
pub(super) type Answers<A> = Pin<Box<dyn Stream<Item = Result<A, Status>> + Send>>;

/// A call whose answers have not begun yet.
type Call<A> = Pin<Box<dyn Future<Output = Result<Response<Streaming<A>>, Status>> + Send>>;

/// Lays `policy` between a client's stream and the store's.
pub(super) async fn relay<P: StreamPolicy>(
    store: &FilteredStore,
    path: &'static str,
    request: Request<Streaming<P::Request>>,
    policy: P,
) -> Result<Response<Answers<P::Response>>, Status> {
    let place = store.stream_place()?;
    let (metadata, _, inbound) = request.into_parts();
    let policy = Arc::new(Mutex::new(policy));
    let (broken, breaks) = oneshot::channel();
    let requests = to_store(inbound, Arc::clone(&policy), broken);
    let mut breaks = Box::pin(broken_off(breaks));
    let (upstream, request) = (store.upstream().clone(), on_behalf(&metadata, requests));
    let call: Call<P::Response> = Box::pin(async move { upstream.streaming(path, request).await });
    let answer = tokio::select! {
        answer = call => answer.map_err(told)?,
        status = &mut breaks => return Err(status),
    };
    let state = Outbound { answers: answer.into_inner(), policy, breaks, _place: place };
    Ok(Response::new(Box::pin(stream::try_unfold(state, Outbound::next))))
}

/// The client's requests as the store gets them. What ends them, other than the client's own end, goes to `broken`.
fn to_store<P: StreamPolicy>(
    inbound: Streaming<P::Request>,
    policy: Arc<Mutex<P>>,
    broken: oneshot::Sender<Status>,
) -> impl Stream<Item = P::Request> + Send + 'static {
    stream::unfold((inbound, policy, broken), |(mut inbound, policy, broken)| async move {
        let passed = match inbound.message().await {
            Ok(Some(request)) => {
                let judged = policy.lock().unwrap_or_else(PoisonError::into_inner).request(request);
                judged.map_err(Status::from)
            }
            Ok(None) => return None,
            Err(status) => Err(status),
        };
        match passed {
            Ok(request) => Some((request, (inbound, policy, broken))),
            Err(status) => {
                // If nobody listens, the stream has ended anyway.
                let _ = broken.send(status);
                None
            }
        }
    })
}

async fn broken_off(breaks: oneshot::Receiver<Status>) -> Status {
    match breaks.await {
        Ok(status) => status,
        // The client has said its last; the answers go on.
        Err(_) => std::future::pending().await,
    }
}

struct Outbound<P: StreamPolicy> {
    answers: Streaming<P::Response>,
    policy: Arc<Mutex<P>>,
    breaks: Pin<Box<dyn Future<Output = Status> + Send>>,
    _place: OwnedSemaphorePermit,
}

impl<P: StreamPolicy> Outbound<P> {
    async fn next(mut self) -> Result<Option<(P::Response, Self)>, Status> {
        loop {
            let answer = tokio::select! {
                status = &mut self.breaks => return Err(status),
                answer = self.answers.message() => answer.map_err(told)?,
            };
            let Some(answer) = answer else { return Ok(None) };
            let visible = self.policy.lock().unwrap_or_else(PoisonError::into_inner).response(answer);
            if let Some(visible) = visible {
                return Ok(Some((visible, self)));
            }
        }
    }
}
