//! What the store counts, for whoever scrapes `/metrics`; counting takes no lock.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use flota_mvcc::{Commit, Event, Record};
use tonic::Code;

/// gRPC's codes, by number.
const CODES: usize = 17;

/// A number that only grows.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// How often something took how long, in etcd's classes: 1 ms, 2 ms, 4 ms and so on up to 8.192 s.
#[derive(Debug, Default)]
pub(crate) struct Histogram {
    /// Not more than `1 << index` milliseconds; the last is everything else.
    pub(crate) classes: [Counter; 15],
    micros: Counter,
}

impl Histogram {
    pub(crate) fn observe(&self, took: Duration) {
        let last = self.classes.len() - 1;
        let class = (0..last).find(|class| took <= Duration::from_millis(1 << class)).unwrap_or(last);
        self.classes[class].add(1);
        self.micros.add(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
    }

    /// All of it, in seconds.
    pub(crate) fn sum(&self) -> f64 {
        self.micros.get() as f64 / 1e6
    }
}

/// Calls of one gRPC method.
#[derive(Debug, Default)]
pub(crate) struct Calls {
    pub(crate) started: Counter,
    /// By the code of the answer.
    pub(crate) handled: [Counter; CODES],
}

/// The methods that are counted, and whether they are streams: `unary`, `server_stream` or `bidi_stream`.
pub(crate) const METHODS: [(&str, &str); 46] = [
    ("/etcdserverpb.KV/Range", "unary"),
    ("/etcdserverpb.KV/Put", "unary"),
    ("/etcdserverpb.KV/DeleteRange", "unary"),
    ("/etcdserverpb.KV/Txn", "unary"),
    ("/etcdserverpb.KV/Compact", "unary"),
    ("/etcdserverpb.Watch/Watch", "bidi_stream"),
    ("/etcdserverpb.Lease/LeaseGrant", "unary"),
    ("/etcdserverpb.Lease/LeaseRevoke", "unary"),
    ("/etcdserverpb.Lease/LeaseKeepAlive", "bidi_stream"),
    ("/etcdserverpb.Lease/LeaseTimeToLive", "unary"),
    ("/etcdserverpb.Lease/LeaseLeases", "unary"),
    ("/etcdserverpb.Cluster/MemberAdd", "unary"),
    ("/etcdserverpb.Cluster/MemberRemove", "unary"),
    ("/etcdserverpb.Cluster/MemberUpdate", "unary"),
    ("/etcdserverpb.Cluster/MemberList", "unary"),
    ("/etcdserverpb.Cluster/MemberPromote", "unary"),
    ("/etcdserverpb.Maintenance/Alarm", "unary"),
    ("/etcdserverpb.Maintenance/Status", "unary"),
    ("/etcdserverpb.Maintenance/Defragment", "unary"),
    ("/etcdserverpb.Maintenance/Hash", "unary"),
    ("/etcdserverpb.Maintenance/HashKV", "unary"),
    ("/etcdserverpb.Maintenance/Snapshot", "server_stream"),
    ("/etcdserverpb.Maintenance/MoveLeader", "unary"),
    ("/etcdserverpb.Auth/AuthEnable", "unary"),
    ("/etcdserverpb.Auth/AuthDisable", "unary"),
    ("/etcdserverpb.Auth/Authenticate", "unary"),
    ("/etcdserverpb.Auth/UserAdd", "unary"),
    ("/etcdserverpb.Auth/UserGet", "unary"),
    ("/etcdserverpb.Auth/UserList", "unary"),
    ("/etcdserverpb.Auth/UserDelete", "unary"),
    ("/etcdserverpb.Auth/UserChangePassword", "unary"),
    ("/etcdserverpb.Auth/UserGrantRole", "unary"),
    ("/etcdserverpb.Auth/UserRevokeRole", "unary"),
    ("/etcdserverpb.Auth/RoleAdd", "unary"),
    ("/etcdserverpb.Auth/RoleGet", "unary"),
    ("/etcdserverpb.Auth/RoleList", "unary"),
    ("/etcdserverpb.Auth/RoleDelete", "unary"),
    ("/etcdserverpb.Auth/RoleGrantPermission", "unary"),
    ("/etcdserverpb.Auth/RoleRevokePermission", "unary"),
    ("/v3lockpb.Lock/Lock", "unary"),
    ("/v3lockpb.Lock/Unlock", "unary"),
    ("/v3electionpb.Election/Campaign", "unary"),
    ("/v3electionpb.Election/Proclaim", "unary"),
    ("/v3electionpb.Election/Leader", "unary"),
    ("/v3electionpb.Election/Observe", "server_stream"),
    ("/v3electionpb.Election/Resign", "unary"),
];

/// Everything that is counted.
#[derive(Debug)]
pub(crate) struct Metrics {
    pub(crate) started: SystemTime,
    pub(crate) puts: Counter,
    pub(crate) put_bytes: Counter,
    pub(crate) deletes: Counter,
    pub(crate) leases_granted: Counter,
    pub(crate) leases_revoked: Counter,
    pub(crate) health_success: Counter,
    pub(crate) health_failures: Counter,
    /// Writing and syncing a batch.
    pub(crate) sync: Histogram,
    calls: [Calls; METHODS.len()],
}

impl Metrics {
    pub(crate) fn new() -> Metrics {
        Metrics {
            started: SystemTime::now(),
            puts: Counter::default(),
            put_bytes: Counter::default(),
            deletes: Counter::default(),
            leases_granted: Counter::default(),
            leases_revoked: Counter::default(),
            health_success: Counter::default(),
            health_failures: Counter::default(),
            sync: Histogram::default(),
            calls: std::array::from_fn(|_| Calls::default()),
        }
    }

    /// Counts what has become durable.
    pub(crate) fn committed<C: AsRef<Commit>>(&self, commits: &[C]) {
        let (mut puts, mut bytes, mut deletes) = (0, 0, 0);
        for event in commits.iter().flat_map(|commit| &commit.as_ref().events) {
            match event {
                Event::Put { kv, .. } => {
                    puts += 1;
                    bytes += kv.size() as u64;
                }
                Event::Delete { .. } => deletes += 1,
            }
        }
        self.puts.add(puts);
        self.put_bytes.add(bytes);
        self.deletes.add(deletes);
    }

    /// Counts the leases that begin and end with these records.
    pub(crate) fn leases(&self, records: &[Record]) {
        for record in records {
            match record {
                Record::LeaseGrant { .. } => self.leases_granted.add(1),
                Record::LeaseRevoke { .. } => self.leases_revoked.add(1),
                _ => {}
            }
        }
    }

    /// The calls of the method at this path; `None` if it is not counted.
    pub(crate) fn calls_of(&self, path: &str) -> Option<&Calls> {
        let index = METHODS.iter().position(|(method, _)| *method == path)?;
        Some(&self.calls[index])
    }

    /// All calls with their methods.
    pub(crate) fn calls(&self) -> impl Iterator<Item = (&'static str, &'static str, &Calls)> {
        METHODS.iter().zip(&self.calls).map(|((path, kind), calls)| (*path, *kind, calls))
    }
}

impl Calls {
    /// Counts the end of a call.
    pub(crate) fn handled(&self, code: Code) {
        if let Some(counter) = usize::try_from(i32::from(code)).ok().and_then(|code| self.handled.get(code)) {
            counter.add(1);
        }
    }
}
