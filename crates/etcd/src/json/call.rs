//! One call: a request over HTTP in, a call of the upstream, its answer as JSON.

use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE};
use axum::http::uri::PathAndQuery;
use axum::http::{HeaderMap, HeaderName, Method as Verb, StatusCode};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use tonic::metadata::{Ascii, MetadataValue};
use tonic::{Code, Status, Streaming};

use super::body::Values;
use super::raw::RawCodec;
use super::routes::{Method, Streams};
use super::schema::Message;
use super::to_json;
use crate::Upstream;

const JSON: (HeaderName, &str) = (CONTENT_TYPE, "application/json");

/// How etcd's gateway tells the content type of the answer behind it.
const GRPC_CONTENT_TYPE: (&str, &str) = ("grpc-metadata-content-type", "application/grpc");

pub(super) async fn handle(State(upstream): State<Upstream>, Path(path): Path<String>, request: Request) -> Response {
    let Some(method) = Method::find(&path) else {
        return (StatusCode::NOT_FOUND, "Not Found\n").into_response();
    };
    if request.method() != Verb::POST {
        return (StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed\n").into_response();
    }
    let answer = match method.streams {
        Streams::No => unary(upstream, method, request).await,
        Streams::Answers | Streams::Both => streaming(upstream, method, request).await,
    };
    answer.unwrap_or_else(|status| error(&status))
}

async fn unary(upstream: Upstream, method: &'static Method, request: Request) -> Result<Response, Status> {
    let (parts, body) = request.into_parts();
    let message = only(&mut Values::new(body, method.request)).await?;
    let mut grpc = upstream.grpc().await?;
    let path = PathAndQuery::from_static(method.rpc);
    let answer = grpc.unary(with_token(&parts.headers, message), path, RawCodec).await?;
    let json = to_json::message(&answer.into_inner(), method.response).map_err(|_| malformed())?;
    Ok(([JSON], [GRPC_CONTENT_TYPE], json).into_response())
}

/// Nothing is answered before the first message is there, so that an error at once has a status of its own.
async fn streaming(upstream: Upstream, method: &'static Method, request: Request) -> Result<Response, Status> {
    let (parts, body) = request.into_parts();
    let mut values = Values::new(body, method.request);
    let first = match method.streams {
        Streams::Both => values.next().await.map_err(Status::unknown)?,
        Streams::No | Streams::Answers => Some(only(&mut values).await?),
    };
    let more = stream::unfold((values, method.streams == Streams::Both), |(mut values, go_on)| async move {
        // What cannot be read ends the requests; the answers to those before go on.
        let message = if go_on { values.next().await.ok().flatten()? } else { return None };
        Some((message, (values, true)))
    });
    let requests = stream::iter(first).chain(more);
    let mut grpc = upstream.grpc().await?;
    let path = PathAndQuery::from_static(method.rpc);
    let mut answers = grpc.streaming(with_token(&parts.headers, requests), path, RawCodec).await?.into_inner();
    let (status, first) = match next_line(&mut answers, method.response).await {
        Ok(first) => (StatusCode::OK, first),
        Err(status) => (http_status(status.code()), Some(error_line(&status))),
    };
    let rest = status == StatusCode::OK;
    let lines = stream::iter(first).chain(stream::unfold(rest.then_some(answers), move |answers| async move {
        let mut answers = answers?;
        match next_line(&mut answers, method.response).await {
            Ok(line) => line.map(|line| (line, Some(answers))),
            Err(status) => Some((error_line(&status), None)),
        }
    }));
    let body = Body::from_stream(lines.map(Ok::<_, std::convert::Infallible>));
    Ok((status, [JSON], [GRPC_CONTENT_TYPE], body).into_response())
}

/// The one message of a request; an empty body is an empty message.
async fn only(values: &mut Values) -> Result<Bytes, Status> {
    Ok(values.next().await.map_err(Status::invalid_argument)?.unwrap_or_default())
}

async fn next_line(answers: &mut Streaming<Bytes>, message: &Message) -> Result<Option<Bytes>, Status> {
    let Some(answer) = answers.message().await? else { return Ok(None) };
    let json = to_json::message(&answer, message).map_err(|_| malformed())?;
    Ok(Some(format!("{{\"result\":{json}}}\n").into()))
}

/// The client's token, under the name that etcd's own clients use.
fn with_token<T>(headers: &HeaderMap, message: T) -> tonic::Request<T> {
    let mut request = tonic::Request::new(message);
    let token = headers.get(AUTHORIZATION).and_then(|token| token.to_str().ok());
    if let Some(token) = token.and_then(|token| MetadataValue::<Ascii>::try_from(token).ok()) {
        request.metadata_mut().insert("token", token);
    }
    request
}

fn malformed() -> Status {
    Status::internal("the store's answer is no message of etcd 3.4")
}

fn error(status: &Status) -> Response {
    let mut text = String::new();
    to_json::quote(&mut text, status.message());
    let json = format!(r#"{{"error":{text},"message":{text},"code":{}}}"#, i32::from(status.code()));
    (http_status(status.code()), [JSON], json).into_response()
}

/// An error among the answers of a stream; the last thing in it.
fn error_line(status: &Status) -> Bytes {
    let http = http_status(status.code());
    let mut text = String::new();
    to_json::quote(&mut text, status.message());
    let (code, number, reason) = (i32::from(status.code()), http.as_u16(), http.canonical_reason().unwrap_or_default());
    format!(r#"{{"error":{{"grpc_code":{code},"http_code":{number},"message":{text},"http_status":"{reason}"}}}}"#)
        .into()
}

/// The status that goes with a gRPC code.
fn http_status(code: Code) -> StatusCode {
    match code {
        Code::Ok => StatusCode::OK,
        Code::Cancelled => StatusCode::REQUEST_TIMEOUT,
        Code::InvalidArgument | Code::OutOfRange => StatusCode::BAD_REQUEST,
        Code::DeadlineExceeded => StatusCode::GATEWAY_TIMEOUT,
        Code::NotFound => StatusCode::NOT_FOUND,
        Code::AlreadyExists | Code::Aborted => StatusCode::CONFLICT,
        Code::PermissionDenied => StatusCode::FORBIDDEN,
        Code::Unauthenticated => StatusCode::UNAUTHORIZED,
        Code::ResourceExhausted => StatusCode::TOO_MANY_REQUESTS,
        Code::FailedPrecondition => StatusCode::PRECONDITION_FAILED,
        Code::Unimplemented => StatusCode::NOT_IMPLEMENTED,
        Code::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Code::Unknown | Code::Internal | Code::DataLoss => StatusCode::INTERNAL_SERVER_ERROR,
    }
}
