//! What can go wrong between Flota and its store.

use std::path::PathBuf;
use std::time::Duration;

use crate::causes::root;
use crate::members::NONE_SERVES;

/// A failed call to the store.
#[derive(Debug, thiserror::Error)]
pub enum EtcdError {
    /// An endpoint's text is not understood.
    #[error("store endpoint `{endpoint}` is not of the form http://HOST:PORT, https://HOST:PORT or unix:/PATH")]
    Endpoint {
        /// As configured.
        endpoint: String,
    },
    /// `https` endpoints without certificates.
    #[error("store endpoint `{endpoint}` needs [tls] ca, cert and key in the configuration")]
    TlsMissing {
        /// As configured.
        endpoint: String,
    },
    /// A certificate or key cannot be read.
    #[error("{path}")]
    TlsFile {
        /// Which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// TLS cannot be set up with these certificates.
    #[error("TLS to the store cannot be set up")]
    Tls(#[source] tonic::transport::Error),
    /// The store did not answer in time.
    #[error("store did not answer within {} s", limit.as_secs_f32())]
    Timeout {
        /// How long was waited.
        limit: Duration,
    },
    /// The store refused, or is out of reach.
    #[error("{}", brief(.0))]
    Call(#[from] etcd_client::Error),
    /// The watch cannot go on: history was compacted away. Read everything again, then watch.
    #[error("watch fell behind: history up to revision {revision} is compacted")]
    Compacted {
        /// The compact revision.
        revision: i64,
    },
    /// The store ended the stream.
    #[error("store ended the {what}: {reason}")]
    Ended {
        /// A watch or a keep-alive.
        what: &'static str,
        /// Its words.
        reason: String,
    },
    /// The kernel gives no random number.
    #[error("cannot choose a lease id")]
    Random {
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The lease is gone.
    #[error("lease {id:x} has expired")]
    LeaseExpired {
        /// Which lease.
        id: i64,
    },
}

/// The store's own words without gRPC's, or the root of a broken connection.
fn brief(error: &etcd_client::Error) -> String {
    match error {
        etcd_client::Error::GRpcStatus(status) => match std::error::Error::source(status) {
            Some(source) => format!("out of reach ({})", root(source)),
            None => status.message().to_owned(),
        },
        etcd_client::Error::TransportError(error) => format!("out of reach ({})", root(error)),
        other => other.to_string(),
    }
}

impl EtcdError {
    /// Whether the store may have carried the call out although no answer came.
    pub fn outcome_unknown(&self) -> bool {
        match self {
            EtcdError::Timeout { .. } => true,
            _ if self.was_not_sent() => false,
            EtcdError::Call(etcd_client::Error::GRpcStatus(status)) if status.message().starts_with(NONE_SERVES) => {
                false
            }
            EtcdError::Call(etcd_client::Error::GRpcStatus(status)) => {
                use tonic::Code::{Cancelled, DeadlineExceeded, Internal, Unavailable, Unknown};
                matches!(status.code(), Cancelled | DeadlineExceeded | Internal | Unavailable | Unknown)
            }
            EtcdError::Call(etcd_client::Error::TransportError(_) | etcd_client::Error::IoError(_)) => true,
            _ => false,
        }
    }

    /// Whether the call cannot have reached the store: no connection could be made for it.
    pub(crate) fn was_not_sent(&self) -> bool {
        let EtcdError::Call(error) = self else { return false };
        let first: Option<&(dyn std::error::Error + 'static)> = match error {
            etcd_client::Error::GRpcStatus(status) => Some(status),
            etcd_client::Error::TransportError(error) => Some(error),
            _ => None,
        };
        std::iter::successors(first, |error| error.source()).any(<dyn std::error::Error>::is::<tonic::ConnectError>)
    }

    /// Whether the member that was asked does not serve now, or went away, and another one may.
    pub(crate) fn is_of_one_member(&self) -> bool {
        let is_away = |status: &tonic::Status| {
            status.code() == tonic::Code::Unavailable && !status.message().starts_with(NONE_SERVES)
        };
        self.status().is_some_and(is_away) || self.was_not_sent()
    }

    /// Whether the store takes no writes because its database has reached its quota (etcd's alarm `NOSPACE`).
    pub fn is_out_of_space(&self) -> bool {
        self.status().is_some_and(|status| {
            status.code() == tonic::Code::ResourceExhausted && status.message().contains("database space exceeded")
        })
    }

    /// Whether the call named a revision that is compacted away, or that the store has not reached.
    pub fn no_such_revision(&self) -> bool {
        matches!(self, EtcdError::Compacted { .. })
            || self.status().is_some_and(|status| status.code() == tonic::Code::OutOfRange)
    }

    /// Whether the call named a lease that the store does not know (any more).
    pub fn is_unknown_lease(&self) -> bool {
        matches!(self, EtcdError::LeaseExpired { .. })
            || self.status().is_some_and(|status| status.message() == "etcdserver: requested lease not found")
    }

    /// What the store itself answered (an etcd error text), if it did answer.
    pub fn status(&self) -> Option<&tonic::Status> {
        match self {
            EtcdError::Call(etcd_client::Error::GRpcStatus(status)) => Some(status),
            _ => None,
        }
    }
}
