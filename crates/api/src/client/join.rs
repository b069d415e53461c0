//! Joining, and the tokens that let machines in.

use std::time::Duration;

use hyper::Method;
use tokio::time::timeout;

use super::{Client, ClientError, Condition};
use crate::join::{JoinRequest, Joined, TokenCreated, TokenList, TokenRequest, TokenView};
use crate::paths;

/// How long joining may take: the units of the machine's own cluster are stopped before.
const JOIN_TIMEOUT: Duration = Duration::from_secs(90);

impl Client {
    /// Takes the daemon's machine into another cluster; it belongs to it when the daemon starts anew.
    pub async fn join(&self, request: &JoinRequest) -> Result<Joined, ClientError> {
        let call = self.request_unbounded(Method::POST, paths::JOIN, Some(request), Condition::None);
        let late = |_| ClientError::Timeout { endpoint: self.endpoint.clone() };
        let reply = timeout(JOIN_TIMEOUT, call).await.map_err(late)??;
        serde_json::from_slice(&reply.body).map_err(|error| self.protocol(error))
    }

    /// Makes a token that lets machines in.
    pub async fn create_token(&self, request: &TokenRequest) -> Result<TokenCreated, ClientError> {
        let reply = self.request(Method::POST, paths::TOKENS, Some(request), Condition::None).await?;
        serde_json::from_slice(&reply.body).map_err(|error| self.protocol(error))
    }

    /// The tokens that let machines in, by name.
    pub async fn tokens(&self) -> Result<Vec<TokenView>, ClientError> {
        Ok(self.get::<TokenList>(paths::TOKENS).await?.tokens)
    }

    /// Takes a token away.
    pub async fn revoke_token(&self, id: &str) -> Result<(), ClientError> {
        self.request(Method::DELETE, &paths::token(id), None::<&()>, Condition::None).await.map(drop)
    }
}
