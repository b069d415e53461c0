//! Fleet's JSON types, field for field: empty fields are left out, unknown ones are ignored.

use std::{collections::BTreeMap, fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize};
use thiserror::Error;

/// What a unit should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum DesiredState {
    /// Known to the cluster, on no machine.
    Inactive,
    /// Given to a machine and loaded into its systemd, not started.
    Loaded,
    /// Started.
    Launched,
}

/// What a unit has become: the same three words, derived from schedule and reports.
pub type CurrentState = DesiredState;

/// A word that is none of the three states.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("invalid state \"{0}\": expect inactive, loaded or launched")]
pub struct UnknownState(pub String);

impl DesiredState {
    /// The word of the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Inactive => "inactive",
            Self::Loaded => "loaded",
            Self::Launched => "launched",
        }
    }
}

impl fmt::Display for DesiredState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for DesiredState {
    type Err = UnknownState;

    fn from_str(text: &str) -> Result<Self, UnknownState> {
        match text {
            "inactive" => Ok(Self::Inactive),
            "loaded" => Ok(Self::Loaded),
            "launched" => Ok(Self::Launched),
            _ => Err(UnknownState(text.to_owned())),
        }
    }
}

impl<'de> Deserialize<'de> for DesiredState {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Go clients may send a field that is not set as `""`.
fn state_or_empty<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<DesiredState>, D::Error> {
    match Option::<String>::deserialize(deserializer)?.as_deref() {
        None | Some("") => Ok(None),
        Some(text) => text.parse().map(Some).map_err(serde::de::Error::custom),
    }
}

/// A list that a Go client may send as `null`.
fn list_or_null<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Vec<T>, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// A unit: its file, what it should be and, in answers, what it is and where.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Unit {
    /// The name. May be left out of a PUT body, the path has it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// The lines of the unit file. Empty in a PUT that changes the desired state only.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "list_or_null")]
    pub options: Vec<UnitOption>,
    /// What the unit should be.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "state_or_empty")]
    pub desired_state: Option<DesiredState>,
    /// What the unit is; the server's word, ignored in requests. A global unit has none.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "state_or_empty")]
    pub current_state: Option<CurrentState>,
    /// The machine that the unit is given to; empty when none, and for a global unit.
    #[serde(rename = "machineID", skip_serializing_if = "String::is_empty")]
    pub machine_id: String,
}

/// One `Name=Value` line of a unit file and the section it stands in.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct UnitOption {
    /// The section without its brackets.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub section: String,
    /// The option's name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// The value with its continuation lines, as in the file.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub value: String,
}

/// What the systemd of one machine last said about a unit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct UnitState {
    /// The unit.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Content hash of the unit file that the machine has.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub hash: String,
    /// The machine.
    #[serde(rename = "machineID", skip_serializing_if = "String::is_empty")]
    pub machine_id: String,
    /// systemd's load state, such as `loaded` or `not-found`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub systemd_load_state: String,
    /// systemd's active state, such as `active` or `failed`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub systemd_active_state: String,
    /// systemd's sub state, such as `running` or `dead`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub systemd_sub_state: String,
}

/// A machine of the cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Machine {
    /// Its `/etc/machine-id`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub id: String,
    /// What the operator says of it.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
    /// Its address.
    #[serde(rename = "primaryIP", skip_serializing_if = "String::is_empty")]
    pub primary_ip: String,
}

/// One change of a machine's metadata: an operation of JSON Patch, in a list as the body of PATCH.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct MetadataOp {
    /// `add`, `replace` or `remove`.
    pub op: String,
    /// `/MACHINE-ID/metadata/KEY`.
    pub path: String,
    /// The new value; of no meaning for `remove`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<MetadataValue>,
}

/// A metadata value in a request: as fleet's documentation has it, or as its code wanted it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum MetadataValue {
    /// `"value": "ssd"`.
    Text(String),
    /// `"value": {"value": "ssd"}`.
    Object {
        /// The value.
        #[serde(default)]
        value: String,
    },
}

impl MetadataValue {
    /// The value in either form.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Text(value) | Self::Object { value } => value,
        }
    }
}

/// One page of units, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct UnitPage {
    /// The units; at most [`PAGE_LIMIT`](crate::page::PAGE_LIMIT).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub units: Vec<Unit>,
    /// Asks for the next page; empty at the end.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub next_page_token: String,
}

/// One page of unit states.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct UnitStatePage {
    /// The states; at most [`PAGE_LIMIT`](crate::page::PAGE_LIMIT).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub states: Vec<UnitState>,
    /// Asks for the next page; empty at the end.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub next_page_token: String,
}

/// One page of machines.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct MachinePage {
    /// The machines; at most [`PAGE_LIMIT`](crate::page::PAGE_LIMIT).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub machines: Vec<Machine>,
    /// Asks for the next page; empty at the end.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub next_page_token: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn round_trip<T>(value: &T, json: &str)
    where
        T: Serialize + for<'de> Deserialize<'de> + PartialEq + fmt::Debug,
    {
        assert_eq!(serde_json::to_string(value).unwrap(), json);
        assert_eq!(&serde_json::from_str::<T>(json).unwrap(), value);
    }

    #[test]
    fn unit() {
        round_trip(
            &Unit {
                name: "web@1.service".into(),
                options: vec![UnitOption {
                    section: "Service".into(),
                    name: "ExecStart".into(),
                    value: "/bin/sleep 100".into(),
                }],
                desired_state: Some(DesiredState::Launched),
                current_state: Some(DesiredState::Loaded),
                machine_id: "f1ee0100".into(),
            },
            concat!(
                r#"{"name":"web@1.service","options":[{"section":"Service","name":"ExecStart","#,
                r#""value":"/bin/sleep 100"}],"desiredState":"launched","currentState":"loaded","#,
                r#""machineID":"f1ee0100"}"#
            ),
        );
        round_trip(&Unit::default(), "{}");
    }

    #[test]
    fn unit_as_go_clients_may_send_it() {
        let json = r#"{"desiredState":"","options":null,"kind":"fleet#unit","name":"a.service"}"#;
        let unit: Unit = serde_json::from_str(json).unwrap();
        assert_eq!(unit, Unit { name: "a.service".into(), ..Unit::default() });
    }

    #[test]
    fn unknown_state_names_the_three() {
        let error = serde_json::from_str::<Unit>(r#"{"desiredState":"bogus"}"#).unwrap_err();
        let expected = r#"invalid state "bogus": expect inactive, loaded or launched"#;
        assert!(error.to_string().starts_with(expected), "{error}");
    }

    #[test]
    fn state_and_machine() {
        round_trip(
            &UnitState {
                name: "a.service".into(),
                hash: "1c6fb6f".into(),
                machine_id: "f1ee".into(),
                systemd_load_state: "loaded".into(),
                systemd_active_state: "active".into(),
                systemd_sub_state: "running".into(),
            },
            concat!(
                r#"{"name":"a.service","hash":"1c6fb6f","machineID":"f1ee","systemdLoadState":"loaded","#,
                r#""systemdActiveState":"active","systemdSubState":"running"}"#
            ),
        );
        round_trip(
            &Machine {
                id: "f1ee".into(),
                metadata: BTreeMap::from([("disk".into(), "ssd".into())]),
                primary_ip: "10.1.1.1".into(),
            },
            r#"{"id":"f1ee","metadata":{"disk":"ssd"},"primaryIP":"10.1.1.1"}"#,
        );
    }

    #[test]
    fn metadata_values_in_both_forms() {
        for (json, value) in [
            (r#"{"op":"add","path":"/m/metadata/k","value":"x"}"#, Some("x")),
            (r#"{"op":"add","path":"/m/metadata/k","value":{"value":"x"}}"#, Some("x")),
            (r#"{"op":"remove","path":"/m/metadata/k"}"#, None),
        ] {
            let op: MetadataOp = serde_json::from_str(json).unwrap();
            assert_eq!(op.value.as_ref().map(MetadataValue::as_str), value);
            assert_eq!(serde_json::to_string(&op).unwrap(), json);
        }
    }

    #[test]
    fn pages() {
        round_trip(&UnitPage::default(), "{}");
        round_trip(
            &UnitStatePage { states: vec![UnitState::default()], next_page_token: "ZAACAA==".into() },
            r#"{"states":[{}],"nextPageToken":"ZAACAA=="}"#,
        );
        round_trip(
            &MachinePage { machines: vec![Machine::default()], next_page_token: String::new() },
            r#"{"machines":[{}]}"#,
        );
    }
}
