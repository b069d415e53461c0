//! Errors as fleet's clients know them: a status and `{"error":{"code","message"}}`.

use axum::Json;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use flota_api::ErrorBody;
use flota_api::page::TokenError;
use flota_etcd::EtcdError;
use flota_unit::Diagnostic;

use super::precondition::ETag;

/// What the store's alarm `NOSPACE` means, and what ends it.
const NO_SPACE: &str = "the store is full (etcd's alarm NOSPACE): nothing was changed, units run on; free space on the store's disk \
    or, in an etcd that has reached its quota, run `etcdctl compact`, `etcdctl defrag` and `etcdctl alarm disarm`";

/// A request that failed.
#[derive(Debug)]
pub struct ApiError {
    status: StatusCode,
    message: String,
    /// The tag that the unit has now, where that is why.
    current: Option<ETag>,
}

impl ApiError {
    pub fn new(status: StatusCode, message: impl Into<String>) -> ApiError {
        ApiError { status, message: message.into(), current: None }
    }

    pub fn bad_request(message: impl Into<String>) -> ApiError {
        ApiError::new(StatusCode::BAD_REQUEST, message)
    }

    pub fn conflict(message: impl Into<String>) -> ApiError {
        ApiError::new(StatusCode::CONFLICT, message)
    }

    /// The unit is not what the request's condition says it is.
    pub fn precondition_failed(message: impl Into<String>, current: Option<ETag>) -> ApiError {
        ApiError { current, ..ApiError::new(StatusCode::PRECONDITION_FAILED, message) }
    }

    pub fn internal(message: impl Into<String>) -> ApiError {
        ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, message)
    }

    pub fn contended() -> ApiError {
        ApiError::conflict("it is being changed by others; try again")
    }

    pub fn no_such_unit() -> ApiError {
        ApiError::new(StatusCode::NOT_FOUND, "unit does not exist")
    }

    pub fn away() -> ApiError {
        let message = "flota cannot reach its store: units run on, but nothing can be read or changed (see `journalctl -u flota`)";
        ApiError::new(StatusCode::SERVICE_UNAVAILABLE, message)
    }

    /// The store is not believed.
    pub fn frozen(why: String) -> ApiError {
        let message = format!("frozen, nothing can be changed, units run on: {why}");
        ApiError::new(StatusCode::SERVICE_UNAVAILABLE, message)
    }

    /// What is wrong with a unit, all of it, with lines and columns.
    pub fn invalid_unit(name: &str, found: &[Diagnostic]) -> ApiError {
        let lines: Vec<String> = found.iter().map(|it| format!("{name}:{it}")).collect();
        ApiError::bad_request(lines.join("\n"))
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(ErrorBody::new(self.status.as_u16(), self.message))).into_response();
        if let Some(tag) = self.current {
            response.headers_mut().insert(header::ETAG, tag.header());
        }
        response
    }
}

impl From<EtcdError> for ApiError {
    fn from(error: EtcdError) -> ApiError {
        if error.is_out_of_space() {
            return ApiError::new(StatusCode::INSUFFICIENT_STORAGE, NO_SPACE);
        }
        let Some(status) = error.status() else {
            return ApiError::new(StatusCode::SERVICE_UNAVAILABLE, format!("store: {error}"));
        };
        let code = match status.code() {
            tonic::Code::ResourceExhausted => StatusCode::INSUFFICIENT_STORAGE,
            tonic::Code::InvalidArgument => StatusCode::BAD_REQUEST,
            _ => StatusCode::SERVICE_UNAVAILABLE,
        };
        ApiError::new(code, format!("store: {}", status.message()))
    }
}

impl From<TokenError> for ApiError {
    fn from(error: TokenError) -> ApiError {
        ApiError::bad_request(error.to_string())
    }
}

pub async fn unknown_path() -> ApiError {
    ApiError::new(StatusCode::NOT_FOUND, "no such path")
}

pub fn method_not_allowed(supported: &str) -> ApiError {
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, format!("only {supported} supported against this resource"))
}

pub async fn only_get() -> ApiError {
    method_not_allowed("GET")
}

/// Of a path that only others stand below.
pub async fn no_method() -> ApiError {
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "no method is supported against this resource")
}
