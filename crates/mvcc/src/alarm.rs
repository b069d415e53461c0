//! Alarms: what keeps the store from taking some requests until somebody disarms them.

use crate::codec::DecodeError;

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum AlarmKind {
    /// There is no more space: only what does not make the store larger is taken.
    NoSpace,
    /// The data cannot be trusted: only reads are taken.
    Corrupt,
}

impl AlarmKind {
    /// The kind by its number on the wire.
    pub fn new(number: i32) -> Option<AlarmKind> {
        match number {
            1 => Some(AlarmKind::NoSpace),
            2 => Some(AlarmKind::Corrupt),
            _ => None,
        }
    }

    /// The number on the wire.
    pub fn number(self) -> i32 {
        match self {
            AlarmKind::NoSpace => 1,
            AlarmKind::Corrupt => 2,
        }
    }

    /// Etcd's name for it.
    pub fn name(self) -> &'static str {
        match self {
            AlarmKind::NoSpace => "NOSPACE",
            AlarmKind::Corrupt => "CORRUPT",
        }
    }

    pub(crate) fn decode(number: u8, offset: usize) -> Result<AlarmKind, DecodeError> {
        AlarmKind::new(i32::from(number)).ok_or(DecodeError::UnknownTag { tag: number, offset })
    }
}

/// An alarm, and the member it is raised for; any number will do, clients name them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Alarm {
    /// What is wrong.
    pub kind: AlarmKind,
    /// With which member.
    pub member: u64,
}
