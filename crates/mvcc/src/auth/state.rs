//! The durable users and roles, and the revision that every change of them raises.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::grants::Grants;
use super::{AuthChange, ROOT, Role, User};

/// Who there is, and whether callers are checked.
///
/// Cloned by a batch that changes it, so users and roles are shared.
#[derive(Clone, Debug)]
pub struct Auth {
    enabled: bool,
    /// The revision at which auth was last enabled: tokens from before are void.
    enabled_revision: u64,
    revision: u64,
    accounts: BTreeMap<String, Account>,
    roles: BTreeMap<String, Arc<Role>>,
}

/// A user, and what all its roles allow together.
#[derive(Clone, Debug)]
pub(super) struct Account {
    user: Arc<User>,
    pub(super) grants: Arc<Grants>,
}

impl Account {
    pub(super) fn is_root(&self) -> bool {
        self.user.roles.contains(ROOT)
    }
}

impl Default for Auth {
    fn default() -> Auth {
        Auth { enabled: false, enabled_revision: 0, revision: 1, accounts: BTreeMap::new(), roles: BTreeMap::new() }
    }
}

impl Auth {
    /// Whether callers are checked.
    pub fn is_enabled(&self) -> bool {
        self.enabled
    }

    /// 1 in a fresh store; one more with each change.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// A user.
    pub fn user(&self, name: &str) -> Option<&User> {
        Some(&*self.accounts.get(name)?.user)
    }

    /// All users, by name.
    pub fn users(&self) -> impl Iterator<Item = &User> {
        self.accounts.values().map(|account| &*account.user)
    }

    /// A role.
    pub fn role(&self, name: &str) -> Option<&Role> {
        self.roles.get(name).map(|role| &**role)
    }

    /// All roles, by name.
    pub fn roles(&self) -> impl Iterator<Item = &Role> {
        self.roles.values().map(|role| &**role)
    }

    /// Whether a token that the user was given at an auth revision still stands for it.
    pub fn is_token_valid(&self, user: &str, revision: u64) -> bool {
        revision >= self.enabled_revision && self.user(user).is_some_and(|user| revision >= user.password_revision)
    }

    pub(super) fn account(&self, name: &str) -> Option<&Account> {
        self.accounts.get(name)
    }

    pub(crate) fn apply(&mut self, revision: u64, change: AuthChange) {
        self.revision = revision;
        match change {
            AuthChange::Enable => {
                self.enabled = true;
                self.enabled_revision = revision;
            }
            AuthChange::Disable => self.enabled = false,
            AuthChange::PutUser(user) => {
                let grants = Arc::new(merged(&self.roles, &user));
                self.accounts.insert(user.name.clone(), Account { user: Arc::new(user), grants });
            }
            AuthChange::DeleteUser(name) => {
                self.accounts.remove(&name);
            }
            AuthChange::PutRole(role) => {
                let name = role.name.clone();
                self.roles.insert(name.clone(), Arc::new(role));
                for account in self.accounts.values_mut().filter(|account| account.user.roles.contains(&name)) {
                    account.grants = Arc::new(merged(&self.roles, &account.user));
                }
            }
            AuthChange::DeleteRole(name) => {
                self.roles.remove(&name);
                for account in self.accounts.values_mut().filter(|account| account.user.roles.contains(&name)) {
                    Arc::make_mut(&mut account.user).roles.remove(&name);
                    account.grants = Arc::new(merged(&self.roles, &account.user));
                }
            }
        }
    }

    /// Changes from which the same state can be replayed, all told at the present revision; none for a fresh state.
    pub(crate) fn dump(&self) -> Vec<AuthChange> {
        let roles = self.roles().map(|role| AuthChange::PutRole(role.clone()));
        let mut changes: Vec<AuthChange> =
            roles.chain(self.users().map(|user| AuthChange::PutUser(user.clone()))).collect();
        if self.enabled {
            changes.push(AuthChange::Enable);
        } else if self.revision > 1 {
            changes.push(AuthChange::Disable);
        }
        changes
    }
}

fn merged(roles: &BTreeMap<String, Arc<Role>>, user: &User) -> Grants {
    let roles = user.roles.iter().filter_map(|name| roles.get(name));
    roles.flat_map(|role| &role.permissions).collect()
}
