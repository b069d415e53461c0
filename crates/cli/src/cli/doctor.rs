//! Arguments of `doctor`.

use std::path::PathBuf;

use clap::Args;

use super::OutputArg;

/// Arguments of `doctor`.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// The daemon's configuration file [default: /etc/flota/flota.toml, if it exists]
    #[arg(long, env = "FLOTA_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// How to print.
    #[command(flatten)]
    pub print: OutputArg,
}
