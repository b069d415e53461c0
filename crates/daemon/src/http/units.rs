//! `/units`: list, show, submit or change, destroy.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use flota_api::page::{PageToken, page_of};
use flota_api::v1;
use flota_etcd::Committed;
use flota_registry::{DesiredState, DesiredUnit, Entry, Key, KeyValue, destroy_unit, put_unit};
use flota_unit::{NameError, Requirements, UnitFile, UnitName};

use super::Api;
use super::error::{ApiError, method_not_allowed};
use super::extract::{Body, Name, Page};
use super::precondition::{ETag, Preconditions};
use super::view::from_v1;

/// How often a change is tried anew when somebody else changed the same unit in between.
const MAX_TRIES: usize = 5;

pub async fn wrong_method_of_list() -> ApiError {
    method_not_allowed("GET")
}

pub async fn wrong_method() -> ApiError {
    method_not_allowed("GET, PUT and DELETE")
}

pub async fn list(State(api): State<Arc<Api>>, page: Page) -> Result<Json<v1::UnitPage>, ApiError> {
    let feed = api.read(&page).await?;
    let view = feed.view();
    let units = view.snapshot.units();
    let (range, next) = page_of(units.len(), page.0);
    let units = units.keys().skip(range.start).take(range.len()).filter_map(|name| view.unit(name)).collect();
    Ok(Json(v1::UnitPage { units, next_page_token: next.map_or_else(String::new, PageToken::encode) }))
}

pub async fn show(State(api): State<Arc<Api>>, Name(name): Name) -> Result<Response, ApiError> {
    // A name that no unit can have is one that no unit has.
    let name: UnitName = name.parse().map_err(|_| ApiError::no_such_unit())?;
    let feed = api.fresh().await?;
    let view = feed.view();
    let entry = view.snapshot.units().get(&name).ok_or_else(ApiError::no_such_unit)?;
    let unit = view.unit(&name).ok_or_else(ApiError::no_such_unit)?;
    Ok(tagged(ETag::of(entry), Json(unit)))
}

pub async fn put(
    State(api): State<Arc<Api>>,
    Name(name): Name,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    check_content_type(&headers)?;
    let preconditions = Preconditions::of(&headers)?;
    let (name, file, wanted) = submitted(name, &body.json()?)?;
    let client = api.client()?;
    for _ in 0..MAX_TRIES {
        let (_, pair) = client.get(&Key::Unit(name.clone()).to_string()).await?;
        let current = pair.as_ref().map(decode).transpose()?;
        let change = decide(file.as_ref(), wanted, current.as_ref())?;
        preconditions.check(name.as_str(), current.as_ref())?;
        let change = match (change, &current) {
            (Some(change), _) => change,
            (None, Some(current)) => return Ok(tagged(ETag::of(current), StatusCode::NO_CONTENT)),
            (None, None) => return Ok(StatusCode::NO_CONTENT.into_response()),
        };
        let text = match &file {
            Some(file) => file.clone(),
            None => stored_file(&client, &change).await?,
        };
        let replaced = current.as_ref().is_none_or(|current| current.value.hash != change.hash);
        let txn = put_unit(&name, &change, &text, current.map(|current| current.mod_revision));
        if let Committed::Yes(revision) = api.commit(&client, &txn).await? {
            let status = if replaced { StatusCode::CREATED } else { StatusCode::NO_CONTENT };
            return Ok(tagged(ETag::new(revision, &change), status));
        }
    }
    Err(ApiError::contended())
}

/// The answer carries the tag of what is gone.
pub async fn destroy(State(api): State<Arc<Api>>, Name(name): Name, headers: HeaderMap) -> Result<Response, ApiError> {
    let name: UnitName = name.parse().map_err(|_| ApiError::no_such_unit())?;
    let preconditions = Preconditions::of(&headers)?;
    let client = api.client()?;
    for _ in 0..MAX_TRIES {
        let (_, pair) = client.get(&Key::Unit(name.clone()).to_string()).await?;
        let current = decode_or_unknown(&pair.ok_or_else(ApiError::no_such_unit)?);
        let (mod_revision, tag) = match &current {
            Ok(entry) => {
                preconditions.check(name.as_str(), Some(entry))?;
                (entry.mod_revision, Some(ETag::of(entry)))
            }
            // What nobody can read can still be destroyed.
            Err(mod_revision) => {
                preconditions.check(name.as_str(), None)?;
                (*mod_revision, None)
            }
        };
        if let Committed::Yes(_) = api.commit(&client, &destroy_unit(&name, mod_revision)).await? {
            return Ok(match tag {
                Some(tag) => tagged(tag, StatusCode::NO_CONTENT),
                None => StatusCode::NO_CONTENT.into_response(),
            });
        }
    }
    Err(ApiError::contended())
}

fn tagged(tag: ETag, response: impl IntoResponse) -> Response {
    ([(header::ETAG, tag.header())], response).into_response()
}

/// What a request asks for, checked in fleet's order.
fn submitted(name: String, body: &v1::Unit) -> Result<(UnitName, Option<UnitFile>, Option<DesiredState>), ApiError> {
    if !body.name.is_empty() && body.name != name {
        let message = format!("name in URL \"{name}\" differs from unit name in request body \"{}\"", body.name);
        return Err(ApiError::bad_request(message));
    }
    let name: UnitName = name.parse().map_err(|error: NameError| ApiError::bad_request(error.to_string()))?;
    let file = submitted_file(&name, body)?;
    let wanted = body.desired_state.map(from_v1);
    if name.is_template() && wanted.is_some_and(|state| state != DesiredState::Inactive) {
        return Err(ApiError::bad_request(format!("cannot activate template \"{name}\"")));
    }
    Ok((name, file, wanted))
}

fn check_content_type(headers: &HeaderMap) -> Result<(), ApiError> {
    let mut given = headers.get_all(header::CONTENT_TYPE).iter();
    let unsupported = |message: &str| ApiError::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, message);
    let (Some(first), None) = (given.next(), given.next()) else {
        let count = headers.get_all(header::CONTENT_TYPE).iter().count();
        return Err(unsupported(&format!("expected 1 Content-Type, got {count}")));
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
    let damaged = |what: String| ApiError::internal(format!("the unit's stored file {what}: submit it again"));
    let (_, pair) = client.get(&Key::File(unit.hash).to_string()).await?;
    let pair = pair.ok_or_else(|| damaged("is missing".to_owned()))?;
    let text = flota_registry::file_text(&pair).map_err(|error| damaged(format!("cannot be read ({error})")))?;
    UnitFile::parse(&text).map_err(|_| damaged("is damaged".to_owned()))
}

fn decode(pair: &KeyValue) -> Result<Entry<DesiredUnit>, ApiError> {
    Entry::decode(pair).map_err(|error| ApiError::internal(format!("{}: {error}", pair.key)))
}

/// The value, or the revision of one that cannot be read.
fn decode_or_unknown(pair: &KeyValue) -> Result<Entry<DesiredUnit>, i64> {
    Entry::decode(pair).map_err(|_| pair.mod_revision)
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
