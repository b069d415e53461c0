//! Arguments of `kv`: keys for applications, and leases.

use std::{ffi::OsString, path::PathBuf};

use clap::{Args, Subcommand, ValueEnum};

use super::verbs::OutputArg;
use crate::kv::{LeaseChoice, LeaseNumber, parse_seconds};

/// Arguments of `kv`.
#[derive(Debug, Args)]
pub struct KvArgs {
    /// How the store is reached.
    #[command(flatten)]
    pub connection: KvConnection,
    /// What to do.
    #[command(subcommand)]
    pub verb: KvVerb,
}

/// How the store is reached.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Store (each also from the environment, such as FLOTA_KV_ENDPOINT)")]
pub struct KvConnection {
    /// The store: http://HOST:PORT, https://HOST:PORT or unix:///PATH [default: this machine's gateway,
    /// http://127.0.0.1:4001]
    // The same name as the option of the other verbs, which leads to a daemon.
    #[arg(long, global = true, value_name = "URL")]
    pub endpoint: Option<String>,
    /// The certificates that an https store's certificate is checked with
    #[arg(id = "kv_cacert", long = "cacert", global = true, value_name = "FILE", hide_short_help = true)]
    pub cacert: Option<PathBuf>,
    /// The certificate to show to an https store
    #[arg(id = "kv_cert", long = "cert", global = true, value_name = "FILE", hide_short_help = true)]
    pub cert: Option<PathBuf>,
    /// The certificate's private key
    #[arg(id = "kv_key", long = "key", global = true, value_name = "FILE", hide_short_help = true)]
    pub key: Option<PathBuf>,
    /// Who asks, for a store that knows users
    #[arg(id = "kv_user", long = "user", global = true, value_name = "NAME:PASSWORD", hide_short_help = true)]
    pub user: Option<String>,
}

/// What to do with keys.
#[derive(Debug, Subcommand)]
pub enum KvVerb {
    /// Print the value of a key
    ///
    /// Exit code 1 if there is no such key. Values that hold other bytes than text are printed as they are by
    /// `--output value`, and with `\x..` where several are shown.
    Get(KvGetArgs),
    /// Set a key
    ///
    /// With `--lease unit`, typed in a unit's ExecStart= or ExecStartPost=, the key lives exactly as long as the unit is
    /// active on this machine, whatever ends it. `--lease unit:NAME` does the same for any unit of this machine, typed
    /// anywhere (root only).
    #[command(after_help = "Examples:\n  \
        flota kv put /config/color blue\n  \
        flota kv put --ttl 30s /jobs/backup running      gone after 30 seconds\n  \
        flota kv put --create /leader $HOSTNAME          only if nobody else did\n  \
        flota kv put /certs/web - < web.pem              any bytes\n\n\
        In a unit file:\n  \
        [Service]\n  \
        ExecStart=/usr/bin/my-server --port 8080\n  \
        ExecStartPost=/usr/bin/flota kv put --lease unit /services/web/%i 10.0.0.1:8080")]
    Put(KvPutArgs),
    /// Remove a key
    ///
    /// Exit code 1 if there was nothing to remove.
    Rm(KvRmArgs),
    /// List keys as files in directories
    ///
    /// One level, directories with a `/` at the end.
    Ls(KvLsArgs),
    /// Tell of changes as they happen
    ///
    /// Goes on after the store was away, with the first change that was not told of yet. Ends when it is interrupted, or
    /// when nobody reads what it prints.
    #[command(
        after_help = "A command after --exec runs once for each change, one at a time, with FLOTA_KV_EVENT (put or \
        delete),\nFLOTA_KV_KEY, FLOTA_KV_REVISION and, where it is text, FLOTA_KV_VALUE in its environment. The value is \
        its\nstandard input:\n  \
        flota kv watch --prefix /services/web/ --exec systemctl reload haproxy"
    )]
    Watch(KvWatchArgs),
    /// Grant and look after leases
    #[command(subcommand)]
    Lease(KvLeaseVerb),
}

/// Arguments of `kv get`.
#[derive(Debug, Args)]
pub struct KvGetArgs {
    /// The key
    #[arg(value_name = "KEY")]
    pub key: String,
    /// All keys that begin with KEY
    #[arg(long)]
    pub prefix: bool,
    /// Print keys, not values
    #[arg(long)]
    pub keys: bool,
    /// As it was at this revision
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i64).range(1..))]
    pub rev: Option<i64>,
    /// At most N keys
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: Option<u32>,
    /// How to print
    #[arg(long, value_enum, default_value_t)]
    pub output: KvFormat,
}

/// The format of values on stdout.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum KvFormat {
    /// For people.
    #[default]
    Text,
    /// For programs.
    Json,
    /// The value's own bytes and nothing else; of several values one per line.
    Value,
}

/// Arguments of `kv put`.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("from").required(true).args(["value", "file"]))]
pub struct KvPutArgs {
    /// The key
    #[arg(value_name = "KEY")]
    pub key: String,
    /// The value; `-` reads it from standard input
    #[arg(value_name = "VALUE", allow_hyphen_values = true)]
    pub value: Option<String>,
    /// Take the value from a file, byte for byte
    #[arg(long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Only if there is no such key
    #[arg(long, conflicts_with = "prev_value")]
    pub create: bool,
    /// Only if the key has this value
    #[arg(long, value_name = "VALUE", allow_hyphen_values = true)]
    pub prev_value: Option<String>,
    /// The key is gone after this time, such as 30s, 5m or 1h
    ///
    /// With `--lease unit`: how long it outlives a machine that died, 5s to 1h [default: 10s].
    #[arg(long, value_name = "TIME", value_parser = parse_seconds)]
    pub ttl: Option<u32>,
    /// Put the key under a lease: its id, `unit` (the unit that this is typed in) or `unit:NAME`
    #[arg(long, value_name = "ID|unit|unit:NAME")]
    pub lease: Option<LeaseChoice>,
    /// How to print the result.
    #[command(flatten)]
    pub print: OutputArg,
}

/// Arguments of `kv rm`.
#[derive(Debug, Args)]
pub struct KvRmArgs {
    /// The key
    #[arg(value_name = "KEY")]
    pub key: String,
    /// Also all keys below it, as in a directory
    #[arg(long, short = 'r')]
    pub recursive: bool,
    /// Take away a key that was put with this lease before its unit ends: `unit` or `unit:NAME`
    #[arg(long, value_name = "unit|unit:NAME", conflicts_with = "recursive")]
    pub lease: Option<LeaseChoice>,
    /// How to print the result.
    #[command(flatten)]
    pub print: OutputArg,
}

/// Arguments of `kv ls`.
#[derive(Debug, Args)]
pub struct KvLsArgs {
    /// The directory
    #[arg(value_name = "PREFIX", default_value = "")]
    pub prefix: String,
    /// All levels: every key
    #[arg(long, short = 'r')]
    pub recursive: bool,
    /// Also revision, size and lease
    #[arg(long, short = 'l')]
    pub long: bool,
    /// How to print the list.
    #[command(flatten)]
    pub print: OutputArg,
}

/// Arguments of `kv watch`.
#[derive(Debug, Args)]
pub struct KvWatchArgs {
    /// The key
    #[arg(value_name = "KEY")]
    pub key: String,
    /// All keys that begin with KEY
    #[arg(long)]
    pub prefix: bool,
    /// Begin with the changes of this revision
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i64).range(1..))]
    pub rev: Option<i64>,
    /// Run a command for each change instead of printing it; takes the rest of the line
    #[arg(long, value_name = "COMMAND", num_args = 1.., allow_hyphen_values = true)]
    pub exec: Vec<OsString>,
    /// How to print changes.
    #[command(flatten)]
    pub print: OutputArg,
}

/// What to do with leases.
#[derive(Debug, Subcommand)]
pub enum KvLeaseVerb {
    /// Grant a lease and print its id
    Grant {
        /// How long it lives without being kept alive, such as 30s, 5m or 1h
        #[arg(value_name = "TIME", value_parser = parse_seconds)]
        ttl: u32,
        /// How to print the result.
        #[command(flatten)]
        print: OutputArg,
    },
    /// End a lease, and remove its keys
    Revoke {
        /// The lease, as `grant` printed it
        #[arg(value_name = "ID")]
        lease: LeaseNumber,
    },
    /// Keep a lease alive until this is interrupted
    ///
    /// Goes on when the store was away for less than the lease lives. Exit code 1 when the lease has ended.
    KeepAlive {
        /// The lease, as `grant` printed it
        #[arg(value_name = "ID")]
        lease: LeaseNumber,
        /// Renew it once
        #[arg(long)]
        once: bool,
    },
    /// List leases
    List {
        /// The keys that units of this machine have registered with `put --lease unit` (root only)
        #[arg(long)]
        units: bool,
        /// How to print the list.
        #[command(flatten)]
        print: OutputArg,
    },
    /// Show how long a lease lives, and its keys
    Show {
        /// The lease, as `grant` printed it
        #[arg(value_name = "ID")]
        lease: LeaseNumber,
        /// How to print it.
        #[command(flatten)]
        print: OutputArg,
    },
}
