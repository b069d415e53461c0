//! Arguments of the verbs about units and machines.

use std::{path::PathBuf, time::Duration};

use clap::{Args, ValueEnum};

/// Arguments of `submit`.
#[derive(Debug, Args)]
pub struct SubmitArgs {
    /// Unit files, or names of instances
    #[arg(value_name = "UNIT")]
    pub units: Vec<String>,
    /// Replace the file of a unit that the cluster has and that is inactive
    #[arg(long)]
    pub replace: bool,
    /// How files are checked.
    #[command(flatten)]
    pub check: CheckArgs,
    /// How to print results.
    #[command(flatten)]
    pub print: OutputArg,
}

/// Arguments of the verbs that submit, place and wait.
#[derive(Debug, Args)]
pub struct ActArgs {
    /// Unit files, or names of units
    #[arg(value_name = "UNIT")]
    pub units: Vec<String>,
    /// Replace the file of a unit that the cluster has
    ///
    /// `load` refuses to replace a unit that is launched, `start` replaces any; the running copy is stopped first.
    #[arg(long)]
    pub replace: bool,
    /// How files are checked.
    #[command(flatten)]
    pub check: CheckArgs,
    /// How long to wait.
    #[command(flatten)]
    pub block: BlockArgs,
    /// How to print results.
    #[command(flatten)]
    pub print: OutputArg,
}

/// How new unit files are checked.
#[derive(Debug, Clone, Copy, Default, Args)]
pub struct CheckArgs {
    /// Do not ask this machine's `systemd-analyze verify` about new unit files
    #[arg(long)]
    pub no_verify: bool,
    /// Deprecated; does nothing, as with fleet
    #[arg(long, hide = true)]
    pub sign: bool,
}

/// Arguments of `restart`.
#[derive(Debug, Args)]
pub struct RestartArgs {
    /// Names of units, or patterns such as 'web@*'
    #[arg(value_name = "UNIT")]
    pub units: Vec<String>,
    /// Give up after N attempts of 2 seconds; 0 waits as long as there is something to wait for
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub block_attempts: u32,
    /// How to print results.
    #[command(flatten)]
    pub print: OutputArg,
}

/// Arguments of the verbs that act on known units and wait.
#[derive(Debug, Args)]
pub struct WaitArgs {
    /// Names of units, or patterns such as 'web@*'
    #[arg(value_name = "UNIT")]
    pub units: Vec<String>,
    /// How long to wait.
    #[command(flatten)]
    pub block: BlockArgs,
    /// How to print results.
    #[command(flatten)]
    pub print: OutputArg,
}

/// How long to wait.
#[derive(Debug, Clone, Copy, Default, Args)]
pub struct BlockArgs {
    /// Do not wait until it is done
    #[arg(long)]
    pub no_block: bool,
    /// Give up after N attempts of 2 seconds; 0 waits as long as there is something to wait for
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub block_attempts: u32,
}

/// One of fleet's `--block-attempts`.
const ATTEMPT: Duration = Duration::from_secs(2);

impl BlockArgs {
    /// The longest wait; none waits as long as there is something to wait for.
    pub fn limit(self) -> Option<Duration> {
        (self.block_attempts > 0).then(|| ATTEMPT.saturating_mul(self.block_attempts))
    }
}

/// How to print results.
#[derive(Debug, Clone, Copy, Default, Args)]
pub struct OutputArg {
    /// Text for people or JSON for programs
    #[arg(long, value_enum, default_value_t)]
    pub output: Format,
}

/// The format of data on stdout.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// For programs: lists are one document, results one document per line.
    Json,
}

/// Arguments of the `list-*` verbs.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// Show ids and hashes in full
    #[arg(short = 'l', long, alias = "l")]
    pub full: bool,
    /// Print no header
    #[arg(long)]
    pub no_legend: bool,
    /// The columns, with commas between
    #[arg(long, value_name = "FIELDS")]
    pub fields: Option<String>,
    /// How to print the list.
    #[command(flatten)]
    pub print: OutputArg,
}

/// Arguments of `cat`.
#[derive(Debug, Args)]
pub struct UnitArg {
    /// The unit's name, or a pattern such as 'web@*'
    #[arg(value_name = "UNIT")]
    pub units: Vec<String>,
}

/// Arguments of `why`.
#[derive(Debug, Args)]
pub struct WhyArgs {
    /// The unit's name
    #[arg(value_name = "UNIT")]
    pub unit: String,
    /// How to print the explanation.
    #[command(flatten)]
    pub print: OutputArg,
}

/// Arguments of `status`.
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// Names of units, or patterns such as 'web@*'
    #[arg(value_name = "UNIT")]
    pub units: Vec<String>,
    /// The port of ssh on other machines [default: as ssh is configured]
    #[arg(long, value_name = "PORT")]
    pub ssh_port: Option<u16>,
}

/// Arguments of `journal`.
#[derive(Debug, Args)]
pub struct JournalArgs {
    /// The unit's name, or a pattern such as 'web@*'
    #[arg(value_name = "UNIT")]
    pub unit: String,
    /// The number of recent lines to show
    #[arg(short = 'n', long, value_name = "N", default_value_t = 10)]
    pub lines: u32,
    /// Go on showing new lines
    #[arg(short = 'f', long, alias = "f")]
    pub follow: bool,
    /// journalctl's output mode, such as short, cat or json
    #[arg(long, value_name = "MODE", default_value = "short")]
    pub output: String,
    /// Run journalctl through sudo
    #[arg(long)]
    pub sudo: bool,
    /// The port of ssh on other machines [default: as ssh is configured]
    #[arg(long, value_name = "PORT")]
    pub ssh_port: Option<u16>,
}

/// Arguments of `ssh`.
#[derive(Debug, Args)]
pub struct SshArgs {
    /// A machine id or the beginning of one, or a unit
    #[arg(value_name = "MACHINE|UNIT")]
    pub target: Option<String>,
    /// The command and its arguments; a login shell without
    ///
    /// Like ssh, the shell on the machine sees the words with a space between. A command whose options could be taken
    /// for options of this verb stands after `--`.
    #[arg(value_name = "COMMAND", trailing_var_arg = true)]
    pub command: Vec<String>,
    /// The machine with this id, or the only one whose id begins like this
    #[arg(long, value_name = "ID")]
    pub machine: Option<String>,
    /// The machine that this unit is on
    #[arg(long, value_name = "UNIT")]
    pub unit: Option<String>,
    /// Let the machine use your ssh agent
    #[arg(long, short = 'A', alias = "A")]
    pub forward_agent: bool,
    /// The port of ssh on other machines [default: as ssh is configured]
    #[arg(long, value_name = "PORT")]
    pub ssh_port: Option<u16>,
}

/// Arguments of `fd-forward`.
#[derive(Debug, Args)]
pub struct FdForwardArgs {
    /// The unix socket, as a path
    #[arg(value_name = "SOCKET")]
    pub socket: PathBuf,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn block_attempts() {
        for (block_attempts, seconds) in [(0, None), (1, Some(2)), (20, Some(40)), (u32::MAX, Some(8_589_934_590))] {
            let block = BlockArgs { no_block: false, block_attempts };
            assert_eq!(block.limit(), seconds.map(Duration::from_secs), "{block_attempts}");
        }
    }
}
