//! Who asks, who there is, and what a role allows.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::KeyRange;

/// The name of the user that must exist before auth is enabled, and of the role that may do everything.
pub const ROOT: &str = "root";

/// On whose behalf a request comes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Caller {
    /// The store itself, or whoever holds its private door: may do everything.
    Trusted,
    /// Somebody who did not say who.
    Anonymous,
    /// A user, as a token or a certificate told.
    User {
        /// Its name.
        name: Arc<str>,
        /// The auth revision at which the name was told; a request that comes to be evaluated after the next change of auth is refused.
        revision: u64,
    },
}

/// Who can be a caller.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct User {
    /// Its name; not empty.
    pub name: String,
    /// The hash of its password; empty if it never had one.
    pub password: Box<[u8]>,
    /// Whether it cannot be authenticated by a password, even if it has one: only by the name in a certificate.
    pub no_password: bool,
    /// The auth revision that made the user or changed its password: tokens from before are void.
    pub password_revision: u64,
    /// Its roles.
    pub roles: BTreeSet<String>,
}

/// A named set of permissions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Role {
    /// Its name; not empty.
    pub name: String,
    /// Sorted by key; those with the same key in the order in which they were granted.
    pub permissions: Vec<Permission>,
}

/// What a permission allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PermissionKind {
    /// To read.
    Read,
    /// To write.
    Write,
    /// To read and to write.
    ReadWrite,
}

impl PermissionKind {
    /// Reads the number of the wire.
    pub fn new(number: i32) -> Option<PermissionKind> {
        match number {
            0 => Some(PermissionKind::Read),
            1 => Some(PermissionKind::Write),
            2 => Some(PermissionKind::ReadWrite),
            _ => None,
        }
    }

    /// The number on the wire.
    pub fn number(self) -> i32 {
        match self {
            PermissionKind::Read => 0,
            PermissionKind::Write => 1,
            PermissionKind::ReadWrite => 2,
        }
    }
}

/// Allows something for the keys of a range, which is kept as the wire spells it: that is how it is told and revoked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Permission {
    /// What it allows.
    pub kind: PermissionKind,
    /// The first key.
    pub key: Vec<u8>,
    /// Empty for one key, one zero byte for all from `key` on.
    pub range_end: Vec<u8>,
}

impl Permission {
    /// The keys.
    pub fn range(&self) -> KeyRange {
        KeyRange::new(&self.key, &self.range_end)
    }
}
