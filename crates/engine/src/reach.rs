//! How a machine was found by whoever asked it.

/// What came of asking a machine whose lease is gone whether it lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reach {
    /// Its daemon answered, with the machine's own id.
    Alive,
    /// The machine refused the connection: its kernel lives, the daemon does not.
    NoDaemon,
    /// Nobody answered.
    Silent,
}
