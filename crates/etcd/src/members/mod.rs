//! A store of several members as one service: all calls go to one member, and to another one as soon as that does not serve.
//!
//! A member serves if it answers a linearizable read: that takes a leader and most of the members, so a dead member, a frozen one and
//! one that is cut off from the others all fail it, whatever their connections look like. The first to answer is used, and kept
//! (`docs/adr/0012-one-member-of-etcd-at-a-time.md`).

mod choice;
mod line;
mod unsent;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use etcd_client::proto::{PbRangeRequest, PbRangeResponse};
use futures_util::future::BoxFuture;
use futures_util::stream::{FuturesUnordered, StreamExt};
use http::{Request, Response};
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tonic::body::Body;
use tonic::metadata::MetadataValue;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};
use tower::{BoxError, Service, ServiceExt};

use crate::Upstream;
use choice::{Choice, Next, Outcome};
use line::{Answer, Line, Use};
use unsent::Unsent;

/// How long a member that is asked whether it serves has for the answer.
const ANSWER_WITHIN: Duration = Duration::from_millis(1500);
/// How long a member is looked for before a call fails. Long enough for the members to elect a leader.
const CHOOSE_WITHIN: Duration = Duration::from_secs(4);
/// How long a member that does not serve is left alone before it is asked again in the same search.
const ASK_AGAIN: Duration = Duration::from_millis(250);

/// How often a call is made that no member has begun to read.
const MAX_TRIES: u32 = 3;

/// How the message begins when no member was found.
pub(crate) const NONE_SERVES: &str = "no member of the store serves";

/// A key that no etcd has, for whether it answers is all that matters. It is below Flota's own prefix, which its certificate or user
/// may read if it may read anything.
const NO_KEY: &[u8] = b"/flota/";

/// The members of one store; clones share the choice.
#[derive(Clone)]
pub(crate) struct Members {
    shared: Arc<Shared>,
}

struct Shared {
    endpoints: Vec<(String, Endpoint)>,
    state: Mutex<State>,
    /// Held while a member is looked for: all who need one wait for the same search.
    search: tokio::sync::Mutex<Search>,
}

#[derive(Default)]
struct State {
    choice: Choice,
    line: Option<Arc<Line>>,
}

/// The last search.
#[derive(Default)]
struct Search {
    ended: Option<Instant>,
    failure: String,
}

impl Members {
    /// The members, each with its name for people.
    pub(crate) fn new(endpoints: Vec<(String, Endpoint)>) -> Members {
        let (state, search) = (Mutex::default(), tokio::sync::Mutex::default());
        Members { shared: Arc::new(Shared { endpoints, state, search }) }
    }

    /// The line to the member in use; looks for one if there is none that is trusted.
    async fn line(&self) -> Result<Arc<Line>, Status> {
        match self.trusted() {
            Some(line) => Ok(line),
            None => self.search().await,
        }
    }

    fn trusted(&self) -> Option<Arc<Line>> {
        let state = self.shared.state();
        let chosen = state.choice.trusted()?;
        state.line.clone().filter(|line| line.chosen == chosen)
    }

    /// Asks all members at once until one proves that it serves.
    async fn search(&self) -> Result<Arc<Line>, Status> {
        let begun = Instant::now();
        let mut last = self.shared.search.lock().await;
        if let Some(line) = self.trusted() {
            return Ok(line);
        }
        if last.ended.is_some_and(|ended| ended > begun) {
            // The search that this caller waited for found nothing.
            return Err(Status::unavailable(last.failure.clone()));
        }
        let current = self.shared.state().line.clone();
        let deadline = begun + CHOOSE_WITHIN;
        let mut why = vec!["silent".to_owned(); self.shared.endpoints.len()];
        let mut asked = FuturesUnordered::new();
        for (member, (_, endpoint)) in self.shared.endpoints.iter().enumerate() {
            let known = current.as_ref().filter(|line| line.chosen.member == member);
            let channel = known.map_or_else(|| endpoint.connect_lazy(), |line| line.channel.clone());
            asked.push(serves(member, channel, Duration::ZERO));
        }
        while let Ok(Some((member, channel, answer))) = timeout_at(deadline, asked.next()).await {
            match answer {
                Ok(()) => return Ok(self.settle(member, channel)),
                Err(status) => {
                    status.message().clone_into(&mut why[member]);
                    asked.push(serves(member, channel, ASK_AGAIN));
                }
            }
        }
        let each = self.shared.endpoints.iter().zip(why).map(|((name, _), why)| format!("{name}: {why}"));
        last.failure = format!("{NONE_SERVES} ({})", each.collect::<Vec<_>>().join("; "));
        last.ended = Some(Instant::now());
        Err(Status::unavailable(last.failure.clone()))
    }

    /// Goes over to a member, and cuts what is under way on the one before.
    fn settle(&self, member: usize, channel: Channel) -> Arc<Line> {
        let mut state = self.shared.state();
        let chosen = match (state.choice.choose(member), &state.line) {
            (Outcome::Stays(_), Some(line)) => return Arc::clone(line),
            (Outcome::Stays(chosen) | Outcome::Moves(chosen), _) => chosen,
        };
        let line = Arc::new(Line::new(chosen, self.shared.endpoints[member].0.clone(), channel));
        if let Some(old) = state.line.replace(Arc::clone(&line)) {
            old.cut.cancel();
        }
        drop(state);
        tokio::spawn(watch_over(Arc::downgrade(&self.shared), Arc::clone(&line)));
        line
    }

    fn doubting(&self) -> Arc<dyn Fn(&Line) + Send + Sync> {
        let shared = Arc::downgrade(&self.shared);
        Arc::new(move |line| {
            if let Some(shared) = shared.upgrade() {
                shared.state().choice.doubt(line.chosen);
                line.doubt.notify_one();
            }
        })
    }

    /// Makes a call. One that did not get as far as being read, for its member was gone already, is made again on another member.
    async fn send(self, request: Request<Body>) -> Result<Response<Body>, BoxError> {
        let unsent = Unsent::new(request);
        for _ in 1..MAX_TRIES {
            let line = self.line().await?;
            match self.send_on(line, unsent.request()).await {
                Err(_) if unsent.is_whole() => {}
                answer => return answer,
            }
        }
        self.send_on(self.line().await?, unsent.request()).await
    }

    async fn send_on(&self, line: Arc<Line>, request: Request<Body>) -> Result<Response<Body>, BoxError> {
        let using = Use::begin(line, self.doubting());
        let channel = using.line().channel.clone();
        let answer = tokio::select! {
            answer = channel.oneshot(request) => answer,
            () = using.line().cut.cancelled() => return Err(using.line().cut_status().into()),
        };
        match answer {
            Ok(response) => {
                using.hear();
                using.judge(response.headers());
                Ok(response.map(|body| Body::new(Answer::new(body, using))))
            }
            Err(error) => {
                using.doubt();
                Err(error.into())
            }
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // Nobody can ask any more; the line's watcher ends.
        if let Some(line) = &self.state().line {
            line.doubt.notify_one();
        }
    }
}

impl Service<Request<Body>> for Members {
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Response<Body>, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        Box::pin(self.clone().send(request))
    }
}

/// Asks a member whether it serves, after a pause.
async fn serves(member: usize, channel: Channel, pause: Duration) -> (usize, Channel, Result<(), Status>) {
    sleep(pause).await;
    let answer = ask(channel.clone()).await;
    (member, channel, answer)
}

async fn ask(channel: Channel) -> Result<(), Status> {
    let range = PbRangeRequest { key: NO_KEY.to_vec(), count_only: true, ..PbRangeRequest::default() };
    let mut request = tonic::Request::new(range);
    // A member without a leader then says so at once.
    request.metadata_mut().insert("hasleader", MetadataValue::from_static("true"));
    let upstream = Upstream::new(channel);
    match upstream.unary::<PbRangeRequest, PbRangeResponse>("/etcdserverpb.KV/Range", request).await {
        Err(status) if !is_answer(status.code()) => Err(status),
        // Refused is answered, too: whether it may ask is for the call itself to find out.
        _ => Ok(()),
    }
}

fn is_answer(code: Code) -> bool {
    !matches!(code, Code::Unavailable | Code::DeadlineExceeded | Code::Unknown | Code::Internal | Code::Cancelled)
}

/// Asks the member in use whether it serves when it is silent although something is under way, and has another one looked for when it
/// does not. Ends with the line.
async fn watch_over(shared: Weak<Shared>, line: Arc<Line>) {
    loop {
        let pause = match choice::next(line.silent(), line.under_way()) {
            Next::Wait(pause) => pause,
            Next::Ask => match timeout(ANSWER_WITHIN, ask(line.channel.clone())).await {
                Ok(Ok(())) => {
                    line.hear();
                    continue;
                }
                _ => Duration::ZERO,
            },
        };
        if !pause.is_zero() {
            tokio::select! {
                () = line.cut.cancelled() => return,
                () = line.doubt.notified() => {}
                () = sleep(pause) => if shared.strong_count() > 0 { continue },
            }
        }
        let Some(shared) = shared.upgrade() else { return };
        let members = Members { shared };
        members.shared.state().choice.doubt(line.chosen);
        // Found or not, whoever calls next hears of it. A search that fails took its time.
        let _ = members.search().await;
        if line.cut.is_cancelled() {
            return;
        }
    }
}
