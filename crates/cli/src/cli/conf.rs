//! Arguments of `conf`, and of confd.

use std::{ffi::OsString, path::PathBuf};

use clap::{Args, Parser, Subcommand};

use super::OutputArg;

/// Where keys and resources are: the same names as confd's.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
#[command(next_help_heading = "Keys and resources")]
pub struct ConfSource {
    /// Where keys are read: etcd, etcdv3, env or file
    #[arg(long, value_name = "NAME")]
    pub backend: Option<String>,
    /// An address of the store; several times for several members
    #[arg(long = "node", value_name = "ADDRESS")]
    pub nodes: Vec<String>,
    /// A YAML or JSON file, or a directory of them, for the backend `file`
    #[arg(long = "file", value_name = "PATH")]
    pub files: Vec<PathBuf>,
    /// Which files of a directory
    #[arg(long, value_name = "PATTERN", hide_short_help = true)]
    pub filter: Option<String>,
    /// The directory of conf.d and templates
    #[arg(long, value_name = "DIR")]
    pub confdir: Option<PathBuf>,
    /// confd's configuration
    #[arg(long, value_name = "FILE")]
    pub config_file: Option<PathBuf>,
    /// The path that all keys are below
    #[arg(long, value_name = "PATH")]
    pub prefix: Option<String>,
    /// http or https, for addresses that do not say
    #[arg(long, value_name = "SCHEME", hide_short_help = true)]
    pub scheme: Option<String>,
    /// Who signs the store's certificate
    #[arg(long, value_name = "FILE", hide_short_help = true)]
    pub client_ca_keys: Option<PathBuf>,
    /// The certificate to show to the store
    #[arg(long, value_name = "FILE", hide_short_help = true)]
    pub client_cert: Option<PathBuf>,
    /// Its key
    #[arg(long, value_name = "FILE", hide_short_help = true)]
    pub client_key: Option<PathBuf>,
    /// Use user name and password
    #[arg(long, hide_short_help = true)]
    pub basic_auth: bool,
    /// The user name
    #[arg(long, value_name = "NAME", hide_short_help = true)]
    pub username: Option<String>,
    /// The password
    #[arg(long, value_name = "PASSWORD", hide_short_help = true)]
    pub password: Option<String>,
    /// Find the store by the SRV record of its kind in this domain
    #[arg(long, value_name = "DOMAIN", hide_short_help = true)]
    pub srv_domain: Option<String>,
    /// Find the store by this SRV record
    #[arg(long, value_name = "RECORD", hide_short_help = true)]
    pub srv_record: Option<String>,
}

/// How files are kept: the same names as confd's.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "What is done")]
pub struct ConfWork {
    /// Once, and end
    #[arg(long)]
    pub onetime: bool,
    /// Follow the keys
    #[arg(long)]
    pub watch: bool,
    /// Seconds between two looks at everything
    #[arg(long, value_name = "SECONDS")]
    pub interval: Option<u64>,
    /// Change nothing; tell what would be changed
    #[arg(long)]
    pub noop: bool,
    /// No checks and no reloads
    #[arg(long)]
    pub sync_only: bool,
    /// Leave staged files that were not used
    #[arg(long)]
    pub keep_stage_file: bool,
    /// How much is told: error, warn, info or debug
    #[arg(long, value_name = "LEVEL")]
    pub log_level: Option<String>,
}

/// confd's command line.
#[derive(Debug, Parser)]
#[command(name = "confd", about = "Keeps configuration files in line with keys", disable_version_flag = true)]
pub struct ConfdArgs {
    /// Where from.
    #[command(flatten)]
    pub source: ConfSource,
    /// What for.
    #[command(flatten)]
    pub work: ConfWork,
    /// Print the version
    #[arg(long)]
    pub version: bool,
    /// What only backends read that are not offered.
    #[command(flatten)]
    pub unused: ConfUnused,
}

/// confd's flags for the backends of others.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Accepted, without effect")]
pub struct ConfUnused {
    /// Vault's
    #[arg(long, value_name = "TEXT", hide_short_help = true)]
    pub auth_token: Option<String>,
    /// Vault's
    #[arg(long, value_name = "TEXT", hide_short_help = true)]
    pub auth_type: Option<String>,
    /// Vault's
    #[arg(long, value_name = "TEXT", hide_short_help = true)]
    pub app_id: Option<String>,
    /// Vault's
    #[arg(long, value_name = "TEXT", hide_short_help = true)]
    pub user_id: Option<String>,
    /// Vault's
    #[arg(long, value_name = "TEXT", hide_short_help = true)]
    pub role_id: Option<String>,
    /// Vault's
    #[arg(long, value_name = "TEXT", hide_short_help = true)]
    pub secret_id: Option<String>,
    /// Vault's
    #[arg(long, value_name = "TEXT", hide_short_help = true)]
    pub path: Option<String>,
    /// Redis's
    #[arg(long, value_name = "TEXT", hide_short_help = true)]
    pub separator: Option<String>,
    /// DynamoDB's
    #[arg(long, value_name = "TEXT", hide_short_help = true)]
    pub table: Option<String>,
    /// Nobody's: confd has it and no backend of confd's reads it
    #[arg(long, hide_short_help = true)]
    pub client_insecure: bool,
}

/// What to do with configuration files.
#[derive(Debug, Subcommand)]
pub enum ConfVerb {
    /// Keep files in line with keys: check, put in place together, reload
    ///
    /// The same as `confd`, whose flags it takes; it follows the keys unless --onetime or --interval is given. The store is
    /// this machine's gateway unless --node names another one.
    Run(ConfRunArgs),
    /// Start a command when its files are there, and keep them in line while it runs
    ///
    /// For the entry point of a container: signals go to the command, and its end is the end, with its exit code. When files change,
    /// their own reload is done (`reload_cmd`, or `signal`, which goes to the command); without one the command is restarted.
    Exec(ConfExecArgs),
    /// Print what templates give, and change nothing
    Render(ConfRenderArgs),
    /// Show what would change in files, as `diff -u` does
    ///
    /// Exit code 2 if something would change, 0 if not.
    Diff(ConfDiffArgs),
    /// Look for mistakes in resources and templates, without a store
    ///
    /// Unknown functions and keys, blocks without an end, keys that are read but not declared or declared but not read. With --mock also
    /// keys that are not there. Exit code 1 if there are errors.
    Lint(ConfLintArgs),
    /// Show which keys lead to which files, and what is reloaded then
    Graph(ConfGraphArgs),
    /// Compare what templates give with what is expected
    ///
    /// Each directory in DIR is a case: `keys.yaml`, and below `expected/` the files with their whole paths, such as
    /// expected/etc/nginx/nginx.conf. Exit code 1 if one differs.
    Test(ConfTestArgs),
    /// Show how the configuration files of all machines are, as the processes that keep them tell
    ///
    /// A file is ok, pending, failed, reload-failed, or unattended: the process that kept it died. With --here, or any option
    /// on keys and resources, this machine's files are compared with what they should be now. Exit code 1 unless all are ok.
    Status(ConfStatusArgs),
}

/// Arguments of `conf run`.
#[derive(Debug, Args)]
pub struct ConfRunArgs {
    /// Where from.
    #[command(flatten)]
    pub source: ConfSource,
    /// What for.
    #[command(flatten)]
    pub work: ConfWork,
}

/// Arguments of `conf exec`.
#[derive(Debug, Args)]
pub struct ConfExecArgs {
    /// Where from.
    #[command(flatten)]
    pub source: ConfSource,
    /// How much is told: error, warn, info or debug
    #[arg(long, value_name = "LEVEL")]
    pub log_level: Option<String>,
    /// The command
    #[arg(value_name = "COMMAND", last = true, required = true)]
    pub command: Vec<OsString>,
}

/// Arguments of `conf render`.
#[derive(Debug, Args)]
pub struct ConfRenderArgs {
    /// Only these files
    #[arg(value_name = "FILE")]
    pub only: Vec<PathBuf>,
    /// Where from.
    #[command(flatten)]
    pub source: ConfSource,
}

/// Arguments of `conf diff`.
#[derive(Debug, Args)]
pub struct ConfDiffArgs {
    /// Where from.
    #[command(flatten)]
    pub source: ConfSource,
}

/// Arguments of `conf lint`.
#[derive(Debug, Args)]
pub struct ConfLintArgs {
    /// A YAML or JSON file with keys as they will be
    #[arg(long, value_name = "FILE")]
    pub mock: Option<PathBuf>,
    /// Where from.
    #[command(flatten)]
    pub source: ConfSource,
}

impl ConfVerb {
    /// Whether the daemon is asked: about the files of all machines.
    pub fn asks_daemon(&self) -> bool {
        matches!(self, ConfVerb::Status(arguments) if !arguments.is_here())
    }
}

/// Arguments of `conf status`.
#[derive(Debug, Args)]
pub struct ConfStatusArgs {
    /// This machine's files only, compared with what they should be now; implied by each option on keys and resources
    #[arg(long)]
    pub here: bool,
    /// Show machines' ids in full
    #[arg(short = 'l', long)]
    pub full: bool,
    /// Print no header
    #[arg(long)]
    pub no_legend: bool,
    /// Where from.
    #[command(flatten)]
    pub source: ConfSource,
    /// How to print.
    #[command(flatten)]
    pub print: OutputArg,
}

impl ConfStatusArgs {
    /// Whether only this machine is looked at.
    pub fn is_here(&self) -> bool {
        self.here || self.source != ConfSource::default()
    }
}

/// Arguments of `conf graph`.
#[derive(Debug, Args)]
pub struct ConfGraphArgs {
    /// Where from.
    #[command(flatten)]
    pub source: ConfSource,
    /// How to print.
    #[command(flatten)]
    pub print: OutputArg,
}

/// Arguments of `conf test`.
#[derive(Debug, Args)]
pub struct ConfTestArgs {
    /// The directory of cases
    #[arg(value_name = "DIR")]
    pub cases: PathBuf,
    /// Where from.
    #[command(flatten)]
    pub source: ConfSource,
}
