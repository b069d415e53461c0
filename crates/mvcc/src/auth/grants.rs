//! All that a user's roles allow, merged: a range may be covered by several permissions together.

use super::{Permission, PermissionKind};
use crate::KeyRange;
use crate::intervals::Intervals;

/// The keys that may be read and those that may be written.
#[derive(Clone, Debug, Default)]
pub(crate) struct Grants {
    read: Intervals,
    write: Intervals,
}

impl Grants {
    /// Whether each key of the range may be read.
    pub(super) fn may_read(&self, range: &KeyRange) -> bool {
        self.read.covers(range)
    }

    /// Whether each key of the range may be written.
    pub(super) fn may_write(&self, range: &KeyRange) -> bool {
        self.write.covers(range)
    }
}

impl<'a> FromIterator<&'a Permission> for Grants {
    fn from_iter<I: IntoIterator<Item = &'a Permission>>(permissions: I) -> Grants {
        let mut grants = Grants::default();
        for permission in permissions {
            let range = permission.range();
            if permission.kind != PermissionKind::Write {
                grants.read.insert(&range);
            }
            if permission.kind != PermissionKind::Read {
                grants.write.insert(&range);
            }
        }
        grants
    }
}
