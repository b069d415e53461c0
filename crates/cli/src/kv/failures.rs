//! Refusals of the store, in words that help.

use etcd_client::Error;
use flota_etcd::EtcdError;
use tonic::Code;

use super::Store;
use crate::{exit::Exit, failure::Failure};

/// What etcd puts in front of its messages.
const PREFIX: &str = "etcdserver: ";

/// Turns the error of a call into a failure; `what` says what was tried.
pub fn call_failed<'a>(store: &'a Store, what: impl Fn() -> String + 'a) -> impl Fn(Error) -> Failure + 'a {
    move |error| failure(store, &what(), error)
}

fn failure(store: &Store, what: &str, error: Error) -> Failure {
    let unreachable = is_unreachable(&error);
    let code = code(&error);
    let text = error_text(error);
    if unreachable {
        let failure = Failure::new(Exit::UNAVAILABLE, format!("{what}: the store at {}: {text}", store.endpoint));
        return failure.with_hint(store.hint());
    }
    let failure = Failure::new(Exit::FAILURE, format!("{what}: {text}"));
    match code {
        Some(Code::PermissionDenied) if store.has_user => failure.with_hint("the user has no role for this key"),
        Some(Code::PermissionDenied) => failure.with_hint(
            "the gateway shows no keys below /flota/, they are the cluster's own; for other keys the store may want --user",
        ),
        Some(Code::NotFound) => failure.with_hint("the lease has ended, or never was: flota kv lease list"),
        Some(Code::OutOfRange) => failure.with_hint("history is kept for a while only; leave --rev out for what is now"),
        Some(Code::ResourceExhausted) => failure.with_hint("the store is full: remove keys, or free space on its disk"),
        _ => failure,
    }
}

/// The store's words.
pub fn error_text(error: Error) -> String {
    let text = EtcdError::from(error).to_string();
    text.strip_prefix(PREFIX).map_or(text.clone(), str::to_owned)
}

fn code(error: &Error) -> Option<Code> {
    match error {
        Error::GRpcStatus(status) => Some(status.code()),
        _ => None,
    }
}

/// Whether no store answered, as opposed to one that refused.
pub(super) fn is_unreachable(error: &Error) -> bool {
    match error {
        Error::TransportError(_) | Error::IoError(_) => true,
        Error::GRpcStatus(status) => std::error::Error::source(status).is_some() || status.code() == Code::Unavailable,
        _ => false,
    }
}
