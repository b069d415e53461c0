//! `/units`: list, show, submit or change, destroy.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use flota_api::page::{PageToken, paginate};
use flota_api::v1;
use flota_etcd::Committed;
use flota_registry::{DesiredState, DesiredUnit, Entry, Key, KeyValue, destroy_unit, put_unit};
use flota_unit::{Requirements, UnitFile, UnitName};

use super::Api;
use super::error::{ApiError, method_not_allowed};
use super::view::{self, Page, from_v1};

/// How often a change is tried anew when somebody else changed the same unit in between.
const MAX_TRIES: usize = 5;

pub async fn wrong_method_of_list() -> ApiError {
    method_not_allowed("GET")
}

pub async fn wrong_method() -> ApiError {
    method_not_allowed("GET, PUT and DELETE")
}

pub async fn list(State(api): State<Arc<Api>>, page: Page) -> Result<Json<v1::UnitPage>, ApiError> {
    let snapshot = api.cluster().await?;
    let names: Vec<UnitName> = snapshot.units().keys().cloned().collect();
    let (names, next) = paginate(&names, page.0);
    let units = names.iter().filter_map(|name| view::unit(&snapshot, name)).collect();
    Ok(Json(v1::UnitPage { units, next_page_token: next.map_or_else(String::new, PageToken::encode) }))
}

pub async fn show(State(api): State<Arc<Api>>, Path(name): Path<String>) -> Result<Json<v1::Unit>, ApiError> {
    // A name that no unit can have is one that no unit has.
    let name: UnitName = name.parse().map_err(|_| ApiError::no_such_unit())?;
    let snapshot = api.around(&name).await?;
    view::unit(&snapshot, &name).map(Json).ok_or_else(ApiError::no_such_unit)
}

pub async fn put(
    State(api): State<Arc<Api>>,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<StatusCode, ApiError> {
    check_content_type(&headers)?;
    let body: v1::Unit = serde_json::from_slice(&body)
        .map_err(|error| ApiError::bad_request(format!("unable to decode body: {error}")))?;
    if !body.name.is_empty() && body.name != name {
        let message = format!("name in URL \"{name}\" differs from unit name in request body \"{}\"", body.name);
        return Err(ApiError::bad_request(message));
    }
    let name: UnitName =
        name.parse().map_err(|error: flota_unit::NameError| ApiError::bad_request(error.to_string()))?;
    let file = submitted_file(&name, &body)?;
    let wanted = body.desired_state.map(from_v1);
    if name.is_template() && wanted.is_some_and(|state| state != DesiredState::Inactive) {
        return Err(ApiError::bad_request(format!("cannot activate template \"{name}\"")));
    }
    let client = api.client()?;
    for _ in 0..MAX_TRIES {
        let (_, pair) = client.get(&Key::Unit(name.clone()).to_string()).await?;
        let current = pair.as_ref().map(decode).transpose()?;
        let Some(change) = decide(file.as_ref(), wanted, current.as_ref())? else {
            return Ok(StatusCode::NO_CONTENT);
        };
        let text = match &file {
            Some(file) => file.clone(),
            None => stored_file(&client, &change).await?,
        };
        let replaced = current.as_ref().is_none_or(|current| current.value.hash != change.hash);
        let txn = put_unit(&name, &change, &text, current.map(|current| current.mod_revision));
        if let Committed::Yes(_) = client.commit(&txn).await? {
            return Ok(if replaced { StatusCode::CREATED } else { StatusCode::NO_CONTENT });
        }
    }
    Err(ApiError::conflict("the unit is being changed by others; try again"))
}

pub async fn destroy(State(api): State<Arc<Api>>, Path(name): Path<String>) -> Result<StatusCode, ApiError> {
    let name: UnitName = name.parse().map_err(|_| ApiError::no_such_unit())?;
    let client = api.client()?;
    for _ in 0..MAX_TRIES {
        let (_, pair) = client.get(&Key::Unit(name.clone()).to_string()).await?;
        let pair = pair.ok_or_else(ApiError::no_such_unit)?;
        if let Committed::Yes(_) = client.commit(&destroy_unit(&name, pair.mod_revision)).await? {
            return Ok(StatusCode::NO_CONTENT);
        }
    }
    Err(ApiError::conflict("the unit is being changed by others; try again"))
}

fn check_content_type(headers: &HeaderMap) -> Result<(), ApiError> {
    let mut given = headers.get_all(header::CONTENT_TYPE).iter();
    let unsupported = |message: &str| ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, message);
    let Some(first) = given.next() else {
        return Err(unsupported("expected 1 Content-Type, got 0"));
    };
    let kind = first.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim();
    if !kind.eq_ignore_ascii_case("application/json") {
        return Err(unsupported("only acceptable Content-Type is application/json"));
    }
    Ok(())
}

/// The unit file of a request, checked as a whole (promise P7); none when it carries no options.
fn submitted_file(name: &UnitName, body: &v1::Unit) -> Result<Option<UnitFile>, ApiError> {
    if body.options.is_empty() {
        return Ok(None);
    }
    let options = body.options.iter().map(|it| (it.section.clone(), it.name.clone(), it.value.clone()));
    let invalid = |found: Vec<flota_unit::Diagnostic>| ApiError::invalid_unit(name.as_str(), &found);
    let file = UnitFile::from_options(options).map_err(invalid)?;
    Requirements::from_unit(name, &file).map_err(invalid)?;
    Ok(Some(file))
}

/// What the stored unit becomes; none when it stays as it is. fleet's rules.
fn decide(
    file: Option<&UnitFile>,
    wanted: Option<DesiredState>,
    current: Option<&Entry<DesiredUnit>>,
) -> Result<Option<DesiredUnit>, ApiError> {
    let Some(Entry { value: current, .. }) = current else {
        let file = file.ok_or_else(|| ApiError::conflict("unit does not exist and options field empty"))?;
        return Ok(Some(DesiredUnit { hash: file.hash(), desired: wanted.unwrap_or(DesiredState::Inactive) }));
    };
    let hash = file.map_or(current.hash, UnitFile::hash);
    if hash != current.hash {
        return Ok(Some(DesiredUnit { hash, desired: wanted.unwrap_or(DesiredState::Inactive) }));
    }
    let desired = wanted.ok_or_else(|| ApiError::conflict("must provide DesiredState to update existing unit"))?;
    Ok((desired != current.desired).then_some(DesiredUnit { hash, desired }))
}

async fn stored_file(client: &flota_etcd::StoreClient, unit: &DesiredUnit) -> Result<UnitFile, ApiError> {
    let damaged = |what: String| {
        ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, format!("the unit's stored file {what}: submit it again"))
    };
    let (_, pair) = client.get(&Key::File(unit.hash).to_string()).await?;
    let pair = pair.ok_or_else(|| damaged("is missing".to_owned()))?;
    let text = flota_registry::file_text(&pair).map_err(|error| damaged(format!("cannot be read ({error})")))?;
    UnitFile::parse(&text).map_err(|_| damaged("is damaged".to_owned()))
}

fn decode(pair: &KeyValue) -> Result<Entry<DesiredUnit>, ApiError> {
    Entry::decode(pair)
        .map_err(|error| ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, format!("{}: {error}", pair.key)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> UnitFile {
        UnitFile::parse(text).unwrap()
    }

    fn entry(file: &UnitFile, desired: DesiredState) -> Entry<DesiredUnit> {
        Entry { value: DesiredUnit { hash: file.hash(), desired }, mod_revision: 5, lease: None }
    }

    #[test]
    fn the_rules_of_put() {
        use DesiredState::{Inactive, Launched};
        let (one, two) = (file("[Service]\nExecStart=/bin/true\n"), file("[Service]\nExecStart=/bin/false\n"));
        let stored = entry(&one, Launched);
        let becomes =
            |file, wanted, current| decide(file, wanted, current).unwrap().map(|unit| (unit.hash, unit.desired));

        assert_eq!(becomes(Some(&one), None, None), Some((one.hash(), Inactive)), "a new unit is inactive");
        assert_eq!(becomes(Some(&one), Some(Launched), None), Some((one.hash(), Launched)));
        assert_eq!(becomes(None, Some(Inactive), Some(&stored)), Some((one.hash(), Inactive)));
        assert_eq!(becomes(None, Some(Launched), Some(&stored)), None, "nothing to change");
        assert_eq!(
            becomes(Some(&two), None, Some(&stored)),
            Some((two.hash(), Inactive)),
            "new content without a state"
        );
        assert!(decide(None, Some(Launched), None).is_err(), "an unknown unit needs options");
        assert!(decide(Some(&one), None, Some(&stored)).is_err(), "the same content needs a state");
    }

    #[test]
    fn a_request_must_say_that_it_is_json() {
        let with = |text: &str| HeaderMap::from_iter([(header::CONTENT_TYPE, text.parse().unwrap())]);
        assert!(check_content_type(&with("application/json; charset=utf-8")).is_ok());
        assert!(check_content_type(&with("text/plain")).is_err());
        assert!(check_content_type(&HeaderMap::new()).is_err());
    }
}
