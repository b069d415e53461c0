//! Why a caller or a change of auth is refused, in etcd's own words.

/// A refusal by auth; nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthError {
    /// Enabling auth without a user `root`.
    #[error("etcdserver: root user does not exist")]
    RootUserMissing,
    /// Enabling auth while the user `root` lacks the role `root`.
    #[error("etcdserver: root user does not have root role")]
    RootRoleMissing,
    /// The user's name is taken.
    #[error("etcdserver: user name already exists")]
    UserExists,
    /// A user without a name, or a caller who did not say who.
    #[error("etcdserver: user name is empty")]
    UserEmpty,
    /// No such user.
    #[error("etcdserver: user name not found")]
    UserNotFound,
    /// The role's name is taken.
    #[error("etcdserver: role name already exists")]
    RoleExists,
    /// No such role.
    #[error("etcdserver: role name not found")]
    RoleNotFound,
    /// A role without a name.
    #[error("etcdserver: role name is empty")]
    RoleEmpty,
    /// The wrong password, or no such user.
    #[error("etcdserver: authentication failed, invalid user ID or password")]
    AuthFailed,
    /// A password for a user that has none; not one of etcd's public errors, and so with another prefix.
    #[error("auth: authentication failed, password was given for no password user")]
    NoPasswordUser,
    /// The caller may not do that.
    #[error("etcdserver: permission denied")]
    PermissionDenied,
    /// The user does not have the role to be revoked.
    #[error("etcdserver: role is not granted to the user")]
    RoleNotGranted,
    /// The role does not have the permission to be revoked.
    #[error("etcdserver: permission is not granted to the role")]
    PermissionNotGranted,
    /// A user wants to authenticate while auth is disabled.
    #[error("etcdserver: authentication is not enabled")]
    NotEnabled,
    /// The token is unknown, over, or forged.
    #[error("etcdserver: invalid auth token")]
    InvalidToken,
    /// A token cannot be signed for lack of the private key.
    #[error("auth: token signing attempted with verify-only key")]
    VerifyOnly,
    /// What would lock everybody out.
    #[error("etcdserver: invalid auth management")]
    InvalidManagement,
    /// Auth has changed between the caller's token and the request.
    #[error("etcdserver: revision of auth store is old")]
    OldRevision,
}
