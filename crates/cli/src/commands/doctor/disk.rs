//! Looks at how fast the disk of the data folder is.

use std::time::Duration;

use flota_daemon::Config;
use flota_doctor::{Blind, Latency, Look};

use super::known;
use super::look::{blind, blocking};
use crate::fsync::syncs;

/// How long is measured.
const SPAN: Duration = Duration::from_secs(1);

/// The latency, and whether the store is on that disk.
pub async fn latency(config: Option<&Config>) -> Look<(Latency, bool)> {
    let config = known(config)?;
    let has_store = config.has_store();
    let store = config.data_dir.join("store");
    let folder = if has_store && store.is_dir() { store } else { config.data_dir.clone() };
    if matches!(folder.try_exists(), Ok(false)) {
        return Err(Blind::Because(format!("there is no {} yet", folder.display())));
    }
    blocking("fdatasync", move || {
        let measured = syncs(&folder, SPAN).map_err(|error| blind("measure", &folder, &error))?;
        Ok((measured, has_store))
    })
    .await
}
