//! The cluster's move from one store to another, as its machines see it.

use serde::{Deserialize, Serialize};

use crate::codec::decode;
use crate::{ClusterId, CodecError, Compare, Key, KeyValue, LeaseId, MachineId, Op, Txn};

/// The store that the cluster moves to, at [`Key::StoreTarget`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreTarget {
    /// Which cluster moves.
    pub cluster: ClusterId,
    /// Tells this attempt from earlier ones.
    pub attempt: u64,
    /// As in `[store] endpoints`.
    pub endpoints: Vec<String>,
    /// As in `[tls]`: paths on each machine's own disk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<StoreTls>,
}

/// The certificates of a [`StoreTarget`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreTls {
    /// Who signs the store's certificate.
    pub ca: String,
    /// The machine's certificate.
    pub cert: String,
    /// Its key.
    pub key: String,
}

/// What a machine says to a move, at [`Key::Mover`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MoveAnswer {
    /// The attempt that it answers.
    pub attempt: u64,
    /// Why it cannot go there; none: it can.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// What a machine does about a move.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MoveStep {
    /// There is none.
    Nothing,
    /// It finds out whether it could go there, and says so.
    Try(StoreTarget),
    /// It goes there.
    Go(StoreTarget),
}

impl MoveStep {
    /// What the keys below [`crate::keys::STORE`] ask of a machine.
    pub fn of(pairs: &[KeyValue]) -> Result<MoveStep, CodecError> {
        let find = |key: Key| pairs.iter().find(|pair| pair.key == key.to_string());
        let Some(target) = find(Key::StoreTarget) else { return Ok(MoveStep::Nothing) };
        let target = decode(&target.value)?;
        Ok(if find(Key::StoreHold).is_some() { MoveStep::Try(target) } else { MoveStep::Go(target) })
    }
}

/// Announces a move: nobody goes yet. Refused when there is one already.
pub fn prepare_move(target: &StoreTarget) -> Txn {
    let put = |key: Key, value| Op::Put { key: key.to_string(), value, lease: None };
    Txn {
        compares: vec![Compare::Absent(Key::StoreTarget.to_string()), Compare::Absent(Key::StoreHold.to_string())],
        ops: vec![put(Key::StoreTarget, crate::codec::encode(target)), put(Key::StoreHold, b"{\"v\":1}".to_vec())],
    }
}

/// Lets all machines go. It only removes, which a store that is closed for writes still does.
pub fn complete_move(hold_revision: i64) -> Txn {
    let key = Key::StoreHold.to_string();
    Txn {
        compares: vec![Compare::Unchanged { key: key.clone(), mod_revision: hold_revision }],
        ops: vec![Op::Delete { key }],
    }
}

/// Takes the announcement back.
pub fn abandon_move(hold_revision: i64) -> Txn {
    let (target, hold) = (Key::StoreTarget.to_string(), Key::StoreHold.to_string());
    Txn {
        compares: vec![Compare::Unchanged { key: hold.clone(), mod_revision: hold_revision }],
        ops: vec![Op::Delete { key: target }, Op::Delete { key: hold }],
    }
}

/// What a machine says.
pub fn answer_move(machine: &MachineId, answer: &MoveAnswer, lease: LeaseId) -> Txn {
    let (key, value) = (Key::Mover(machine.clone()).to_string(), crate::codec::encode(answer));
    Txn { compares: Vec::new(), ops: vec![Op::Put { key, value, lease: Some(lease) }] }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_goes_only_when_nothing_holds_it() {
        let target = StoreTarget {
            cluster: "0123456789abcdef0123456789abcdef".parse().unwrap(),
            attempt: 7,
            endpoints: vec!["http://127.0.0.1:2379".to_owned()],
            tls: None,
        };
        let pairs: Vec<KeyValue> = prepare_move(&target)
            .ops
            .into_iter()
            .map(|op| match op {
                Op::Put { key, value, lease } => KeyValue { key, value, lease, create_revision: 1, mod_revision: 1 },
                Op::Delete { .. } => panic!("it removes nothing"),
            })
            .collect();
        assert_eq!(MoveStep::of(&[]).unwrap(), MoveStep::Nothing);
        assert_eq!(MoveStep::of(&pairs).unwrap(), MoveStep::Try(target.clone()));
        assert_eq!(MoveStep::of(&pairs[..1]).unwrap(), MoveStep::Go(target));
        assert_eq!(MoveStep::of(&pairs[1..]).unwrap(), MoveStep::Nothing, "a hold alone is nothing");
        let damaged = KeyValue { value: b"{}".to_vec(), ..pairs[0].clone() };
        assert!(MoveStep::of(&[damaged]).is_err(), "what cannot be read is no order");
    }
}
