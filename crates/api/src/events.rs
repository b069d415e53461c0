//! What `/v1/events` tells: one type for each kind of server-sent event, its name in `KIND`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::v1::DesiredState;

/// A user changed what is wanted of a unit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnitEvent {
    /// The store's revision that brought it.
    pub revision: i64,
    /// The unit.
    pub unit: String,
    /// `desired` or `destroyed`.
    pub change: String,
    /// What is wanted now; none when destroyed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub desired: Option<DesiredState>,
    /// Names the content; none when destroyed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash: Option<String>,
}

impl UnitEvent {
    /// The event's name.
    pub const KIND: &'static str = "unit";
}

/// The leader changed a unit's place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScheduleEvent {
    /// The store's revision that brought it.
    pub revision: i64,
    /// The unit.
    pub unit: String,
    /// `placed`, `moved`, `changed` (other content or target on the same machine) or `removed`.
    pub change: String,
    /// The machine id that has it now; none when removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine: Option<String>,
    /// The machine id that had it; when moved or removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// How far the machine is to take it: `loaded` or `launched`; none when removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<DesiredState>,
    /// Why.
    pub cause: String,
}

impl ScheduleEvent {
    /// The event's name.
    pub const KIND: &'static str = "schedule";
}

/// A machine says something new about a unit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateEvent {
    /// The store's revision that brought it.
    pub revision: i64,
    /// The unit.
    pub unit: String,
    /// The machine id.
    pub machine: String,
    /// `changed`, or `gone`: the machine has no such unit any more, or is lost.
    pub change: String,
    /// systemd's load state; empty when gone, like the fields below.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub load: String,
    /// systemd's active state.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub active: String,
    /// systemd's sub state.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub sub: String,
    /// Content hash of the unit file that the machine has.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub hash: String,
    /// What went wrong with it, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

impl StateEvent {
    /// The event's name.
    pub const KIND: &'static str = "state";
}

/// A machine came, went, or changed what it says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MachineEvent {
    /// The store's revision that brought it.
    pub revision: i64,
    /// The machine id.
    pub machine: String,
    /// `joined`, `changed` or `lost`.
    pub change: String,
    /// Its address; empty when lost.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub address: String,
    /// Its effective metadata; empty when lost.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub metadata: BTreeMap<String, String>,
}

impl MachineEvent {
    /// The event's name.
    pub const KIND: &'static str = "machine";
}

/// The revision to resume from is not to be had any more: read everything again. Events go on after `revision`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResetEvent {
    /// The revision that the stream goes on from.
    pub revision: i64,
    /// Why.
    pub reason: String,
}

impl ResetEvent {
    /// The event's name.
    pub const KIND: &'static str = "reset";
}

/// The last event of a client that reads too slowly: connect again, resuming after the last id that was seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CutEvent {
    /// Why.
    pub reason: String,
}

impl CutEvent {
    /// The event's name.
    pub const KIND: &'static str = "cut";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_is_left_out() {
        let event = ScheduleEvent {
            revision: 7,
            unit: "a.service".into(),
            change: "moved".into(),
            machine: Some("f1".into()),
            from: Some("f2".into()),
            target: Some(DesiredState::Launched),
            cause: "machine f2 was lost".into(),
        };
        let json = concat!(
            r#"{"revision":7,"unit":"a.service","change":"moved","machine":"f1","from":"f2","target":"launched","#,
            r#""cause":"machine f2 was lost"}"#
        );
        assert_eq!(serde_json::to_string(&event).unwrap(), json);
        assert_eq!(serde_json::from_str::<ScheduleEvent>(json).unwrap(), event);

        let json = r#"{"revision":8,"unit":"a.service","machine":"f1","change":"gone"}"#;
        let gone: StateEvent = serde_json::from_str(json).unwrap();
        assert_eq!(serde_json::to_string(&gone).unwrap(), json);
    }
}
