//! IO. The etcd v3 client that every part of Flota speaks to its store with.
