//! `/machines`: the machines whose lease lives, and changes of their metadata.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use flota_api::page::{PageToken, page_of};
use flota_api::v1;
use flota_etcd::Committed;
use flota_registry::{Entry, Key, MachineId, MetadataOverlay, MetadataWrite, put_metadata};

use super::Api;
use super::error::{ApiError, method_not_allowed};
use super::extract::{Body, Page};

/// Most operations in one PATCH; each may be another machine's, and all are one transaction.
const MAX_PATCH_OPS: usize = flota_registry::MAX_OPS_PER_TXN;
/// Most keys that the API may set or remove on one machine.
const MAX_METADATA_KEYS: usize = 256;
/// Longest key and longest value, in bytes.
const MAX_METADATA_BYTES: usize = 1024;
/// How often a change is tried anew when somebody else changed the same machine in between.
const MAX_TRIES: usize = 5;

pub async fn wrong_method() -> ApiError {
    method_not_allowed("GET and PATCH")
}

pub async fn list(State(api): State<Arc<Api>>, page: Page) -> Result<Json<v1::MachinePage>, ApiError> {
    let feed = api.read(&page).await?;
    let view = feed.view();
    let machines = view.snapshot.machines();
    let (range, next) = page_of(machines.len(), page.0);
    let shown = machines.iter().skip(range.start).take(range.len());
    let machines = shown
        .map(|(id, machine)| v1::Machine {
            id: id.to_string(),
            metadata: view.snapshot.effective_metadata(id).into_owned(),
            primary_ip: machine.value.address.clone(),
        })
        .collect();
    Ok(Json(v1::MachinePage { machines, next_page_token: next.map_or_else(String::new, PageToken::encode) }))
}

/// All operations of a request, or none. Machines that do not live keep theirs until they come.
pub async fn patch(State(api): State<Arc<Api>>, body: Body) -> Result<impl IntoResponse, ApiError> {
    let operations: Option<Vec<v1::MetadataOp>> = body.json()?;
    let changes = changes(&operations.unwrap_or_default())?;
    let client = api.client()?;
    for _ in 0..MAX_TRIES {
        let mut writes = Vec::with_capacity(changes.len());
        for (machine, changes) in &changes {
            let key = Key::Metadata(machine.clone()).to_string();
            let (_, pair) = client.get(&key).await?;
            let current: Option<Entry<MetadataOverlay>> = pair
                .as_ref()
                .map(Entry::decode)
                .transpose()
                .map_err(|error| ApiError::internal(format!("{key}: {error}")))?;
            let seen = current.as_ref().map(|entry| entry.mod_revision);
            let mut overlay = current.map(|entry| entry.value).unwrap_or_default();
            for change in changes {
                change.apply(&mut overlay);
            }
            if overlay.len() > MAX_METADATA_KEYS {
                let message =
                    format!("machine {machine} would have more than {MAX_METADATA_KEYS} changed metadata keys");
                return Err(ApiError::bad_request(message));
            }
            writes.push(MetadataWrite { machine: machine.clone(), overlay, seen });
        }
        if writes.is_empty() || matches!(api.commit(&client, &put_metadata(&writes)).await?, Committed::Yes(_)) {
            // Without a body, but with its type: fleet answered so.
            return Ok((StatusCode::NO_CONTENT, [(header::CONTENT_TYPE, "application/json")]));
        }
    }
    Err(ApiError::contended())
}

/// What becomes of one key.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Change {
    key: String,
    /// None: it is removed.
    value: Option<String>,
}

impl Change {
    fn apply(&self, overlay: &mut MetadataOverlay) {
        match &self.value {
            Some(value) => overlay.set(&self.key, value),
            None => overlay.remove(&self.key),
        }
    }
}

/// The changes of each machine, in order; refused in fleet's words.
fn changes(operations: &[v1::MetadataOp]) -> Result<BTreeMap<MachineId, Vec<Change>>, ApiError> {
    if operations.len() > MAX_PATCH_OPS {
        return Err(ApiError::bad_request(format!("more than {MAX_PATCH_OPS} operations in one request")));
    }
    let mut changes: BTreeMap<MachineId, Vec<Change>> = BTreeMap::new();
    for operation in operations {
        let (machine, change) = change(operation)?;
        changes.entry(machine).or_default().push(change);
    }
    Ok(changes)
}

fn change(operation: &v1::MetadataOp) -> Result<(MachineId, Change), ApiError> {
    let removes = match operation.op.as_str() {
        "add" | "replace" => false,
        "remove" => true,
        _ => return Err(ApiError::bad_request("invalid op: expect add, remove, or replace")),
    };
    let (machine, key) =
        split_path(&operation.path).ok_or_else(|| ApiError::bad_request("machine metadata path invalid"))?;
    let machine: MachineId =
        machine.parse().map_err(|error| ApiError::bad_request(format!("machine metadata path invalid: {error}")))?;
    let value = operation.value.as_ref().map(v1::MetadataValue::as_str).filter(|value| !value.is_empty());
    let value = match (removes, value) {
        (true, _) => None,
        (false, Some(value)) => Some(value.to_owned()),
        (false, None) => return Err(ApiError::bad_request("invalid value: add and replace require a value")),
    };
    if key.len().max(value.as_ref().map_or(0, String::len)) > MAX_METADATA_BYTES {
        return Err(ApiError::bad_request(format!("metadata keys and values have at most {MAX_METADATA_BYTES} bytes")));
    }
    if value.as_ref().is_some_and(|value| value.contains(char::is_control)) {
        return Err(ApiError::bad_request("invalid value: control characters cannot be part of metadata"));
    }
    Ok((machine, Change { key: key.to_owned(), value }))
}

/// Machine and key of `^/([^/]+)/metadata/([A-Za-z0-9_.-]+$)`.
fn split_path(path: &str) -> Option<(&str, &str)> {
    let (machine, rest) = path.strip_prefix('/')?.split_once('/')?;
    let key = rest.strip_prefix("metadata/")?;
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    (!machine.is_empty() && !key.is_empty() && key.chars().all(fits)).then_some((machine, key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_metadata() {
        assert_eq!(split_path("/m1/metadata/disk.type_1-a"), Some(("m1", "disk.type_1-a")));
        let wrong = ["", "/", "m1/metadata/k", "//metadata/k", "/m1/metadata/", "/m1/metadata/a/b", "/m1/meta/k"];
        for path in wrong.into_iter().chain(["/m1/metadata/a b", "/m1/metadata/\u{e9}", "/a/m1/metadata/k"]) {
            assert_eq!(split_path(path), None, "{path}");
        }
    }
}
