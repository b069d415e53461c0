//! Arguments of `store`.

use std::ffi::OsString;

use clap::{Args, Subcommand};

/// What to do with a store.
#[derive(Debug, Subcommand)]
pub enum StoreVerb {
    /// Run the store alone, started like etcd
    ///
    /// Takes etcd's own flags and ETCD_* variables; `flota store serve --help` lists them.
    #[command(disable_help_flag = true)]
    Serve(RawServeArgs),
}

/// Arguments of `store serve` as they stand: etcd's flags are not the ones that other verbs know.
#[derive(Debug, Args)]
pub struct RawServeArgs {
    /// etcd's flags
    #[arg(value_name = "FLAGS", trailing_var_arg = true, allow_hyphen_values = true)]
    pub arguments: Vec<OsString>,
}
