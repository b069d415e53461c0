//! The discovery document: fleet's API v1 in Google's format, for programs that build themselves a client from it.

/// The document. Its `rootUrl` is a placeholder, as fleet's was: a unix socket has no URL.
pub const DOCUMENT: &str = include_str!("discovery.json");

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use serde_json::Value;

    use super::*;
    use crate::{ErrorBody, paths, v1};

    fn document() -> Value {
        serde_json::from_str(DOCUMENT).unwrap()
    }

    fn methods(document: &Value) -> Vec<&Value> {
        let resources = document["resources"].as_object().unwrap();
        resources.values().flat_map(|resource| resource["methods"].as_object().unwrap().values()).collect()
    }

    #[test]
    fn its_methods_are_the_routes_that_are_served() {
        let document = document();
        let path = |method: &Value| format!("/{}", method["path"].as_str().unwrap());
        let described: BTreeSet<(String, String)> = methods(&document)
            .into_iter()
            .map(|method| (method["httpMethod"].as_str().unwrap().to_owned(), path(method)))
            .collect();
        let served = [
            ("GET", paths::MACHINES),
            ("PATCH", paths::MACHINES),
            ("GET", paths::UNITS),
            ("GET", paths::UNIT_ROUTE),
            ("PUT", paths::UNIT_ROUTE),
            ("DELETE", paths::UNIT_ROUTE),
            ("GET", paths::STATES),
            ("GET", paths::STATE_ROUTE),
            ("GET", paths::DISCOVERY),
        ];
        let served: BTreeSet<(String, String)> =
            served.into_iter().map(|(method, path)| (method.to_owned(), path.to_owned())).collect();
        assert_eq!(described, served);
        assert_eq!(document["basePath"], format!("{}/", paths::PREFIX));
    }

    #[test]
    fn its_parameters_are_those_of_the_paths() {
        let document = document();
        for method in methods(&document) {
            let none = serde_json::Map::new();
            let parameters = method["parameters"].as_object().unwrap_or(&none);
            let in_path: BTreeSet<&str> = parameters
                .iter()
                .filter(|(_, parameter)| parameter["location"] == "path")
                .map(|(name, _)| name.as_str())
                .collect();
            let pieces = method["path"].as_str().unwrap().split(['{', '}']);
            assert_eq!(in_path, pieces.skip(1).step_by(2).collect(), "{method}");
            let known = [paths::QUERY_PAGE, paths::QUERY_UNIT, paths::QUERY_MACHINE];
            let in_query = parameters.iter().filter(|(_, parameter)| parameter["location"] == "query");
            assert!(in_query.into_iter().all(|(name, _)| known.contains(&name.as_str())), "{method}");
        }
    }

    #[test]
    fn its_schemas_are_the_types_of_this_crate() {
        fn fields(value: impl serde::Serialize) -> BTreeSet<String> {
            let Value::Object(fields) = serde_json::to_value(value).unwrap() else { panic!("not an object") };
            fields.into_iter().map(|(name, _)| name).collect()
        }
        let text = || "x".to_owned();
        let option = v1::UnitOption { section: text(), name: text(), value: text() };
        let unit = v1::Unit {
            name: text(),
            options: vec![option.clone()],
            desired_state: Some(v1::DesiredState::Loaded),
            current_state: Some(v1::DesiredState::Loaded),
            machine_id: text(),
        };
        let state = v1::UnitState {
            name: text(),
            hash: text(),
            machine_id: text(),
            systemd_load_state: text(),
            systemd_active_state: text(),
            systemd_sub_state: text(),
        };
        let metadata = BTreeMap::from([(text(), text())]);
        let machine = v1::Machine { id: text(), metadata, primary_ip: text() };
        let op = v1::MetadataOp { value: Some(v1::MetadataValue::Text(text())), ..Default::default() };
        let next_page_token = text();
        let types = BTreeMap::from([
            ("UnitOption", fields(option)),
            ("Unit", fields(unit.clone())),
            ("UnitPage", fields(v1::UnitPage { units: vec![unit], next_page_token: next_page_token.clone() })),
            ("UnitState", fields(state.clone())),
            (
                "UnitStatePage",
                fields(v1::UnitStatePage { states: vec![state], next_page_token: next_page_token.clone() }),
            ),
            ("Machine", fields(machine.clone())),
            ("MachinePage", fields(v1::MachinePage { machines: vec![machine], next_page_token })),
            ("MetadataOp", fields(op)),
            ("Error", fields(ErrorBody::new(404, "x"))),
        ]);
        let document = document();
        let described: BTreeMap<&str, BTreeSet<String>> = document["schemas"]
            .as_object()
            .unwrap()
            .iter()
            .filter(|(_, schema)| schema["type"] == "object")
            .map(|(name, schema)| (name.as_str(), schema["properties"].as_object().unwrap().keys().cloned().collect()))
            .collect();
        assert_eq!(described, types);
    }

    #[test]
    fn its_references_lead_somewhere() {
        fn walk<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
            match value {
                Value::Object(fields) => {
                    found.extend(fields.get("$ref").and_then(Value::as_str));
                    fields.values().for_each(|value| walk(value, found));
                }
                Value::Array(items) => items.iter().for_each(|value| walk(value, found)),
                _ => {}
            }
        }
        let document = document();
        let mut references = Vec::new();
        walk(&document, &mut references);
        assert!(references.len() > 5);
        for reference in references {
            assert_eq!(document["schemas"][reference]["id"], reference, "{reference}");
        }
    }
}
