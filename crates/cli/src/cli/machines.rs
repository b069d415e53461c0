//! Arguments of the verbs that take machines in and out of service.

use std::time::Duration;

use clap::Args;

use super::verbs::OutputArg;

/// Arguments of the verbs that need no more than machines.
#[derive(Debug, Args)]
pub struct MachinesArgs {
    /// Machines: an id or the beginning of one, an address, or a host name
    #[arg(value_name = "MACHINE")]
    pub machines: Vec<String>,
    /// How to print results.
    #[command(flatten)]
    pub print: OutputArg,
}

/// Arguments of `cordon`.
#[derive(Debug, Args)]
pub struct CordonArgs {
    /// Which machines.
    #[command(flatten)]
    pub machines: MachinesArgs,
    /// Why, for those who look at the list of machines
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
}

/// Arguments of `drain`.
#[derive(Debug, Args)]
pub struct DrainArgs {
    /// Which machines.
    #[command(flatten)]
    pub machines: MachinesArgs,
    /// Why, for those who look at the list of machines
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
    /// How long to wait.
    #[command(flatten)]
    pub wait: PatienceArgs,
}

/// Arguments of `remove-machine`.
#[derive(Debug, Args)]
pub struct RemoveArgs {
    /// Which machines.
    #[command(flatten)]
    pub machines: MachinesArgs,
    /// Also a machine that lives: it stops its units, which are started elsewhere
    #[arg(long)]
    pub force: bool,
    /// How long to wait.
    #[command(flatten)]
    pub wait: PatienceArgs,
}

/// Arguments of `leave`.
#[derive(Debug, Args)]
pub struct LeaveArgs {
    /// Leave every unit running here, as a plain systemd unit
    ///
    /// The unit files go to /etc/systemd/system; a file of the same name that is not Flota's is in the way, and nothing
    /// is changed then. No unit is stopped or restarted.
    #[arg(long)]
    pub keep: bool,
    /// With --keep: also while the store is out of reach; the cluster must be told later, with `flota remove-machine`
    #[arg(long, requires = "keep")]
    pub force: bool,
    /// Give up waiting for units to move after so many seconds (exit code 5) [default: never]
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..))]
    pub timeout: Option<u32>,
    /// How to print the result.
    #[command(flatten)]
    pub print: OutputArg,
}

/// How long to wait for a machine.
#[derive(Debug, Clone, Copy, Default, Args)]
pub struct PatienceArgs {
    /// Do not wait until it is done
    #[arg(long)]
    pub no_block: bool,
    /// Give up waiting after so many seconds (exit code 5) [default: never]
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..))]
    pub timeout: Option<u32>,
}

impl PatienceArgs {
    /// The longest wait; none waits as long as there is something to wait for.
    pub fn limit(self) -> Option<Duration> {
        self.timeout.map(|seconds| Duration::from_secs(seconds.into()))
    }
}
