//! What can be asked to change of auth, and what it then changes.

use super::{Auth, AuthChange, AuthError, Permission, ROOT, Role, User};

/// A change of auth, asked for by an administrator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuthRequest {
    /// Check callers from now on.
    Enable,
    /// Check nobody from now on.
    Disable,
    /// Make a user.
    UserAdd {
        /// Its name.
        name: String,
        /// The hash of its password; `None` for a user without one.
        password: Option<Box<[u8]>>,
    },
    /// Remove a user.
    UserDelete(String),
    /// Give a user another password.
    UserChangePassword {
        /// The user.
        name: String,
        /// The hash of the new password.
        password: Box<[u8]>,
    },
    /// Give a user a role.
    UserGrantRole {
        /// The user.
        user: String,
        /// The role.
        role: String,
    },
    /// Take a role from a user.
    UserRevokeRole {
        /// The user.
        user: String,
        /// The role.
        role: String,
    },
    /// Make a role that allows nothing.
    RoleAdd(String),
    /// Remove a role, also from all users.
    RoleDelete(String),
    /// Give a role a permission, in place of the one for the same keys.
    RoleGrant {
        /// The role.
        role: String,
        /// The permission.
        permission: Permission,
    },
    /// Take a permission from a role, by exactly the keys it was granted for.
    RoleRevoke {
        /// The role.
        role: String,
        /// The first key.
        key: Vec<u8>,
        /// The end, as granted.
        range_end: Vec<u8>,
    },
}

impl AuthRequest {
    /// Bytes of names, keys and hashes.
    pub(crate) fn size(&self) -> usize {
        match self {
            AuthRequest::Enable | AuthRequest::Disable => 0,
            AuthRequest::UserAdd { name, password } => name.len() + password.as_ref().map_or(0, |hash| hash.len()),
            AuthRequest::UserChangePassword { name, password } => name.len() + password.len(),
            AuthRequest::UserDelete(name) | AuthRequest::RoleAdd(name) | AuthRequest::RoleDelete(name) => name.len(),
            AuthRequest::UserGrantRole { user, role } | AuthRequest::UserRevokeRole { user, role } => {
                user.len() + role.len()
            }
            AuthRequest::RoleGrant { role, permission } => {
                role.len() + permission.key.len() + permission.range_end.len()
            }
            AuthRequest::RoleRevoke { role, key, range_end } => role.len() + key.len() + range_end.len(),
        }
    }
}

impl Auth {
    /// What the request changes; `None` if it is so already.
    pub(crate) fn decide(&self, request: &AuthRequest) -> Result<Option<AuthChange>, AuthError> {
        match request {
            AuthRequest::Enable => self.enable(),
            AuthRequest::Disable => Ok(self.is_enabled().then_some(AuthChange::Disable)),
            AuthRequest::UserAdd { name, password } => self.user_add(name, password.as_deref()).map(Some),
            AuthRequest::UserDelete(name) => self.user_delete(name).map(Some),
            AuthRequest::UserChangePassword { name, password } => {
                let password_revision = self.revision() + 1;
                let user = self.known_user(name)?.clone();
                Ok(Some(AuthChange::PutUser(User { password: password.clone(), password_revision, ..user })))
            }
            AuthRequest::UserGrantRole { user, role } => self.user_grant(user, role),
            AuthRequest::UserRevokeRole { user, role } => self.user_revoke(user, role).map(Some),
            AuthRequest::RoleAdd(name) => self.role_add(name).map(Some),
            AuthRequest::RoleDelete(name) => self.role_delete(name).map(Some),
            AuthRequest::RoleGrant { role, permission } => self.role_grant(role, permission).map(Some),
            AuthRequest::RoleRevoke { role, key, range_end } => self.role_revoke(role, key, range_end).map(Some),
        }
    }

    fn enable(&self) -> Result<Option<AuthChange>, AuthError> {
        if self.is_enabled() {
            return Ok(None);
        }
        let root = self.user(ROOT).ok_or(AuthError::RootUserMissing)?;
        if root.roles.contains(ROOT) { Ok(Some(AuthChange::Enable)) } else { Err(AuthError::RootRoleMissing) }
    }

    fn user_add(&self, name: &str, password: Option<&[u8]>) -> Result<AuthChange, AuthError> {
        if name.is_empty() {
            return Err(AuthError::UserEmpty);
        }
        if self.user(name).is_some() {
            return Err(AuthError::UserExists);
        }
        Ok(AuthChange::PutUser(User {
            name: name.to_owned(),
            password: password.unwrap_or_default().into(),
            no_password: password.is_none(),
            password_revision: self.revision() + 1,
            roles: std::collections::BTreeSet::new(),
        }))
    }

    fn user_delete(&self, name: &str) -> Result<AuthChange, AuthError> {
        if self.is_enabled() && name == ROOT {
            return Err(AuthError::InvalidManagement);
        }
        self.known_user(name)?;
        Ok(AuthChange::DeleteUser(name.to_owned()))
    }

    fn user_grant(&self, user: &str, role: &str) -> Result<Option<AuthChange>, AuthError> {
        let mut user = self.known_user(user)?.clone();
        if role != ROOT {
            self.known_role(role)?;
        }
        Ok(user.roles.insert(role.to_owned()).then_some(AuthChange::PutUser(user)))
    }

    fn user_revoke(&self, user: &str, role: &str) -> Result<AuthChange, AuthError> {
        if self.is_enabled() && user == ROOT && role == ROOT {
            return Err(AuthError::InvalidManagement);
        }
        let mut user = self.known_user(user)?.clone();
        if user.roles.remove(role) { Ok(AuthChange::PutUser(user)) } else { Err(AuthError::RoleNotGranted) }
    }

    fn role_add(&self, name: &str) -> Result<AuthChange, AuthError> {
        if name.is_empty() {
            return Err(AuthError::RoleEmpty);
        }
        if self.role(name).is_some() {
            return Err(AuthError::RoleExists);
        }
        Ok(AuthChange::PutRole(Role { name: name.to_owned(), permissions: Vec::new() }))
    }

    fn role_delete(&self, name: &str) -> Result<AuthChange, AuthError> {
        if self.is_enabled() && name == ROOT {
            return Err(AuthError::InvalidManagement);
        }
        self.known_role(name)?;
        Ok(AuthChange::DeleteRole(name.to_owned()))
    }

    fn role_grant(&self, role: &str, permission: &Permission) -> Result<AuthChange, AuthError> {
        let mut role = self.known_role(role)?.clone();
        let same = |other: &&mut Permission| other.key == permission.key && other.range_end == permission.range_end;
        if let Some(granted) = role.permissions.iter_mut().find(same) {
            granted.kind = permission.kind;
        } else {
            let at = role.permissions.partition_point(|other| other.key <= permission.key);
            role.permissions.insert(at, permission.clone());
        }
        Ok(AuthChange::PutRole(role))
    }

    fn role_revoke(&self, role: &str, key: &[u8], range_end: &[u8]) -> Result<AuthChange, AuthError> {
        let mut role = self.known_role(role)?.clone();
        let granted = role.permissions.len();
        role.permissions.retain(|other| other.key != key || other.range_end != range_end);
        if role.permissions.len() == granted {
            return Err(AuthError::PermissionNotGranted);
        }
        Ok(AuthChange::PutRole(role))
    }

    fn known_user(&self, name: &str) -> Result<&User, AuthError> {
        self.user(name).ok_or(AuthError::UserNotFound)
    }

    fn known_role(&self, name: &str) -> Result<&Role, AuthError> {
        self.role(name).ok_or(AuthError::RoleNotFound)
    }
}
