//! etcd's messages inside of its database.

use flota_mvcc::{Key, KeyValue, LeaseId};
use prost::encoding::{WireType, encode_key, encode_varint, encoded_len_varint, key_len};

/// A lease.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(super) struct Lease {
    #[prost(int64, tag = "1")]
    pub(super) id: i64,
    #[prost(int64, tag = "2")]
    pub(super) ttl: i64,
}

/// A user.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct User {
    #[prost(bytes = "vec", tag = "1")]
    pub(super) name: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    pub(super) password: Vec<u8>,
    #[prost(string, repeated, tag = "3")]
    pub(super) roles: Vec<String>,
    #[prost(message, optional, tag = "4")]
    pub(super) options: Option<UserOptions>,
}

/// How a user was made.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(super) struct UserOptions {
    #[prost(bool, tag = "1")]
    pub(super) no_password: bool,
}

/// What a role allows.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Permission {
    #[prost(int32, tag = "1")]
    pub(super) kind: i32,
    #[prost(bytes = "vec", tag = "2")]
    pub(super) key: Vec<u8>,
    #[prost(bytes = "vec", tag = "3")]
    pub(super) range_end: Vec<u8>,
}

/// A role.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Role {
    #[prost(bytes = "vec", tag = "1")]
    pub(super) name: Vec<u8>,
    #[prost(message, repeated, tag = "2")]
    pub(super) permissions: Vec<Permission>,
}

/// The fields of a version: written from where the values are, because they can be large.
struct Fields<'a> {
    key: &'a [u8],
    numbers: [i64; 3],
    value: &'a [u8],
    lease: i64,
}

impl<'a> Fields<'a> {
    fn of(kv: &'a KeyValue) -> Fields<'a> {
        Fields {
            key: &kv.key,
            numbers: [kv.create_revision, kv.mod_revision, kv.version],
            value: &kv.value,
            lease: kv.lease.map_or(0, LeaseId::get),
        }
    }

    fn tombstone(key: &'a Key) -> Fields<'a> {
        Fields { key, numbers: [0; 3], value: &[], lease: 0 }
    }

    fn bytes(&self) -> usize {
        let string = |bytes: &[u8]| {
            if bytes.is_empty() { 0 } else { key_len(1) + encoded_len_varint(bytes.len() as u64) + bytes.len() }
        };
        let number = |number: i64| if number == 0 { 0 } else { key_len(1) + encoded_len_varint(number as u64) };
        string(self.key) + self.numbers.into_iter().map(number).sum::<usize>() + string(self.value) + number(self.lease)
    }

    fn put(&self, out: &mut Vec<u8>) {
        put_string(out, 1, self.key);
        for (tag, number) in (2..).zip(self.numbers) {
            put_number(out, tag, number);
        }
        put_string(out, 5, self.value);
        put_number(out, 6, self.lease);
    }
}

fn put_string(out: &mut Vec<u8>, tag: u32, bytes: &[u8]) {
    if !bytes.is_empty() {
        encode_key(tag, WireType::LengthDelimited, out);
        encode_varint(bytes.len() as u64, out);
        out.extend_from_slice(bytes);
    }
}

fn put_number(out: &mut Vec<u8>, tag: u32, number: i64) {
    if number != 0 {
        encode_key(tag, WireType::Varint, out);
        encode_varint(number as u64, out);
    }
}

pub(super) fn key_value_bytes(kv: &KeyValue) -> usize {
    Fields::of(kv).bytes()
}

pub(super) fn put_key_value(out: &mut Vec<u8>, kv: &KeyValue) {
    Fields::of(kv).put(out);
}

pub(super) fn tombstone_bytes(key: &Key) -> usize {
    Fields::tombstone(key).bytes()
}

pub(super) fn put_tombstone(out: &mut Vec<u8>, key: &Key) {
    Fields::tombstone(key).put(out);
}

#[cfg(test)]
mod tests {
    use super::*;
    use etcd_client::proto::PbKeyValue;
    use prost::Message;

    #[test]
    fn versions_are_spelled_as_prost_spells_them() {
        let lease = LeaseId::new(-3);
        for (version, value, lease) in [(1, &b""[..], None), (300, b"value", lease)] {
            let kv = KeyValue {
                key: (*b"k").into(),
                value: value.into(),
                create_revision: 2,
                mod_revision: 1 << 40,
                version,
                lease,
                sub: 1,
            };
            let wire = PbKeyValue {
                key: b"k".to_vec(),
                create_revision: 2,
                mod_revision: 1 << 40,
                version,
                value: value.to_vec(),
                lease: lease.map_or(0, LeaseId::get),
            };
            let mut out = Vec::new();
            put_key_value(&mut out, &kv);
            assert_eq!(out, wire.encode_to_vec());
            assert_eq!(key_value_bytes(&kv), out.len());
        }
    }
}
