//! PURE. The etcd v3 state machine: revisions, ranges, transactions, leases, watches, compaction.
