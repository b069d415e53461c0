//! What can go wrong with a request, and the status that tells it.

use axum::http::StatusCode;

/// Why a request was refused.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A part of the request cannot be understood, or is not known here.
    #[error("{what}: {why}")]
    Request {
        /// The part.
        what: String,
        /// What is wrong with it.
        why: String,
    },
    /// The index itself failed.
    #[error("the index failed: {0}")]
    Index(#[from] tantivy::TantivyError),
}

impl Error {
    /// A part of a request and what is wrong with it.
    pub(crate) fn request(what: impl Into<String>, why: impl Into<String>) -> Self {
        Self::Request { what: what.into(), why: why.into() }
    }

    /// The status of the answer.
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::Request { .. } => StatusCode::BAD_REQUEST,
            Self::Index(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The kind of error, in Elasticsearch's words.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Request { .. } => "illegal_argument_exception",
            Self::Index(_) => "index_failed",
        }
    }
}
