//! Where registrations are while the daemon restarts: a file in `/run`, which no reboot survives.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use flota_agent::registrations::Held;
use tracing::error;

use crate::disk::write_whole;

const NAME: &str = "registrations.json";

/// The file.
#[derive(Debug, Clone)]
pub struct RuntimeFile(PathBuf);

impl RuntimeFile {
    /// The one in the daemon's runtime folder.
    pub fn new(folder: &Path) -> RuntimeFile {
        RuntimeFile(folder.join(NAME))
    }

    /// What an earlier daemon left. What cannot be read is lost: its keys go when their leases end.
    pub fn read(&self) -> Held {
        let read = match std::fs::read(&self.0) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Held::default(),
            Err(error) => Err(error.to_string()),
            Ok(bytes) => Held::decode(&bytes).map_err(|error| error.to_string()),
        };
        read.unwrap_or_else(|why| {
            error!("{}: {why}; units have to register their keys again", self.0.display());
            Held::default()
        })
    }

    /// Replaces it.
    pub fn write(&self, held: &Held) -> io::Result<()> {
        write_whole(&self.0, &held.encode())
    }
}
