//! Flota's own JSON types: what fleet never answered. Field names are snake case.

use serde::{Deserialize, Serialize};

use crate::v1::DesiredState;

/// Why a unit is where it is, or why it is nowhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explanation {
    /// The unit.
    pub unit: String,
    /// What it should be.
    pub desired: DesiredState,
    /// The machine id that the schedule gives it to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheduled_on: Option<String>,
    /// Why it is there, such as "fewest units".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// The verdict for each machine, by machine id.
    #[serde(default)]
    pub machines: Vec<MachineVerdict>,
    /// What keeps the unit from what it should be, if anything: no eligible machine, or an error of the machine that has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// Whether one machine may run a unit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MachineVerdict {
    /// The machine id.
    pub machine: String,
    /// Its address; empty when unknown.
    #[serde(default)]
    pub address: String,
    /// It may run the unit.
    pub eligible: bool,
    /// Why not. Empty when eligible.
    #[serde(default)]
    pub reasons: Vec<String>,
}

/// How the daemon is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// The daemon's version.
    pub version: String,
    /// The machine that it runs on.
    pub machine_id: String,
    /// It reaches its store.
    pub store_connected: bool,
    /// The machine id of the leader that it knows of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leader: Option<String>,
    /// The store's revision that its view stands at.
    pub revision: i64,
    /// The generation of the schedule that the machine holds.
    pub generation: u64,
    /// What is wrong, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn explanation_shape() {
        let explanation = Explanation {
            unit: "a.service".into(),
            desired: DesiredState::Launched,
            scheduled_on: None,
            cause: None,
            machines: vec![MachineVerdict {
                machine: "f1ee".into(),
                address: "10.1.1.1".into(),
                eligible: false,
                reasons: vec!["conflicts with b.service".into()],
            }],
            problem: Some("no machine can take it".into()),
        };
        let json = concat!(
            r#"{"unit":"a.service","desired":"launched","machines":[{"machine":"f1ee","address":"10.1.1.1","#,
            r#""eligible":false,"reasons":["conflicts with b.service"]}],"problem":"no machine can take it"}"#
        );
        assert_eq!(serde_json::to_string(&explanation).unwrap(), json);
        assert_eq!(serde_json::from_str::<Explanation>(json).unwrap(), explanation);
    }

    #[test]
    fn health_shape() {
        let json = r#"{"version":"0.1.0","machine_id":"f1ee","store_connected":false,"revision":7,"generation":3}"#;
        let health: Health = serde_json::from_str(json).unwrap();
        assert_eq!((health.revision, health.generation, &health.leader), (7, 3, &None));
        assert_eq!(serde_json::to_string(&health).unwrap(), json);
    }
}
