//! Arguments of `store serve`: etcd's own flags, so that what starts etcd can start the store.

use std::path::PathBuf;

use clap::{Arg, ArgAction, ArgMatches, Args, Command, Error, FromArgMatches, Parser, ValueEnum, parser::ValueSource};

/// Flags without a value (`=true` and `=false` may follow) that mean nothing to a store of one member with its own disk format.
const UNUSED_SWITCHES: [&str; 12] = [
    "enable-grpc-gateway",
    "enable-pprof",
    "experimental-enable-lease-checkpoint",
    "experimental-enable-lease-checkpoint-persist",
    "experimental-initial-corrupt-check",
    "experimental-peer-skip-client-san-verification",
    "force-new-cluster",
    "initial-election-tick-advance",
    "peer-auto-tls",
    "peer-client-cert-auth",
    "pre-vote",
    "strict-reconfig-check",
];

/// The same with a value.
const UNUSED_VALUES: [&str; 39] = [
    "backend-batch-interval",
    "backend-batch-limit",
    "cipher-suites",
    "cors",
    "discovery-fallback",
    "discovery-proxy",
    "discovery-srv-name",
    "experimental-backend-bbolt-freelist-type",
    "experimental-compaction-batch-limit",
    "experimental-corrupt-check-time",
    "experimental-warning-apply-duration",
    "experimental-watch-progress-notify-interval",
    "grpc-keepalive-interval",
    "grpc-keepalive-min-time",
    "grpc-keepalive-timeout",
    "host-whitelist",
    "initial-cluster-state",
    "initial-cluster-token",
    "listen-metrics-urls",
    "listen-peer-urls",
    "log-package-levels",
    "logger",
    "max-concurrent-streams",
    "max-snapshots",
    "max-wals",
    "metrics",
    "peer-cert-allowed-cn",
    "peer-cert-allowed-hostname",
    "peer-cert-file",
    "peer-crl-file",
    "peer-key-file",
    "peer-trusted-ca-file",
    "proxy-dial-timeout",
    "proxy-failure-wait",
    "proxy-read-timeout",
    "proxy-refresh-interval",
    "proxy-write-timeout",
    "snapshot-count",
    "wal-dir",
];

/// Run the store alone, started like etcd
///
/// Takes etcd's own flags, with one dash or two, and its ETCD_* environment variables. A flag that means nothing to a
/// store of one member is accepted and named once in the log; one that would be unsafe to pass over is refused.
/// A program or script that starts `etcd` can start this instead: called by the name `etcd`, flota does the same.
#[derive(Debug, Clone, Parser)]
#[command(name = "flota store serve", disable_version_flag = true, args_override_self = true)]
pub struct ServeArgs {
    /// The member's name
    #[arg(long, default_value = "default")]
    pub name: String,
    /// The data directory, made if missing [default: NAME.etcd]
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Where to listen: http://ADDRESS:PORT, https://ADDRESS:PORT or unix://PATH, with commas between
    #[arg(long, value_name = "URLS", value_delimiter = ',', default_value = "http://localhost:2379")]
    pub listen_client_urls: Vec<String>,
    /// The URLs that clients are told to use [default: those it listens on]
    #[arg(long, value_name = "URLS", value_delimiter = ',')]
    pub advertise_client_urls: Vec<String>,
    /// The cluster's members as NAME=URL,...; this store is always one, and warns if there are more
    #[arg(long, value_name = "MEMBERS", default_value = "")]
    pub initial_cluster: String,
    /// The URLs that the member list shows for other members' use
    #[arg(long, value_name = "URLS", value_delimiter = ',')]
    pub initial_advertise_peer_urls: Vec<String>,
    /// With the next one, what the shortest lease is made from: one and a half election timeouts, whole heartbeats
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    pub heartbeat_interval: u32,
    /// See --heartbeat-interval: there are no elections in a store of one member
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=50_000))]
    pub election_timeout: u32,
    /// Bytes of data above which writes are refused until some are freed; 0: etcd's 2 GiB, negative: no limit
    #[arg(long, value_name = "BYTES", default_value_t = 0, allow_negative_numbers = true)]
    pub quota_backend_bytes: i64,
    /// Most operations of a transaction
    #[arg(long, value_name = "N", default_value_t = 128)]
    pub max_txn_ops: usize,
    /// Largest request
    #[arg(long, value_name = "BYTES", default_value_t = 1_572_864)]
    pub max_request_bytes: usize,
    /// Kind of the tokens that users get: simple, or jwt with options
    #[arg(long, value_name = "SPEC", default_value = "simple")]
    pub auth_token: String,
    /// Seconds that a simple token lives
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    pub auth_token_ttl: u64,
    /// How costly it is to try passwords, 4 to 31
    #[arg(long, value_name = "COST", default_value_t = 10, value_parser = clap::value_parser!(u32).range(4..=31))]
    pub bcrypt_cost: u32,
    /// The server's certificate, PEM
    #[arg(long, value_name = "FILE")]
    pub cert_file: Option<PathBuf>,
    /// The server's private key, PEM
    #[arg(long, value_name = "FILE")]
    pub key_file: Option<PathBuf>,
    /// The authority that signs clients' certificates, PEM
    #[arg(long, value_name = "FILE")]
    pub trusted_ca_file: Option<PathBuf>,
    /// Let in only clients with a certificate
    #[arg(long)]
    pub client_cert_auth: bool,
    /// Serve the v2 API beside v3
    #[arg(long)]
    pub enable_v2: bool,
    /// What the retention counts
    #[arg(long, value_name = "MODE", default_value = "periodic", value_parser = ["periodic", "revision"])]
    pub auto_compaction_mode: String,
    /// How much history to keep, as a time such as 30m (hours without a unit) or a number of revisions; 0: 10 minutes and 10,000 revisions
    #[arg(long, value_name = "RETENTION", default_value = "0")]
    pub auto_compaction_retention: String,
    /// How much to log
    #[arg(long, value_name = "LEVEL", value_enum, default_value_t = LogLevel::Info)]
    pub log_level: LogLevel,
    /// The same as --log-level=debug
    #[arg(long)]
    pub debug: bool,
    /// Where to log: default or stderr, stdout, or a file
    #[arg(long, alias = "log-output", value_name = "WHERE", default_value = "default")]
    pub log_outputs: String,
    /// What is refused, and why.
    #[command(flatten)]
    pub refused: Refused,
    /// What is accepted without effect.
    #[command(flatten)]
    pub unused: Unused,
    /// Print the version of etcd that is claimed, and of Flota
    #[arg(long)]
    pub version: bool,
}

/// etcd's log levels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogLevel {
    /// Everything.
    Debug,
    /// What happens.
    Info,
    /// What should not happen.
    Warn,
    /// What went wrong.
    #[value(aliases = ["dpanic", "panic", "fatal"])]
    Error,
}

/// Flags that must not be passed over in silence, because what they ask for would be missing.
#[derive(Debug, Clone, Args)]
pub struct Refused {
    #[arg(long, hide = true)]
    config_file: Option<String>,
    #[arg(long, hide = true)]
    client_crl_file: Option<String>,
    #[arg(long, hide = true)]
    client_cert_allowed_hostname: Option<String>,
    #[arg(long, hide = true)]
    auto_tls: bool,
    #[arg(long, hide = true)]
    unsafe_no_fsync: bool,
    #[arg(long, hide = true)]
    discovery: Option<String>,
    #[arg(long, hide = true)]
    discovery_srv: Option<String>,
    #[arg(long, hide = true)]
    experimental_enable_v2v3: Option<String>,
    #[arg(long, hide = true, default_value = "off")]
    proxy: String,
}

impl Refused {
    /// The first flag that was given, and why it cannot be had.
    pub fn reason(&self) -> Option<&'static str> {
        let given = |value: &Option<String>| value.as_ref().is_some_and(|value| !value.is_empty());
        let reasons = [
            (
                given(&self.config_file),
                "--config-file is not read: give the same settings as flags or ETCD_* variables",
            ),
            (given(&self.client_crl_file), "--client-crl-file is not supported: revoked certificates would be let in"),
            (
                given(&self.client_cert_allowed_hostname),
                "--client-cert-allowed-hostname is not supported: other certificates would be let in",
            ),
            (self.auto_tls, "--auto-tls is not supported: name a certificate with --cert-file and --key-file"),
            (self.unsafe_no_fsync, "--unsafe-no-fsync is not supported: the store answers nothing that is not on disk"),
            (
                given(&self.discovery) || given(&self.discovery_srv),
                "--discovery and --discovery-srv are not supported: the store is a cluster of one member",
            ),
            (
                given(&self.experimental_enable_v2v3),
                "--experimental-enable-v2v3 is not supported: --enable-v2 serves v2 and v3 over the same keys",
            ),
            (self.proxy != "off", "--proxy is not supported: the store serves, it forwards nothing"),
        ];
        reasons.into_iter().find_map(|(given, reason)| given.then_some(reason))
    }
}

/// The names of flags that were given and have no effect.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unused(pub Vec<&'static str>);

impl Args for Unused {
    fn augment_args(command: Command) -> Command {
        let hidden = |name| Arg::new(name).long(name).hide(true);
        command
            .args(UNUSED_SWITCHES.map(|name| hidden(name).action(ArgAction::SetTrue)))
            .args(UNUSED_VALUES.map(|name| hidden(name).action(ArgAction::Set)))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Unused {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        let given = |name: &&str| matches.value_source(name) == Some(ValueSource::CommandLine);
        Ok(Unused(UNUSED_SWITCHES.into_iter().chain(UNUSED_VALUES).filter(given).collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}
