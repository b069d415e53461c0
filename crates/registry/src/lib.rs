//! PURE. What the cluster knows, as types and as keys.
//!
//! Inputs: key/value pairs read from the store, and watch events. Outputs: typed values, a
//! [`ClusterSnapshot`], and transactions ([`Txn`]) that say what to compare and what to write.
//!
//! Invariant: each key has one writer ([`keys`]), so no two parts of Flota overwrite each other.
//! Invariant: a value that cannot be decoded is never taken for an absent one ([`ClusterSnapshot::is_unreadable`]).

pub mod codec;
mod conf;
mod event;
mod join;
pub mod keys;
mod member;
mod metadata;
mod model;
mod notes;
mod snapshot;
mod store_move;
mod txn;

pub use codec::CodecError;
pub use conf::{ConfGroup, ConfReport, ConfState};
pub use event::{ClusterEvent, MachineChange, MachineView, ScheduleChange};
pub use join::{Door, JoinToken, TokenId, TokenIdError};
pub use keys::Key;
pub use member::{Cordon, CordonMode, Member};
pub use metadata::MetadataOverlay;
pub use model::{
    Capacity, Cluster, ClusterId, DesiredState, DesiredUnit, Generation, IdError, Leader, Machine, MachineId, Millis,
    ObservedUnit, Report, Schedule, ScheduledUnit, TargetState, UnitStates,
};
pub use notes::{HeldOff, LeaderNotes, MAX_NOTES};
pub use snapshot::{Change, ClusterSnapshot, Entry, KeyValue, file_text};
pub use store_move::{
    MoveAnswer, MoveStep, StoreTarget, StoreTls, abandon_move, answer_move, complete_move, prepare_move,
};
pub use txn::{
    Compare, Fence, LeaseId, Leftovers, MAX_OPS_PER_TXN, MAX_TXN_BYTES, MetadataWrite, Op, ScheduleWrite, Txn,
    accept_store, campaign, collect_files, commit_schedules, create_cluster, destroy_unit, forget_machine,
    leave_cluster, open_door, publish_conf, publish_report, put_back_schedule, put_cordon, put_leader_notes,
    put_machine, put_member, put_metadata, put_token, put_unit, remove_cordon, revoke_token, withdraw_units,
};
