//! The encoding of records: what is written can be read, and nothing that is read can do harm.

use std::sync::Arc;

use flota_mvcc::{AuthChange, Change, KeyValue, LeaseId, Permission, PermissionKind, Record, Role, User};
use proptest::prelude::*;

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(any::<u8>(), 0..200)
}

fn lease() -> impl Strategy<Value = LeaseId> {
    any::<i64>().prop_filter_map("0 is no lease", LeaseId::new)
}

prop_compose! {
    fn kv(revision: i64)(
        key in bytes(), value in bytes(), create_revision in any::<i64>(), version in any::<i64>(),
        lease in proptest::option::of(lease()), sub in 0..3u32,
    ) -> Arc<KeyValue> {
        Arc::new(KeyValue { key: key.into(), value: value.into(), create_revision, mod_revision: revision, version, lease, sub })
    }
}

fn change(revision: i64) -> impl Strategy<Value = Change> {
    prop_oneof![kv(revision).prop_map(Change::Put), bytes().prop_map(|key| Change::Delete(key.into()))]
}

prop_compose! {
    fn user()(
        name in ".{0,20}", password in bytes(), no_password in any::<bool>(), password_revision in any::<u64>(),
        roles in proptest::collection::btree_set(".{0,20}", 0..4),
    ) -> User {
        User { name, password: password.into(), no_password, password_revision, roles }
    }
}

prop_compose! {
    fn permission()(kind in 0..3i32, key in bytes(), range_end in bytes()) -> Permission {
        Permission { kind: PermissionKind::new(kind).unwrap(), key, range_end }
    }
}

fn auth_change() -> impl Strategy<Value = AuthChange> {
    prop_oneof![
        Just(AuthChange::Enable),
        Just(AuthChange::Disable),
        user().prop_map(AuthChange::PutUser),
        ".{0,20}".prop_map(AuthChange::DeleteUser),
        (".{0,20}", proptest::collection::vec(permission(), 0..4))
            .prop_map(|(name, permissions)| AuthChange::PutRole(Role { name, permissions })),
        ".{0,20}".prop_map(AuthChange::DeleteRole),
    ]
}

fn record() -> impl Strategy<Value = Record> {
    prop_oneof![
        any::<i64>().prop_flat_map(|revision| {
            proptest::collection::vec(change(revision), 0..5)
                .prop_map(move |changes| Record::Commit { revision, changes })
        }),
        (lease(), any::<i64>()).prop_map(|(id, ttl)| Record::LeaseGrant { id, ttl }),
        (lease(), proptest::option::of(1i64..), proptest::collection::vec(bytes(), 0..5)).prop_map(
            |(id, revision, keys)| Record::LeaseRevoke {
                id,
                revision,
                keys: keys.into_iter().map(Into::into).collect()
            }
        ),
        any::<i64>().prop_map(Record::Compact),
        any::<i64>().prop_map(Record::Base),
        any::<i64>().prop_flat_map(|revision| kv(revision).prop_map(Record::Restore)),
        (any::<u64>(), auth_change()).prop_map(|(revision, change)| Record::Auth { revision, change }),
    ]
}

fn encoded(record: &Record) -> Vec<u8> {
    let mut bytes = Vec::new();
    record.encode(&mut bytes);
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_encoded_is_decoded(record in record()) {
        prop_assert_eq!(Record::decode(&encoded(&record)), Ok(record));
    }

    #[test]
    fn cut_records_are_refused(record in record(), cut in any::<proptest::sample::Index>()) {
        let bytes = encoded(&record);
        prop_assert!(Record::decode(&bytes[..cut.index(bytes.len())]).is_err());
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = Record::decode(&bytes);
    }

    #[test]
    fn flipped_bits_never_panic(record in record(), at in any::<proptest::sample::Index>(), bit in 0..8) {
        let mut bytes = encoded(&record);
        let at = at.index(bytes.len());
        bytes[at] ^= 1u8 << bit;
        let _ = Record::decode(&bytes);
    }
}

#[test]
fn the_encoding_of_format_1_does_not_change() {
    let kv = KeyValue {
        key: b"a".as_slice().into(),
        value: b"xy".as_slice().into(),
        create_revision: 2,
        mod_revision: 300,
        version: 5,
        lease: LeaseId::new(7),
        sub: 0,
    };
    let changes = vec![Change::Put(Arc::new(kv)), Change::Delete(b"b".as_slice().into())];
    let commit = Record::Commit { revision: 300, changes };
    assert_eq!(encoded(&commit), [1, 0xac, 2, 2, 1, 2, 5, 7, 1, b'a', 2, b'x', b'y', 2, 1, b'b']);
}
