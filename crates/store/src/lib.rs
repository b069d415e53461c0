//! IO. The embedded store: the mvcc state machine on an append-only log, served as etcd v3 over gRPC.
