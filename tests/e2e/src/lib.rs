//! Helpers of the end-to-end tests: one real cluster on lab machines, and what a person does with it.
//!
//! Every test takes the cluster by [`cluster()`], which hands it over whole and empty: three machines that know each
//! other, no units. Commands run on the machines as people type them. A test fails by panicking, its helpers too, and
//! the logs of all machines are printed then.
//!
//! There are seven test programs: `it` on three machines with the embedded store, `faults` on five with a real etcd,
//! `ansible` on machines of stock Debian ([`Stock`]), `package` on one of each Debian that the package is installed on,
//! `galera`, which runs examples/galera, `elk` with the application of examples/elk on five machines, and `image`, which
//! builds images and boots them.
//!
//! `FLOTA_BIN` names the program under test (else cargo builds it); `FLOTA_E2E_KEEP=1` leaves the lab (`e2e`, `e2e5`, `e2eelk`, `e2edeb`, `e2egal`, `ansible`)
//! running after the last test, for a look by hand; `FLOTA_E2E_FULL=1` runs faults in their full length.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking, in its helpers too")]

mod bare;
mod beats;
mod cluster;
mod diagnosis;
mod elk;
mod length;
mod node;
mod page;
mod program;
mod ran;
mod stock;
mod undertaker;
mod wait;
mod witness;

pub mod texts;

pub use bare::{Bare, NEWER, Packages, packages};
pub use beats::{Beats, Life, host_seconds};
pub use cluster::{Cluster, InUse, cluster, five, three_for_galera, with_elk_images};
pub use length::{full_length, in_full_or};
pub use node::Node;
pub use page::page;
pub use program::flota;
pub use ran::Ran;
pub use stock::{Stock, StockMachine};
pub use wait::{eventually, holds_for};
pub use witness::Witness;
