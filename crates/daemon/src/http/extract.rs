//! What handlers take from a request, refused in the API's own words where it cannot be read.

use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use flota_api::page::PageToken;
use flota_api::paths::QUERY_PAGE;
use serde::de::DeserializeOwned;

use super::error::ApiError;

/// Largest request body: a unit file of the largest size, as JSON.
pub const MAX_BODY_BYTES: usize = 4 << 20;
/// How long a client may take to send its body.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// The name that a path ends in, unchecked.
pub struct Name(pub String);

impl<S: Send + Sync> FromRequestParts<S> for Name {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        match Path::<String>::from_request_parts(parts, state).await {
            Ok(Path(name)) => Ok(Name(name)),
            Err(error) => Err(ApiError::bad_request(error.body_text())),
        }
    }
}

/// Everything in the query, in order; what is no query is empty.
pub struct Pairs(pub Vec<(String, String)>);

impl Pairs {
    /// The first value of a key; none if it is missing or empty.
    pub fn first(&self, key: &str) -> Option<&str> {
        self.0.iter().find(|(other, _)| other == key).map(|(_, value)| value.as_str()).filter(|it| !it.is_empty())
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Pairs {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        match Query::from_request_parts(parts, state).await {
            Ok(Query(pairs)) => Ok(Pairs(pairs)),
            Err(error) => Err(ApiError::bad_request(error.body_text())),
        }
    }
}

/// The page that a list request asks for; none for the first, which needs no token.
pub struct Page(pub Option<PageToken>);

impl<S: Send + Sync> FromRequestParts<S> for Page {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let Pairs(pairs) = Pairs::from_request_parts(parts, state).await?;
        let values = pairs.iter().filter(|(key, _)| key == QUERY_PAGE).map(|(_, value)| value.as_str());
        Ok(Page(PageToken::from_query(values)?))
    }
}

/// A whole request body.
pub struct Body(Bytes);

impl Body {
    /// Reads it as JSON.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, ApiError> {
        serde_json::from_slice(&self.0)
            .map_err(|error| ApiError::bad_request(format!("unable to decode body: {error}")))
    }
}

impl<S: Send + Sync> FromRequest<S> for Body {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        match tokio::time::timeout(BODY_TIMEOUT, Bytes::from_request(request, state)).await {
            Ok(Ok(bytes)) => Ok(Body(bytes)),
            Ok(Err(error)) if error.status() == StatusCode::PAYLOAD_TOO_LARGE => Err(ApiError::new(
                error.status(),
                format!("request body exceeds maximum size ({MAX_BODY_BYTES} bytes)"),
            )),
            Ok(Err(error)) => Err(ApiError::new(error.status(), error.body_text())),
            Err(_) => {
                let message = format!("request body did not arrive within {} s", BODY_TIMEOUT.as_secs());
                Err(ApiError::new(StatusCode::REQUEST_TIMEOUT, message))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_body_that_never_ends_is_refused_in_time() {
        let body = axum::body::Body::from_stream(futures_util::stream::pending::<Result<Bytes, std::io::Error>>());
        let started = tokio::time::Instant::now();
        let Err(error) = Body::from_request(Request::new(body), &()).await else { panic!("there is no body") };
        assert_eq!(started.elapsed().as_secs(), BODY_TIMEOUT.as_secs());
        assert!(format!("{error:?}").contains("request body did not arrive within 30 s"), "{error:?}");
    }
}
