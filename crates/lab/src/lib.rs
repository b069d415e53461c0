//! IO. A cluster of Debian machines on one host (systemd-nspawn), and its faults.
//!
//! In: a [`LabConfig`]. Out: machines with their own systemd, dockerd, address and Flota, for people
//! who try Flota and for the end-to-end tests. Blocking code: call it from a blocking context.
//!
//! Invariant: what runs is read from the kernel (`/proc`, mounts, cgroups), never from a pid file, so
//! an interrupted command leaves nothing that the next one can't see.
//! Invariant: everything a lab makes outside its cache carries the lab's name; [`Lab::down`] finds it by that.

mod cgroup;
mod config;
mod container;
mod delay;
mod dockerfile;
mod down;
mod error;
mod exec;
mod faults;
mod host;
mod image;
mod images;
mod lab;
mod layers;
mod network;
mod nspawn;
mod overlay;
mod pki;
mod preflight;
mod process;
mod provision;
mod registry;
mod render;
mod ssh;
mod state;
mod up;

use flota_image::host::{files, mounts, run};
use flota_image::{debian, host::progress};

pub use config::{Base, LabConfig, LabName, Store, Subnet};
pub use container::ContainerRecipe;
pub use delay::Delay;
pub use error::{LabError, Result};
pub use flota_image::Suite;
pub use flota_image::debian::apt_checks;
pub use flota_image::host::{HostError, Missing, Plain, Progress, Silent};
pub use images::ImageFolder;
pub use lab::{Lab, Machine, MachineState};
pub use network::CableFault;
