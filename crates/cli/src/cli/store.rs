//! Arguments of `store`.

use std::{ffi::OsString, path::PathBuf};

use clap::{Args, Subcommand};

use super::KvConnection;

/// What to do with a store.
#[derive(Debug, Subcommand)]
pub enum StoreVerb {
    /// Run the store alone, started like etcd
    ///
    /// Takes etcd's own flags and ETCD_* variables; `flota store serve --help` lists them.
    #[command(disable_help_flag = true)]
    Serve(RawServeArgs),
    /// Save a running store, or a running etcd, to a file
    ///
    /// The file is what `etcdctl snapshot save` would get: `flota store restore` and `etcdctl snapshot restore` take it.
    /// It holds the store at one revision; writes go on meanwhile. It is checked before it gets its name.
    Backup(BackupArgs),
    /// Make the data directory of a store from a file
    ///
    /// The file is from `flota store backup`, from `etcdctl snapshot save`, or a copy of an etcd member's snap/db.
    /// Revisions, history, leases and users stay; the ids of cluster and member are new.
    Restore(RestoreArgs),
    /// Tell what is in a file, or how a running store is
    Status(StoreStatusArgs),
    /// Take a store for the truth that the machines do not believe
    ///
    /// Machines that belong to a cluster stand still, their units running, when its store is empty, older than what
    /// they have seen, or made anew from a backup. This is your word that it is to count. Each machine whose schedule
    /// the store has lost puts back what it holds; where the store has an older one, that counts.
    Accept(AcceptArgs),
}

/// Arguments of `store accept`.
#[derive(Debug, Args)]
pub struct AcceptArgs {
    /// Do not ask
    #[arg(long)]
    pub yes: bool,
}

/// Arguments of `store serve` as they stand: etcd's flags are not the ones that other verbs know.
#[derive(Debug, Args)]
pub struct RawServeArgs {
    /// etcd's flags
    #[arg(value_name = "FLAGS", trailing_var_arg = true, allow_hyphen_values = true)]
    pub arguments: Vec<OsString>,
}

/// Arguments of `store backup`.
#[derive(Debug, Args)]
pub struct BackupArgs {
    /// Where to; one that exists is replaced
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Which store [default endpoint: the daemon's socket if there is one, else http://127.0.0.1:2379].
    #[command(flatten)]
    pub connection: KvConnection,
}

/// Arguments of `store restore`.
#[derive(Debug, Args)]
pub struct RestoreArgs {
    /// The file
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// The new data directory; it must not exist, or be empty
    #[arg(long, value_name = "DIR")]
    pub data_dir: PathBuf,
}

/// Arguments of `store status`.
#[derive(Debug, Args)]
pub struct StoreStatusArgs {
    /// A file; without one a running store is asked
    #[arg(value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Which store.
    #[command(flatten)]
    pub connection: KvConnection,
}
