//! Joining: this machine into another cluster, and others into this one by tokens.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use flota_api::join::{JoinRequest, Joined, TokenCreated, TokenList, TokenRequest, TokenView};
use flota_api::paths;
use flota_etcd::{Committed, StoreClient, random_number};
use flota_registry::{Door, Entry, JoinToken, Key, TokenId, keys, put_token, revoke_token};

use super::Api;
use super::error::{ApiError, method_not_allowed};
use super::extract::{Body, Name};
use crate::join::{JoinError, Refusal, Secret, Token, from_hex};

/// How long a token may let machines in, in seconds: a minute to a week.
const TTL_SECONDS: std::ops::RangeInclusive<u64> = 60..=7 * 24 * 60 * 60;
/// Most tokens at the same time.
const MAX_TOKENS: usize = 100;

pub fn routes() -> Router<Arc<Api>> {
    Router::new()
        .route(paths::JOIN, post(join).fallback(|| async { method_not_allowed("POST") }))
        .route(paths::TOKENS, get(list).post(create).fallback(|| async { method_not_allowed("GET and POST") }))
        .route(paths::TOKEN_ROUTE, delete(revoke).fallback(|| async { method_not_allowed("DELETE") }))
}

async fn join(State(api): State<Arc<Api>>, body: Body) -> Result<Json<Joined>, ApiError> {
    let request: JoinRequest = body.json()?;
    let own = api.link.borrow().clone();
    let Some(joiner) = &api.joiner else { return Err(ApiError::internal("this daemon has no data directory")) };
    joiner.join(request, own).await.map(Json).map_err(ApiError::from)
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> ApiError {
        let status = match &refusal {
            Refusal::Token(_) => StatusCode::BAD_REQUEST,
            Refusal::Disk(_) | Refusal::Membership(_) => StatusCode::INTERNAL_SERVER_ERROR,
            // These pass: who asks again later may get in.
            Refusal::Store { .. }
            | Refusal::Enter(JoinError::Unreachable { .. } | JoinError::Timeout { .. } | JoinError::Clock { .. }) => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            _ => StatusCode::CONFLICT,
        };
        ApiError::new(status, refusal.told())
    }
}

async fn create(State(api): State<Arc<Api>>, body: Body) -> Result<Json<TokenCreated>, ApiError> {
    let TokenRequest { ttl_seconds } = body.json()?;
    if !TTL_SECONDS.contains(&ttl_seconds) {
        let message = format!("a token lives {} s to {} s", TTL_SECONDS.start(), TTL_SECONDS.end());
        return Err(ApiError::bad_request(message));
    }
    let client = api.client()?;
    let (_, pair) = client.get(&Key::Door.to_string()).await?;
    let door = pair.and_then(|pair| Entry::<Door>::decode(&pair).ok()).ok_or_else(no_door)?.value;
    let authority = from_hex(&door.authority).ok_or_else(|| ApiError::internal("the cluster's door is damaged"))?;
    if tokens(&client).await?.len() >= MAX_TOKENS {
        return Err(ApiError::conflict(format!("there are {MAX_TOKENS} tokens: revoke some first")));
    }
    let ttl = Duration::from_secs(ttl_seconds);
    let (id, secret) = (TokenId::of(random_number()? as u32), Secret::draw()?);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let expires_unix_ms = millis(now + ttl);
    let token = JoinToken { secret_sha256: secret.sha256(), created_unix_ms: millis(now), expires_unix_ms };
    let lease = client.grant(ttl).await?;
    match client.commit(&put_token(&id, &token, lease)).await? {
        Committed::Yes(_) => {}
        Committed::No => return Err(ApiError::contended()),
    }
    let token = Token { id: id.clone(), secret, authority }.to_string();
    Ok(Json(TokenCreated { id: id.to_string(), token, address: door.address, expires_unix_ms }))
}

async fn list(State(api): State<Arc<Api>>) -> Result<Json<TokenList>, ApiError> {
    let tokens = tokens(&api.client()?).await?.into_iter().map(|(id, token)| TokenView {
        id: id.to_string(),
        created_unix_ms: token.created_unix_ms,
        expires_unix_ms: token.expires_unix_ms,
    });
    Ok(Json(TokenList { tokens: tokens.collect() }))
}

async fn revoke(State(api): State<Arc<Api>>, Name(name): Name) -> Result<StatusCode, ApiError> {
    let none = || ApiError::new(StatusCode::NOT_FOUND, format!("there is no token {name}"));
    let id: TokenId = name.parse().map_err(|_| none())?;
    let client = api.client()?;
    let (_, pair) = client.get(&Key::Token(id.clone()).to_string()).await?;
    let seen = pair.ok_or_else(none)?.mod_revision;
    match client.commit(&revoke_token(&id, seen)).await? {
        Committed::Yes(_) => Ok(StatusCode::NO_CONTENT),
        Committed::No => Err(none()),
    }
}

async fn tokens(client: &StoreClient) -> Result<Vec<(TokenId, JoinToken)>, ApiError> {
    let (_, pairs) = client.range(keys::TOKENS).await?;
    let read = |pair: &flota_registry::KeyValue| match Key::parse(&pair.key) {
        Some(Key::Token(id)) => Entry::<JoinToken>::decode(pair).ok().map(|entry| (id, entry.value)),
        _ => None,
    };
    Ok(pairs.iter().filter_map(read).collect())
}

fn no_door() -> ApiError {
    ApiError::conflict(
        "no living machine of this cluster lets others in by tokens: one whose store listens at https without [tls] does \
         (docs/machines.md); with certificates of your own use: flota join --endpoints ... --ca ... --cert ... --key ...",
    )
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
