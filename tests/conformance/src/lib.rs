//! Two stores side by side, Debian's etcd and the embedded one, asked the same questions over the wire.
//!
//! `FLOTA_BIN` names the program under test (else the one that cargo has built last). Tests fail by panicking, their helpers too.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking, in its helpers too")]

pub mod checker;
pub mod normal;
pub mod ops;
mod server;
mod watches;
mod wire;

pub use server::{Kind, Server};
pub use watches::{Received, Watches};
pub use wire::Wire;
