//! Why a request is refused, in etcd's own words: its Go client matches the text.

/// A refused request; nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A request without a key.
    #[error("etcdserver: key is not provided")]
    EmptyKey,
    /// `ignore_value` or `ignore_lease` on a key that does not exist.
    #[error("etcdserver: key not found")]
    KeyNotFound,
    /// `ignore_value` together with a value.
    #[error("etcdserver: value is provided")]
    ValueProvided,
    /// `ignore_lease` together with a lease.
    #[error("etcdserver: lease is provided")]
    LeaseProvided,
    /// A transaction with more operations than [`crate::Limits`] allow.
    #[error("etcdserver: too many operations in txn request")]
    TooManyOps,
    /// One branch of a transaction writes a key twice.
    #[error("etcdserver: duplicate key given in txn request")]
    DuplicateKey,
    /// The revision was compacted away.
    #[error("etcdserver: mvcc: required revision has been compacted")]
    Compacted,
    /// The revision is yet to come.
    #[error("etcdserver: mvcc: required revision is a future revision")]
    FutureRevision,
    /// No such lease.
    #[error("etcdserver: requested lease not found")]
    LeaseNotFound,
    /// The lease id is taken.
    #[error("etcdserver: lease already exists")]
    LeaseExists,
    /// A lease longer than [`crate::MAX_LEASE_TTL`].
    #[error("etcdserver: too large lease TTL")]
    LeaseTtlTooLarge,
    /// There is no space, or no quota left, and an alarm says so.
    #[error("etcdserver: mvcc: database space exceeded")]
    NoSpace,
    /// An alarm says that the data cannot be trusted.
    #[error("etcdserver: corrupt cluster")]
    Corrupt,
    /// A request larger than [`crate::Limits`] allow.
    #[error("etcdserver: request is too large")]
    RequestTooLarge,
    /// Auth says no.
    #[error(transparent)]
    Auth(#[from] crate::AuthError),
}
