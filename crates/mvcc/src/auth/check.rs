//! Whether a caller may do what it asks, against the state that the request is evaluated on.
//!
//! A transaction is checked whole, both branches and every transaction inside, before any of it runs; whatever an answer would tell
//! (a previous version, the outcome of a compare) needs the permission to read it.

use super::grants::Grants;
use super::{Auth, AuthError, Caller};
use crate::batch::Batch;
use crate::{Compare, DeleteRequest, KeyRange, LeaseId, PutRequest, Request, TxnOp, TxnRequest};

/// What a caller may do.
pub(crate) enum Rights<'a> {
    Everything,
    Granted(&'a Grants),
}

impl Auth {
    /// The rights of a caller; an error if it is not a user of this state.
    pub(crate) fn rights(&self, caller: &Caller) -> Result<Rights<'_>, AuthError> {
        if !self.is_enabled() {
            return Ok(Rights::Everything);
        }
        let (name, revision) = match caller {
            Caller::Trusted => return Ok(Rights::Everything),
            Caller::Anonymous => return Err(AuthError::UserEmpty),
            Caller::User { name, revision } => (name, *revision),
        };
        if revision < self.revision() {
            return Err(AuthError::OldRevision);
        }
        let account = self.account(name).ok_or(AuthError::PermissionDenied)?;
        Ok(if account.is_root() { Rights::Everything } else { Rights::Granted(&account.grants) })
    }

    /// Refuses callers who are nobody.
    pub fn check_user(&self, caller: &Caller) -> Result<(), AuthError> {
        self.rights(caller).map(|_| ())
    }

    /// Refuses callers who may not read each key of the range.
    pub fn check_read(&self, caller: &Caller, range: &KeyRange) -> Result<(), AuthError> {
        self.rights(caller)?.read(range)
    }

    /// Refuses callers without the role `root`. A token from before the last change of auth will do, as in etcd: what counts is
    /// whether the user has the role now.
    pub fn check_admin(&self, caller: &Caller) -> Result<(), AuthError> {
        if !self.is_enabled() {
            return Ok(());
        }
        match caller {
            Caller::Trusted => Ok(()),
            Caller::Anonymous => Err(AuthError::UserEmpty),
            Caller::User { name, .. } if name.is_empty() => Err(AuthError::UserEmpty),
            Caller::User { name, .. } => match self.account(name) {
                None => Err(AuthError::UserNotFound),
                Some(account) if account.is_root() => Ok(()),
                Some(_) => Err(AuthError::PermissionDenied),
            },
        }
    }

    /// Refuses callers who are neither administrators nor the user itself.
    pub fn check_sees_user(&self, caller: &Caller, user: &str) -> Result<(), AuthError> {
        let is_self = matches!(caller, Caller::User { name, .. } if **name == *user);
        if is_self { Ok(()) } else { self.check_admin(caller) }
    }

    /// Refuses callers who are neither administrators nor have the role.
    pub fn check_sees_role(&self, caller: &Caller, role: &str) -> Result<(), AuthError> {
        let has_role = match caller {
            Caller::User { name, .. } => self.user(name).is_some_and(|user| user.roles.contains(role)),
            Caller::Trusted | Caller::Anonymous => false,
        };
        if has_role { Ok(()) } else { self.check_admin(caller) }
    }
}

impl Rights<'_> {
    fn read(&self, range: &KeyRange) -> Result<(), AuthError> {
        match self {
            Rights::Everything => Ok(()),
            Rights::Granted(grants) if grants.may_read(range) => Ok(()),
            Rights::Granted(_) => Err(AuthError::PermissionDenied),
        }
    }

    fn write(&self, range: &KeyRange) -> Result<(), AuthError> {
        match self {
            Rights::Everything => Ok(()),
            Rights::Granted(grants) if grants.may_write(range) => Ok(()),
            Rights::Granted(_) => Err(AuthError::PermissionDenied),
        }
    }
}

impl Batch<'_> {
    /// Refuses a request that the caller may not make. The request is well-formed: nesting is bounded, keys are not empty.
    pub(crate) fn check_caller(&self, caller: &Caller, request: &Request) -> Result<(), AuthError> {
        match request {
            Request::Auth(_) | Request::Compact(_) | Request::Alarm { .. } => self.auth().check_admin(caller),
            Request::Put(put) => self.check_put_by(&self.auth().rights(caller)?, put),
            Request::Delete(delete) => check_delete_by(&self.auth().rights(caller)?, delete),
            Request::Txn(txn) => self.check_txn_caller(caller, txn),
            Request::LeaseRevoke(id) => self.check_lease_by(&self.auth().rights(caller)?, *id),
            Request::LeaseGrant { .. } | Request::LeaseKeepAlive(_) => self.auth().check_user(caller),
        }
    }

    pub(crate) fn check_txn_caller(&self, caller: &Caller, txn: &TxnRequest) -> Result<(), AuthError> {
        match self.auth().rights(caller)? {
            Rights::Everything => Ok(()),
            rights @ Rights::Granted(_) => self.check_txn_by(&rights, txn),
        }
    }

    fn check_txn_by(&self, rights: &Rights<'_>, txn: &TxnRequest) -> Result<(), AuthError> {
        for Compare { range, .. } in &txn.compare {
            rights.read(range)?;
        }
        for op in txn.success.iter().chain(&txn.failure) {
            match op {
                TxnOp::Range(range) => rights.read(&range.range)?,
                TxnOp::Put(put) => self.check_put_by(rights, put)?,
                TxnOp::Delete(delete) => check_delete_by(rights, delete)?,
                TxnOp::Txn(txn) => self.check_txn_by(rights, txn)?,
            }
        }
        Ok(())
    }

    fn check_put_by(&self, rights: &Rights<'_>, put: &PutRequest) -> Result<(), AuthError> {
        let Rights::Granted(_) = rights else { return Ok(()) };
        let key = KeyRange::One(put.key.as_slice().into());
        rights.write(&key)?;
        if let Some(id) = put.lease {
            // Whoever holds a lease must be able to revoke it, which deletes all its keys.
            self.check_lease_by(rights, id)?;
        }
        if put.prev_kv { rights.read(&key) } else { Ok(()) }
    }

    /// Every key of the lease must be writable: revoking it deletes them.
    fn check_lease_by(&self, rights: &Rights<'_>, id: LeaseId) -> Result<(), AuthError> {
        match rights {
            Rights::Everything => Ok(()),
            Rights::Granted(_) => self.attached(id).into_iter().try_for_each(|key| rights.write(&KeyRange::One(key))),
        }
    }
}

fn check_delete_by(rights: &Rights<'_>, delete: &DeleteRequest) -> Result<(), AuthError> {
    rights.write(&delete.range)?;
    if delete.prev_kv { rights.read(&delete.range) } else { Ok(()) }
}
