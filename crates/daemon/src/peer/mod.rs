//! The peer port: where a daemon says that it lives, and asks others whether a third one does.
//!
//! A machine whose lease ended may only be cut off from the store. Before the leader moves what ran there it asks the
//! machine itself, and has another machine ask it. One connection carries one line each way:
//!
//! | asked | answered |
//! |---|---|
//! | `alive` | `flota MACHINE-ID BOOT-ID` |
//! | `reach MACHINE-ID` | `alive`, `no-daemon` or `silent`, as the asked daemon found that machine; nothing where it cannot tell |
//! | `clock` | `clock MILLISECONDS`, since 1970; machines of before this question say nothing |
//!
//! `alive` is asked by datagrams, too, where loss is an answer that is late and not one that is missing: `alive MARK`, padded to
//! the length of any answer, and `flota MACHINE-ID BOOT-ID MARK`.
//!
//! There is no TLS: the port tells ids and the time, which are no secrets, and takes no orders.

mod datagram;
mod listen;
mod probe;
mod wire;

pub use flota_engine::Reach;
pub use listen::Responder;
pub use probe::{ask, clock_ahead, probe};
