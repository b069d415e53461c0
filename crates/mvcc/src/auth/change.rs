//! A durable change of auth, told by its outcome: replaying it needs no rules.

use super::{Role, User};

/// One change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuthChange {
    /// Callers are checked.
    Enable,
    /// Callers are not checked.
    Disable,
    /// The user is this now.
    PutUser(User),
    /// The user is gone.
    DeleteUser(String),
    /// The role is this now.
    PutRole(Role),
    /// The role is gone, and no user has it any more.
    DeleteRole(String),
}

impl AuthChange {
    /// Whether it makes a new auth revision. Enabling does not, as in etcd: nobody has a token yet that it could void.
    pub(crate) fn makes_revision(&self) -> bool {
        !matches!(self, AuthChange::Enable)
    }

    /// About how many bytes it has in the log.
    pub fn size(&self) -> usize {
        match self {
            AuthChange::Enable | AuthChange::Disable => 1,
            AuthChange::DeleteUser(name) | AuthChange::DeleteRole(name) => name.len(),
            AuthChange::PutUser(user) => {
                user.name.len() + user.password.len() + user.roles.iter().map(String::len).sum::<usize>()
            }
            AuthChange::PutRole(role) => {
                let permissions = role.permissions.iter().map(|other| other.key.len() + other.range_end.len());
                role.name.len() + permissions.sum::<usize>()
            }
        }
    }
}
