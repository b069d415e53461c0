//! Arguments of `conf`. What they share with confd is in its own crate.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use flota_confd::{ConfExecArgs, ConfSource, ConfWork};

use super::OutputArg;

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
