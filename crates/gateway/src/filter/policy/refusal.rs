//! Why a request goes no further.

use tonic::Status;

/// A request that is refused; the texts that etcd has are etcd's, for clients know errors by their text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It names keys of Flota's own.
    #[error("etcdserver: permission denied")]
    Reserved,
    /// It names a lease of Flota's own, which for applications is none.
    #[error("etcdserver: requested lease not found")]
    LeaseNotFound,
    /// It asks for a lease under an id that is kept for Flota.
    #[error("etcdserver: lease already exists")]
    LeaseExists,
    /// A transaction with more operations than etcd takes.
    #[error("etcdserver: too many operations in txn request")]
    TooManyOps,
    /// An order or a target that etcd does not know; its 3.4 would end with a crash.
    #[error("etcdserver: invalid sort option")]
    InvalidSort,
    /// A compare over a range with reserved keys in its middle.
    #[error(
        "the discovery gateway does not compare a range that goes across /flota/: compare the two ranges beside it"
    )]
    CompareAcross,
    /// A client that sends requests and does not read the answers.
    #[error("etcdserver: too many requests")]
    TooManyOutstanding,
}

impl From<Refusal> for Status {
    fn from(refusal: Refusal) -> Status {
        let text = refusal.to_string();
        match refusal {
            Refusal::Reserved => Status::permission_denied(text),
            Refusal::LeaseNotFound => Status::not_found(text),
            Refusal::LeaseExists => Status::failed_precondition(text),
            Refusal::TooManyOps | Refusal::InvalidSort => Status::invalid_argument(text),
            Refusal::CompareAcross => Status::unimplemented(text),
            Refusal::TooManyOutstanding => Status::resource_exhausted(text),
        }
    }
}
