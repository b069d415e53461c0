//! Arguments of `firstboot`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// What to do about the first boot.
#[derive(Debug, Subcommand)]
pub enum FirstbootVerb {
    /// Find this machine's user-data and do what it says: flota-firstboot.service runs this, once
    ///
    /// Looks for a disk labelled cidata (NoCloud) or config-2 (OpenStack's), and asks OpenStack's service where the
    /// machine is OpenStack's. What it finds wrong is told with line and column, and the rest is done.
    Apply(FirstbootApplyArgs),
    /// Join the cluster that the user-data names: flota-firstboot-join.service runs this until it did
    Join,
    /// Show what user-data would do, and what is wrong with it, without doing it
    Check(FirstbootCheckArgs),
}

/// Arguments of `firstboot apply`.
#[derive(Debug, Args)]
pub struct FirstbootApplyArgs {
    /// Whom user-data means when it names nobody
    #[arg(long, value_name = "USER", default_value = "root")]
    pub user: String,
}

/// Arguments of `firstboot check`.
#[derive(Debug, Args)]
pub struct FirstbootCheckArgs {
    /// The user-data
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// The metadata that comes with it
    #[arg(long, value_name = "FILE")]
    pub metadata: Option<PathBuf>,
    /// Whom user-data means when it names nobody
    #[arg(long, value_name = "USER", default_value = "root")]
    pub user: String,
}
