//! Who may do what: etcd's rules, and the ways around them that etcd once left open, each by name.

use flota_mvcc::{
    Auth, AuthError, AuthRequest, Caller, Compare, CompareResult, CompareTarget, DeleteRequest, Error, KeyRange,
    Millis, Permission, PermissionKind, PutRequest, RangeRequest, Record, Request, Response, TxnOp, TxnRequest,
};

use crate::support::*;

use PermissionKind::{Read, ReadWrite, Write};

/// A store with the users `root` and `app`, and auth enabled; `app` has the role `app`, which allows what is granted here.
struct Guarded {
    store: Store,
}

fn permission(kind: PermissionKind, key: &str, range_end: &str) -> Permission {
    Permission { kind, key: key.into(), range_end: range_end.into() }
}

fn user_add(name: &str) -> AuthRequest {
    AuthRequest::UserAdd { name: name.to_owned(), password: Some(Box::from(*b"hash")) }
}

fn grant_role(user: &str, role: &str) -> AuthRequest {
    AuthRequest::UserGrantRole { user: user.to_owned(), role: role.to_owned() }
}

fn revoke_role(user: &str, role: &str) -> AuthRequest {
    AuthRequest::UserRevokeRole { user: user.to_owned(), role: role.to_owned() }
}

fn grant(role: &str, permission: Permission) -> AuthRequest {
    AuthRequest::RoleGrant { role: role.to_owned(), permission }
}

impl Store {
    fn auth(&mut self, request: AuthRequest) -> Result<(), AuthError> {
        match self.try_run(Request::Auth(request)) {
            Ok(_) => Ok(()),
            Err(Error::Auth(error)) => Err(error),
            Err(other) => panic!("{other}"),
        }
    }

    #[track_caller]
    fn auth_ok(&mut self, requests: impl IntoIterator<Item = AuthRequest>) {
        for request in requests {
            assert_eq!(self.auth(request.clone()), Ok(()), "{request:?}");
        }
    }
}

impl Guarded {
    fn with(granted: &[Permission]) -> Guarded {
        let mut store = Store::default();
        store.auth_ok([
            user_add("root"),
            grant_role("root", "root"),
            user_add("app"),
            AuthRequest::RoleAdd("app".into()),
        ]);
        store.auth_ok([grant_role("app", "app")]);
        store.auth_ok(granted.iter().map(|permission| grant("app", permission.clone())));
        store.auth_ok([AuthRequest::Enable]);
        Guarded { store }
    }

    fn caller(&self, name: &str) -> Caller {
        Caller::User { name: name.into(), revision: self.store.mvcc.auth().revision() }
    }

    /// What comes of a request of `app`.
    fn run(&mut self, request: Request) -> Result<Response, Error> {
        let caller = self.caller("app");
        self.run_as(&caller, request)
    }

    fn run_as(&mut self, caller: &Caller, request: Request) -> Result<Response, Error> {
        let mut batch = self.store.mvcc.batch(T0);
        let response = batch.evaluate_for(caller, &request)?;
        let pending = batch.finish();
        self.store.mvcc.apply(T0, pending);
        Ok(response)
    }

    fn may(&mut self, request: Request) -> bool {
        match self.run(request) {
            Ok(_) => true,
            Err(Error::Auth(AuthError::PermissionDenied)) => false,
            Err(other) => panic!("{other}"),
        }
    }

    fn may_read(&self, range: KeyRange) -> bool {
        match self.store.mvcc.range_for(&self.caller("app"), &RangeRequest::new(range)) {
            Ok(_) => true,
            Err(Error::Auth(AuthError::PermissionDenied)) => false,
            Err(other) => panic!("{other}"),
        }
    }

    fn may_read_in_txn(&self, txn: &TxnRequest) -> bool {
        self.store.mvcc.read_txn_for(&self.caller("app"), T0, txn).is_ok()
    }
}

fn put_op(key: &str) -> TxnOp {
    TxnOp::Put(put(key, "v"))
}

fn range_op(key: &str) -> TxnOp {
    TxnOp::Range(RangeRequest::new(one(key)))
}

fn delete_op(key: &str) -> TxnOp {
    TxnOp::Delete(DeleteRequest { range: one(key), prev_kv: false })
}

fn then(ops: Vec<TxnOp>) -> TxnRequest {
    txn(vec![], ops, vec![])
}

fn otherwise(ops: Vec<TxnOp>) -> TxnRequest {
    txn(vec![], vec![], ops)
}

fn value_is(range: KeyRange, value: &str) -> Compare {
    Compare { range, target: CompareTarget::Value(value.into()), result: CompareResult::Equal }
}

fn from(key: &str) -> KeyRange {
    KeyRange::new(key.as_bytes(), b"\0")
}

// === Ranges ===

#[test]
fn a_permission_is_for_one_key_an_interval_or_all_from_a_key_on() {
    let guarded = Guarded::with(&[permission(Read, "k", ""), permission(Read, "m", "p"), permission(Read, "x", "\0")]);
    for allowed in [one("k"), one("m"), one("o"), between("m", "p"), between("n", "o"), one("x"), from("x"), from("z")]
    {
        assert!(guarded.may_read(allowed.clone()), "{allowed:?}");
    }
    for denied in [one("j"), one("k\0"), between("k", "l"), one("p"), between("l", "n"), between("o", "q"), from("k")] {
        assert!(!guarded.may_read(denied.clone()), "{denied:?}");
    }
    assert!(guarded.may_read(between("x", "zz")), "an end after an open start");
    assert!(!guarded.may_read(all()));
}

#[test]
fn permissions_that_touch_or_overlap_cover_a_range_together_and_a_gap_does_not() {
    let mut guarded = Guarded::with(&[
        permission(Read, "a", "c"),
        permission(Read, "b", "d"),
        permission(Read, "d", "f"),
        permission(Read, "g", "h"),
    ]);
    assert!(guarded.may_read(between("a", "f")));
    assert!(!guarded.may_read(between("a", "h")), "f is not granted");
    // A second role closes the gap.
    guarded.store.auth_ok([AuthRequest::RoleAdd("gap".into()), grant_role("app", "gap")]);
    guarded.store.auth_ok([grant("gap", permission(ReadWrite, "f", "g"))]);
    assert!(guarded.may_read(between("a", "h")));
    assert!(!guarded.may(Request::Put(put("a", ""))));
    assert!(guarded.may(Request::Put(put("f", ""))));
}

#[test]
fn the_empty_prefix_is_every_key() {
    let guarded = Guarded::with(&[permission(Read, "", "\0")]);
    assert!(guarded.may_read(all()));
    assert!(guarded.may_read(one("a")));
}

#[test]
fn a_permission_whose_end_is_not_after_its_start_allows_nothing() {
    let guarded = Guarded::with(&[permission(Read, "m", "m"), permission(Read, "z", "a")]);
    assert!(["a", "m", "q", "z"].iter().all(|key| !guarded.may_read(one(key))));
}

#[test]
fn reading_and_writing_are_granted_apart() {
    let mut guarded =
        Guarded::with(&[permission(Read, "r", ""), permission(Write, "w", ""), permission(ReadWrite, "rw", "")]);
    for (key, read, write) in [("r", true, false), ("w", false, true), ("rw", true, true), ("other", false, false)] {
        assert_eq!(guarded.may_read(one(key)), read, "{key}");
        assert_eq!(guarded.may(Request::Put(put(key, ""))), write, "{key}");
        let delete = DeleteRequest { range: one(key), prev_kv: false };
        assert_eq!(guarded.may(Request::Delete(delete)), write, "{key}");
    }
}

// === Ways around, each once open in etcd ===

#[test]
fn a_nested_transaction_is_checked_at_every_depth_and_in_both_branches() {
    let mut guarded = Guarded::with(&[permission(ReadWrite, "mine", "")]);
    for forbidden in [put_op("secret"), range_op("secret"), delete_op("secret")] {
        for wrap in [then, otherwise] {
            let mut request = wrap(vec![put_op("mine"), forbidden.clone()]);
            for depth in 0..4 {
                assert!(!guarded.may(Request::Txn(request.clone())), "{forbidden:?} at depth {depth}");
                request = wrap(vec![TxnOp::Txn(request)]);
            }
        }
    }
    assert!(guarded.may(Request::Txn(then(vec![TxnOp::Txn(otherwise(vec![put_op("mine"), range_op("mine")]))]))));
}

#[test]
fn a_read_only_transaction_is_checked_as_a_whole() {
    let guarded = Guarded::with(&[permission(Read, "mine", "")]);
    assert!(guarded.may_read_in_txn(&then(vec![range_op("mine")])));
    assert!(!guarded.may_read_in_txn(&then(vec![TxnOp::Txn(otherwise(vec![range_op("secret")]))])));
    assert!(!guarded.may_read_in_txn(&txn(vec![value_is(one("secret"), "v")], vec![], vec![])));
}

#[test]
fn a_compare_tells_about_a_key_and_needs_to_read_it_also_when_nested() {
    let mut guarded = Guarded::with(&[permission(ReadWrite, "mine", ""), permission(Write, "secret", "")]);
    let guess = txn(vec![value_is(one("secret"), "v")], vec![put_op("mine")], vec![]);
    assert!(!guarded.may(Request::Txn(guess.clone())));
    assert!(!guarded.may(Request::Txn(then(vec![TxnOp::Txn(guess)]))));
    let over_all = txn(vec![value_is(all(), "v")], vec![put_op("mine")], vec![]);
    assert!(!guarded.may(Request::Txn(over_all)));
}

#[test]
fn prev_kv_of_a_put_or_a_delete_needs_to_read_also_inside_a_transaction() {
    let mut guarded = Guarded::with(&[permission(Write, "w", "")]);
    let put = PutRequest { prev_kv: true, ..put("w", "v") };
    let delete = DeleteRequest { range: one("w"), prev_kv: true };
    for (alone, inside) in
        [(Request::Put(put.clone()), TxnOp::Put(put)), (Request::Delete(delete.clone()), TxnOp::Delete(delete))]
    {
        assert!(!guarded.may(alone));
        assert!(!guarded.may(Request::Txn(then(vec![inside.clone()]))));
        assert!(!guarded.may(Request::Txn(then(vec![TxnOp::Txn(then(vec![inside]))]))));
    }
    assert!(guarded.may(Request::Txn(then(vec![put_op("w")]))));
}

#[test]
fn an_open_ended_range_is_not_taken_for_its_first_key() {
    let mut guarded = Guarded::with(&[permission(ReadWrite, "k", "")]);
    let auth = guarded.store.mvcc.auth();
    assert_eq!(auth.check_read(&guarded.caller("app"), &one("k")), Ok(()));
    assert_eq!(auth.check_read(&guarded.caller("app"), &from("k")), Err(AuthError::PermissionDenied));
    assert!(!guarded.may(Request::Delete(DeleteRequest { range: from("k"), prev_kv: false })));
}

#[test]
fn a_lease_can_be_used_and_revoked_only_by_who_may_write_all_its_keys() {
    let mut guarded = Guarded::with(&[permission(ReadWrite, "mine", "")]);
    guarded.store.grant(7, 60);
    assert!(guarded.may(Request::Put(put_with_lease("mine", 7))));
    guarded.store.put_request(put_with_lease("secret", 7));
    assert!(!guarded.may(Request::LeaseRevoke(lease(7))));
    assert!(!guarded.may(Request::Put(put_with_lease("mine", 7))), "its end would delete a key of others");
    assert!(!guarded.may(Request::Txn(then(vec![TxnOp::Put(put_with_lease("mine", 7))]))));
    guarded.store.delete(one("secret"));
    assert!(guarded.may(Request::LeaseRevoke(lease(7))));
}

#[test]
fn compaction_and_leases_are_not_for_strangers() {
    let mut guarded = Guarded::with(&[]);
    guarded.store.put("a", "1");
    guarded.store.put("a", "2");
    for request in [
        Request::Compact(2),
        Request::LeaseGrant { id: lease(1), ttl: 60 },
        Request::LeaseKeepAlive(lease(1)),
        Request::LeaseRevoke(lease(1)),
    ] {
        assert_eq!(guarded.run_as(&Caller::Anonymous, request), Err(Error::Auth(AuthError::UserEmpty)));
    }
    assert!(!guarded.may(Request::Compact(2)));
    assert!(guarded.may(Request::LeaseGrant { id: lease(1), ttl: 60 }));
    let root = guarded.caller("root");
    assert!(guarded.run_as(&root, Request::Compact(2)).is_ok());
}

// === Callers ===

#[test]
fn without_auth_everybody_may_do_everything() {
    let mut guarded = Guarded::with(&[]);
    guarded.store.auth_ok([AuthRequest::Disable]);
    assert!(guarded.run_as(&Caller::Anonymous, Request::Put(put("a", "1"))).is_ok());
    assert!(guarded.store.mvcc.range_for(&Caller::Anonymous, &RangeRequest::new(all())).is_ok());
}

#[test]
fn root_and_the_private_door_may_do_everything_strangers_and_deleted_users_nothing() {
    let mut guarded = Guarded::with(&[permission(ReadWrite, "", "\0")]);
    let (root, app) = (guarded.caller("root"), guarded.caller("app"));
    let put = || Request::Put(put("a", "1"));
    assert!(guarded.run_as(&root, put()).is_ok());
    assert!(guarded.run_as(&Caller::Trusted, put()).is_ok());
    assert!(guarded.run_as(&app, put()).is_ok());
    assert_eq!(guarded.run_as(&Caller::Anonymous, put()), Err(Error::Auth(AuthError::UserEmpty)));
    guarded.store.auth_ok([AuthRequest::UserDelete("app".into())]);
    assert_eq!(guarded.run_as(&app, put()), Err(Error::Auth(AuthError::OldRevision)));
    let app = guarded.caller("app");
    assert_eq!(guarded.run_as(&app, put()), Err(Error::Auth(AuthError::PermissionDenied)));
}

#[test]
fn a_permission_revoked_earlier_in_the_same_batch_is_gone() {
    let guarded = Guarded::with(&[permission(ReadWrite, "k", "")]);
    let app = guarded.caller("app");
    let mut batch = guarded.store.mvcc.batch(T0);
    assert!(batch.evaluate_for(&app, &Request::Put(put("k", "1"))).is_ok());
    let revoke = AuthRequest::RoleRevoke { role: "app".into(), key: b"k".to_vec(), range_end: vec![] };
    assert!(batch.evaluate(&Request::Auth(revoke)).is_ok());
    let late = batch.evaluate_for(&app, &Request::Put(put("k", "2")));
    assert_eq!(late, Err(Error::Auth(AuthError::OldRevision)), "as it came with the old auth revision");
    let Caller::User { revision, .. } = app else { panic!() };
    let renewed = Caller::User { name: "app".into(), revision: revision + 1 };
    let denied = batch.evaluate_for(&renewed, &Request::Put(put("k", "2")));
    assert_eq!(denied, Err(Error::Auth(AuthError::PermissionDenied)));
}

#[test]
fn what_is_wrong_with_a_request_by_itself_is_told_before_who_may() {
    let mut guarded = Guarded::with(&[]);
    assert_eq!(guarded.run(Request::Put(put("", "v"))), Err(Error::EmptyKey));
    assert_eq!(guarded.run(Request::Txn(then(vec![put_op("a"), put_op("a")]))), Err(Error::DuplicateKey));
    // What depends on the state is told only to those who may know.
    let put = PutRequest { ignore_value: true, ..put("missing", "") };
    assert_eq!(guarded.run(Request::Put(put)), Err(Error::Auth(AuthError::PermissionDenied)));
}

// === Administration ===

#[test]
fn only_root_administers_and_users_see_themselves_and_their_roles() {
    let mut guarded = Guarded::with(&[]);
    let (app, root) = (guarded.caller("app"), guarded.caller("root"));
    let add = |name: &str| Request::Auth(user_add(name));
    assert_eq!(guarded.run_as(&app, add("x")), Err(Error::Auth(AuthError::PermissionDenied)));
    assert_eq!(guarded.run_as(&Caller::Anonymous, add("x")), Err(Error::Auth(AuthError::UserEmpty)));
    assert!(guarded.run_as(&root, add("x")).is_ok());
    assert!(guarded.run_as(&root, add("y")).is_ok(), "an older auth revision will do for administrators");
    let auth = guarded.store.mvcc.auth();
    assert_eq!(auth.check_sees_user(&app, "app"), Ok(()));
    assert_eq!(auth.check_sees_user(&app, "root"), Err(AuthError::PermissionDenied));
    assert_eq!(auth.check_sees_role(&app, "app"), Ok(()));
    assert_eq!(auth.check_sees_role(&app, "other"), Err(AuthError::PermissionDenied));
    let ghost = Caller::User { name: "ghost".into(), revision: u64::MAX };
    assert_eq!(auth.check_admin(&ghost), Err(AuthError::UserNotFound));
}

#[test]
fn auth_is_enabled_only_with_a_root_that_has_the_role_and_cannot_lock_itself_out() {
    let mut store = Store::default();
    assert_eq!(store.auth(AuthRequest::Enable), Err(AuthError::RootUserMissing));
    store.auth_ok([user_add("root")]);
    assert_eq!(store.auth(AuthRequest::Enable), Err(AuthError::RootRoleMissing));
    // The role needs not exist to be granted.
    store.auth_ok([grant_role("root", "root"), AuthRequest::Enable, AuthRequest::Enable]);
    assert_eq!(store.auth(AuthRequest::UserDelete("root".into())), Err(AuthError::InvalidManagement));
    assert_eq!(store.auth(revoke_role("root", "root")), Err(AuthError::InvalidManagement));
    assert_eq!(store.auth(AuthRequest::RoleDelete("root".into())), Err(AuthError::InvalidManagement));
    store.auth_ok([AuthRequest::Disable, AuthRequest::Disable, AuthRequest::UserDelete("root".into())]);
}

#[test]
fn names_are_checked_in_etcds_order() {
    let mut store = Store::default();
    store.auth_ok([user_add("u"), AuthRequest::RoleAdd("r".into())]);
    for (request, error) in [
        (user_add(""), AuthError::UserEmpty),
        (user_add("u"), AuthError::UserExists),
        (AuthRequest::UserDelete("x".into()), AuthError::UserNotFound),
        (AuthRequest::UserChangePassword { name: "x".into(), password: Box::default() }, AuthError::UserNotFound),
        (grant_role("x", "x"), AuthError::UserNotFound),
        (grant_role("u", "x"), AuthError::RoleNotFound),
        (revoke_role("u", "r"), AuthError::RoleNotGranted),
        (AuthRequest::RoleAdd(String::new()), AuthError::RoleEmpty),
        (AuthRequest::RoleAdd("r".into()), AuthError::RoleExists),
        (AuthRequest::RoleDelete("x".into()), AuthError::RoleNotFound),
        (grant("x", permission(Read, "k", "")), AuthError::RoleNotFound),
        (AuthRequest::RoleRevoke { role: "r".into(), key: vec![], range_end: vec![] }, AuthError::PermissionNotGranted),
    ] {
        assert_eq!(store.auth(request.clone()), Err(error), "{request:?}");
    }
}

#[test]
fn granting_again_changes_the_kind_and_revoking_needs_exactly_the_keys() {
    let mut store = Store::default();
    store.auth_ok([AuthRequest::RoleAdd("r".into())]);
    store.auth_ok([
        grant("r", permission(Read, "b", "c")),
        grant("r", permission(Read, "a", "")),
        grant("r", permission(Read, "b", "d")),
        grant("r", permission(Write, "b", "d")),
    ]);
    let permissions = |store: &Store| store.mvcc.auth().role("r").unwrap().permissions.clone();
    let expected = [permission(Read, "a", ""), permission(Read, "b", "c"), permission(Write, "b", "d")];
    assert_eq!(permissions(&store), expected);
    let revoke = |end: &str| AuthRequest::RoleRevoke { role: "r".into(), key: b"b".to_vec(), range_end: end.into() };
    assert_eq!(store.auth(revoke("")), Err(AuthError::PermissionNotGranted));
    store.auth_ok([revoke("d")]);
    assert_eq!(permissions(&store), expected[..2]);
}

#[test]
fn a_deleted_role_is_taken_from_all_users() {
    let mut guarded = Guarded::with(&[permission(ReadWrite, "k", "")]);
    assert!(guarded.may(Request::Put(put("k", ""))));
    guarded.store.auth_ok([AuthRequest::RoleDelete("app".into())]);
    assert!(!guarded.may(Request::Put(put("k", ""))));
    assert!(guarded.store.mvcc.auth().user("app").unwrap().roles.is_empty());
    guarded.store.auth_ok([AuthRequest::RoleAdd("app".into()), grant("app", permission(ReadWrite, "k", ""))]);
    assert!(!guarded.may(Request::Put(put("k", ""))), "a new role of the same name is another");
}

#[test]
fn the_auth_revision_counts_changes_and_nothing_else() {
    let mut store = Store::default();
    let revision = |store: &Store| store.mvcc.auth().revision();
    assert_eq!(revision(&store), 1);
    store.auth_ok([user_add("root"), grant_role("root", "root")]);
    assert_eq!(revision(&store), 3);
    // Granted already, enabled, refused: no change.
    store.auth_ok([grant_role("root", "root"), AuthRequest::Enable, AuthRequest::Enable]);
    assert_eq!(store.auth(user_add("root")), Err(AuthError::UserExists));
    assert_eq!(revision(&store), 3);
    store.auth_ok([AuthRequest::Disable, AuthRequest::Disable]);
    assert_eq!(revision(&store), 4);
    store.put("a", "1");
    assert_eq!((revision(&store), store.mvcc.revision()), (4, 2), "keys and users count apart");
}

// === Durability ===

fn told(auth: &Auth) -> (bool, u64, Vec<flota_mvcc::User>, Vec<flota_mvcc::Role>) {
    (auth.is_enabled(), auth.revision(), auth.users().cloned().collect(), auth.roles().cloned().collect())
}

#[test]
fn users_and_roles_are_part_of_the_log_and_of_a_dump() {
    let requests = [
        user_add("root"),
        grant_role("root", "root"),
        AuthRequest::UserAdd { name: "app".into(), password: None },
        AuthRequest::RoleAdd("r".into()),
        grant("r", permission(ReadWrite, "k", "\0")),
        grant_role("app", "r"),
        AuthRequest::Enable,
        AuthRequest::UserChangePassword { name: "app".into(), password: Box::from(*b"other") },
        AuthRequest::RoleAdd("gone".into()),
        grant_role("app", "gone"),
        AuthRequest::RoleDelete("gone".into()),
        user_add("late"),
        AuthRequest::UserDelete("late".into()),
    ];
    let mut store = Store::default();
    let mut log = Vec::new();
    for request in requests {
        let mut batch = store.mvcc.batch(T0);
        batch.evaluate(&Request::Auth(request)).unwrap();
        let pending = batch.finish();
        log.extend(pending.records.clone());
        store.mvcc.apply(T0, pending);
        for records in [log.clone(), store.mvcc.dump()] {
            let mut copy = Store::default();
            for record in records {
                let mut bytes = Vec::new();
                record.encode(&mut bytes);
                copy.mvcc.replay(Millis(5), Record::decode(&bytes).unwrap()).unwrap();
            }
            assert_eq!(told(copy.mvcc.auth()), told(store.mvcc.auth()));
        }
    }
    assert!(store.mvcc.auth().is_enabled());
    store.auth_ok([
        AuthRequest::Disable,
        AuthRequest::UserDelete("root".into()),
        AuthRequest::UserDelete("app".into()),
    ]);
    store.auth_ok([AuthRequest::RoleDelete("r".into())]);
    let mut copy = Store::default();
    store.mvcc.dump().into_iter().for_each(|record| copy.mvcc.replay(T0, record).unwrap());
    assert_eq!(told(copy.mvcc.auth()), told(store.mvcc.auth()), "the revision outlives the last user");
}

#[test]
fn a_record_of_an_older_auth_revision_is_refused() {
    let mut store = Store::default();
    store.auth_ok([user_add("a"), user_add("b")]);
    let older = Record::Auth { revision: 2, change: flota_mvcc::AuthChange::DeleteUser("a".into()) };
    assert!(store.mvcc.replay(T0, older).unwrap_err().to_string().contains("auth revision 2 follows auth revision 3"));
}
