//! Arguments of the verbs about this host: `daemon` and `lab`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::verbs::OutputArg;

/// Arguments of `daemon`. What is not given comes from the environment or the configuration file.
#[derive(Debug, Clone, Default, Args)]
pub struct DaemonArgs {
    /// The configuration file [default: /etc/flota/flota.toml, if it exists]
    #[arg(long, env = "FLOTA_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Where the daemon keeps its data [default: /var/lib/flota]
    #[arg(long, env = "FLOTA_DATA_DIR", value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// The etcd to use as the store, with commas between; without it the daemon has an embedded store
    #[arg(long, env = "FLOTA_STORE_ENDPOINTS", value_name = "URL", value_delimiter = ',')]
    pub store_endpoints: Vec<String>,
    /// Where the embedded store listens: unix:/PATH, http://LOOPBACK:PORT or https://ADDRESS:PORT, with commas between
    #[arg(long, env = "FLOTA_STORE_LISTEN", value_name = "URL", value_delimiter = ',')]
    pub store_listen: Vec<String>,
    /// The API's unix sockets [default: /run/flota/api.sock]
    #[arg(long, env = "FLOTA_API_LISTEN", value_name = "PATH", value_delimiter = ',')]
    pub api_listen: Vec<PathBuf>,
    /// Where the discovery gateway listens, ADDRESS:PORT with commas between, or off [default: 127.0.0.1:4001]
    #[arg(long, env = "FLOTA_GATEWAY_LISTEN", value_name = "ADDRESS", value_delimiter = ',')]
    pub gateway_listen: Vec<String>,
    /// Where other machines ask whether this one lives, ADDRESS:PORT or off [default: port 4002 of its address, if it
    /// shares a store with others]
    #[arg(long, env = "FLOTA_PEER_LISTEN", value_name = "ADDRESS")]
    pub peer_listen: Option<String>,
    /// Where other machines join the cluster, ADDRESS:PORT or off [default: port 4003 of its address, if the store
    /// listens at https with the cluster's own certificates]
    #[arg(long, env = "FLOTA_JOIN_LISTEN", value_name = "ADDRESS")]
    pub join_listen: Option<String>,
    /// The address that other machines know this one by [default: the one of the default route]
    #[arg(long, env = "FLOTA_ADDRESS", value_name = "IP")]
    pub address: Option<String>,
    /// What units can ask for in MachineMetadata, as key=value,key=value
    #[arg(long, env = "FLOTA_METADATA", value_name = "PAIRS")]
    pub metadata: Option<String>,
    /// Log what the daemon decides and does
    #[arg(long, short = 'v')]
    pub verbose: bool,
}

/// What to do with the lab.
#[derive(Debug, Subcommand)]
pub enum LabVerb {
    /// Make and start a cluster of machines named m1, m2, ...
    ///
    /// The first run makes a Debian image, which takes minutes; later runs take seconds. Safe to interrupt and to
    /// repeat: what is there already stays.
    Up(LabUpArgs),
    /// List the machines of the lab
    List(LabListArgs),
    /// Run a command on a machine, or a login shell; its exit code is passed on
    Exec(LabExecArgs),
    /// Let a port of this host lead to a port of a machine, until Ctrl-C
    ///
    /// From this host the machines' addresses can be reached as they are (flota lab list). This is for others: with
    /// --listen 0.0.0.0:5601 whoever reaches the host reaches the machine's port.
    Forward(LabForwardArgs),
    /// Cut a machine's power
    Kill(LabMachineArg),
    /// Start a machine that is off
    Start(LabMachineArg),
    /// Make something go wrong on a machine, or mend it
    #[command(subcommand)]
    Fault(LabFaultVerb),
    /// Stop all machines and remove every trace of the lab but its image
    Down(LabName),
}

/// Which lab.
#[derive(Debug, Clone, Args)]
pub struct LabName {
    /// The lab's name; several can live side by side
    #[arg(long = "name", value_name = "LAB", default_value = "flota")]
    pub lab: String,
}

/// Arguments of `lab up`.
#[derive(Debug, Args)]
pub struct LabUpArgs {
    /// Which lab.
    #[command(flatten)]
    pub name: LabName,
    /// The number of machines
    #[arg(short = 'n', long, value_name = "N", default_value_t = 3)]
    pub machines: u8,
    /// The network of a new lab; two labs need two networks
    #[arg(long, value_name = "NETWORK", default_value = "10.78.0.0/24")]
    pub subnet: String,
    /// Debian of new machines: bookworm, trixie, forky or sid
    #[arg(long, value_name = "SUITE", default_value = "trixie")]
    pub suite: String,
    /// Boot new machines from this instead: the tree or archive that `flota image build --format dir` or `tar` made
    #[arg(long, value_name = "PATH", conflicts_with = "suite")]
    pub image: Option<PathBuf>,
    /// What keeps the state of a new lab's cluster: embedded (in the daemon of m1) or etcd (Debian's, on m1 to m3)
    #[arg(long, value_name = "STORE", default_value = "embedded")]
    pub store: String,
}

/// What can go wrong on a machine beside its power.
#[derive(Debug, Subcommand)]
pub enum LabFaultVerb {
    /// Pull the network cable; it stays pulled over reboots
    Cut(LabCutArgs),
    /// Lose so many of a hundred packets each way, over reboots too
    Loss(LabLossArgs),
    /// Take away cut and loss
    Heal(LabMachineArg),
    /// Let every packet to and from the machine be late, until the end of the input (Ctrl-D)
    Delay(LabDelayArgs),
    /// Let all of the machine stand still, with its cable up
    Freeze(LabMachineArg),
    /// Undo freeze
    Thaw(LabMachineArg),
    /// Let one unit of the machine stand still, such as etcd.service
    Pause(LabUnitArgs),
    /// Undo pause
    Resume(LabUnitArgs),
    /// Allow so many writes to the disk in a second; 0: as many as it likes
    SlowDisk(LabSlowDiskArgs),
}

/// Arguments of `lab fault cut`.
#[derive(Debug, Args)]
pub struct LabCutArgs {
    /// The machine.
    #[command(flatten)]
    pub at: LabMachineArg,
    /// Only what goes to the machine is lost
    #[arg(long, conflicts_with = "mute")]
    pub deaf: bool,
    /// Only what comes from the machine is lost
    #[arg(long)]
    pub mute: bool,
}

/// Arguments of `lab fault loss`.
#[derive(Debug, Args)]
pub struct LabLossArgs {
    /// The machine.
    #[command(flatten)]
    pub at: LabMachineArg,
    /// Of a hundred packets
    #[arg(value_name = "PERCENT")]
    pub percent: u8,
}

/// Arguments of `lab fault delay`.
#[derive(Debug, Args)]
pub struct LabDelayArgs {
    /// The machine.
    #[command(flatten)]
    pub at: LabMachineArg,
    /// How late each packet is, in milliseconds; an answer is late twice
    #[arg(value_name = "MILLISECONDS")]
    pub milliseconds: u64,
}

/// Arguments of the faults of one unit.
#[derive(Debug, Args)]
pub struct LabUnitArgs {
    /// The machine.
    #[command(flatten)]
    pub at: LabMachineArg,
    /// The unit, such as etcd.service
    pub unit: String,
}

/// Arguments of `lab fault slow-disk`.
#[derive(Debug, Args)]
pub struct LabSlowDiskArgs {
    /// The machine.
    #[command(flatten)]
    pub at: LabMachineArg,
    /// Writes in a second
    #[arg(value_name = "WRITES")]
    pub writes: u32,
}

/// Arguments of `lab list`.
#[derive(Debug, Args)]
pub struct LabListArgs {
    /// Which lab.
    #[command(flatten)]
    pub name: LabName,
    /// How to print the list.
    #[command(flatten)]
    pub print: OutputArg,
}

/// Arguments of `lab exec`.
#[derive(Debug, Args)]
pub struct LabExecArgs {
    /// Which lab.
    #[command(flatten)]
    pub name: LabName,
    /// The machine, such as m1
    pub machine: String,
    /// The command and its arguments; a login shell without
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<String>,
}

/// Arguments of `lab forward`.
#[derive(Debug, Args)]
pub struct LabForwardArgs {
    /// The machine.
    #[command(flatten)]
    pub at: LabMachineArg,
    /// The machine's port
    #[arg(value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub port: u16,
    /// Where to listen [default: the same port of 127.0.0.1]
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub listen: Option<SocketAddr>,
}

/// Arguments of the verbs on one machine of the lab.
#[derive(Debug, Args)]
pub struct LabMachineArg {
    /// Which lab.
    #[command(flatten)]
    pub name: LabName,
    /// The machine, such as m1
    pub machine: String,
}
