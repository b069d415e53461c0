//! The etcd v2 keys API over the same keys.
