//! Arguments of `store`.

use std::{ffi::OsString, path::PathBuf};

use clap::{Args, Subcommand};

use super::{KvConnection, OutputArg};

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
    /// Measure how fast the store commits, and say whether that is good enough
    ///
    /// Writes small values one after the other, below /flota/ where no application sees them, and removes them. For a
    /// store in this machine's daemon its disk is measured too. Exit code 1 if either is too slow, with the reason.
    Check(StoreCheckArgs),
    /// Move the living cluster to another store; no unit notices
    ///
    /// The store is copied while it is in use, closed for writes for a moment, compared, and left by all machines. If a
    /// machine cannot reach the new store, or anything else fails, all is as before. Run it as root on one machine.
    #[command(after_help = "Examples:\n  \
        flota store migrate --to https://10.0.0.1:2379,https://10.0.0.2:2379 --ca ca.pem --cert m.pem --key m-key.pem\n  \
        flota store migrate --to https://10.0.0.1:2379        back to the store of a daemon that listens there")]
    Migrate(StoreMigrateArgs),
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

/// Where a store is.
#[derive(Debug, Clone, Default, Args)]
pub struct StoreTlsArgs {
    /// Who signs the certificate of an https store
    #[arg(long, value_name = "FILE", requires_all = ["cert", "key"])]
    pub ca: Option<PathBuf>,
    /// The certificate to show to an https store
    #[arg(long, value_name = "FILE", requires = "ca")]
    pub cert: Option<PathBuf>,
    /// The certificate's private key
    #[arg(long, value_name = "FILE", requires = "ca")]
    pub key: Option<PathBuf>,
}

/// Arguments of `store check`.
#[derive(Debug, Args)]
pub struct StoreCheckArgs {
    /// The members of the store [default: the store of this machine's daemon]
    #[arg(long, value_name = "URL", value_delimiter = ',')]
    pub endpoints: Vec<String>,
    /// Its certificates.
    #[command(flatten)]
    pub tls: StoreTlsArgs,
    /// How long to measure
    #[arg(long, value_name = "SECONDS", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=60))]
    pub seconds: u64,
    /// Measure this directory's disk too [default: that of the daemon's own store]
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// How to print.
    #[command(flatten)]
    pub print: OutputArg,
}

/// Arguments of `store migrate`.
#[derive(Debug, Args)]
pub struct StoreMigrateArgs {
    /// The members of the new store
    #[arg(long, value_name = "URL", value_delimiter = ',', required_unless_present = "abort")]
    pub to: Vec<String>,
    /// The new store's certificates, by their paths on every machine
    #[command(flatten)]
    pub tls: StoreTlsArgs,
    /// The members of the store that is left [default: the store of this machine's daemon]
    #[arg(long, value_name = "URL", value_delimiter = ',')]
    pub from: Vec<String>,
    /// Take back a move that was broken off
    #[arg(long, conflicts_with = "to")]
    pub abort: bool,
}
