//! `/v2/keys`: requests for keys and their answers.

use std::sync::Arc;

use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;
use http::header::{CONTENT_TYPE, HeaderMap};
use http::{Method as HttpMethod, Response, StatusCode};
use http_body_util::{BodyExt, Limited};

use super::answer::{self, json};
use super::core::Core;
use super::error::{Code, V2Error};
use super::exec::{self, Outcome};
use super::form::Form;
use super::hub;
use super::json::encode;
use super::node::{Action, Event};
use super::request::{KeyRequest, Method, Wait};
use super::stats::Counter;

/// Largest form read; Go's limit. A value is at most 1.5 MiB, which is the store's to refuse.
const MAX_FORM_BYTES: usize = 10 << 20;

/// Answers one request; `path` is what follows `/v2/keys`, decoded.
pub async fn serve(core: &Arc<Core>, path: &str, request: http::Request<Body>) -> Response<Body> {
    let method = match *request.method() {
        HttpMethod::GET => Method::Get,
        HttpMethod::HEAD => Method::Head,
        HttpMethod::PUT => Method::Put,
        HttpMethod::POST => Method::Post,
        HttpMethod::DELETE => Method::Delete,
        _ => return answer::not_allowed("HEAD,GET,PUT,POST,DELETE"),
    };
    let outcome = match parse(method, path, request).await {
        Ok(KeyRequest::Wait(wait)) => begin_wait(core, wait).await,
        Ok(request) => carry_out(core, request).await,
        Err(error) => Err(error),
    };
    let response = outcome.unwrap_or_else(|error| refused(&error));
    answer::with_cluster(response, core.store.ids().await.0)
}

async fn parse(method: Method, path: &str, request: http::Request<Body>) -> Result<KeyRequest, V2Error> {
    let query = request.uri().query().unwrap_or_default().to_owned();
    let body = match method {
        Method::Put | Method::Post if is_form(request.headers()) => read_body(request.into_body()).await?,
        _ => Bytes::new(),
    };
    KeyRequest::parse(method, path, &Form::parse(&query, &body)?)
}

/// Whether Go would read the body as a form.
fn is_form(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default();
    kind.trim().eq_ignore_ascii_case("application/x-www-form-urlencoded")
}

async fn read_body(body: Body) -> Result<Bytes, V2Error> {
    match Limited::new(body, MAX_FORM_BYTES).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<http_body_util::LengthLimitError>() => {
            Err(V2Error::new(Code::InvalidForm, "http: POST too large"))
        }
        Err(error) => Err(V2Error::new(Code::InvalidForm, error.to_string())),
    }
}

async fn carry_out(core: &Arc<Core>, request: KeyRequest) -> Result<Response<Body>, V2Error> {
    let (outcome, counter, brief): (Outcome, Counter, bool) = match &request {
        KeyRequest::Read(read) => (exec::read(core, read).await, Counter::Get, false),
        KeyRequest::Change(change) => (exec::change(core, change).await, Counter::of_change(change), change.brief),
        KeyRequest::Remove(removal) => (exec::remove(core, removal).await, Counter::of_removal(removal), false),
        KeyRequest::Wait(_) => return Err(V2Error::new(Code::InvalidForm, "a wait is no read")),
    };
    core.stats.count_result(counter, &outcome);
    let (event, index) = outcome?;
    let status = if event.created() { StatusCode::CREATED } else { StatusCode::OK };
    let short = Event { action: event.action, node: None, prev_node: None };
    let shown = if brief && event.action != Action::Get { &short } else { &*event };
    let response = json(status, encode(shown));
    Ok(answer::with_index(response, index, core.store.term()))
}

/// The headers go out at once, the events when they happen.
async fn begin_wait(core: &Arc<Core>, wait: Wait) -> Result<Response<Body>, V2Error> {
    let index = core.store.revision().await?;
    let waiting = hub::wait(core, &wait, index).await?;
    let single = !wait.stream;
    let lines = stream::unfold(Some(waiting), move |waiting| async move {
        let mut waiting = waiting?;
        let line = waiting.next().await?;
        Some((Ok::<Bytes, std::convert::Infallible>(line), (!single).then_some(waiting)))
    });
    let mut response = Response::new(Body::from_stream(lines));
    response.headers_mut().insert(CONTENT_TYPE, answer::JSON);
    Ok(answer::with_index(response, index, core.store.term()))
}

fn refused(error: &V2Error) -> Response<Body> {
    let status = StatusCode::from_u16(error.status()).unwrap_or(StatusCode::BAD_REQUEST);
    answer::with_etcd_index(json(status, error.body()), error.index)
}
