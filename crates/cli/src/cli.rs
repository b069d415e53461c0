//! The command line as clap types, and nothing else. Help texts teach; behaviour is in `commands`.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// systemd for the whole cluster
///
/// You write systemd unit files and hand them to any machine. Flota places each unit on a machine that fits, starts it
/// through that machine's own systemd, and moves it when the machine dies.
#[derive(Debug, Parser)]
#[command(
    name = "flota",
    version,
    infer_subcommands = true,
    arg_required_else_help = true,
    after_help = "A first session:\n  \
        flota start web@1.service     place the unit and start it; says why if it cannot\n  \
        flota list-units              what runs where\n  \
        flota why web@1.service       why it runs there, or why nowhere\n  \
        flota journal -f web@1        its log, from whatever machine it is on\n  \
        flota destroy web@1           stop it and forget it\n\n\
        Data goes to stdout, talk to stderr. Exit codes: 0 done, 1 refused or unknown, 2 usage, 3 no machine can take\n\
        the unit, 4 the unit failed, 5 not within --block-attempts, 65 bad unit file, 69 no daemon at the endpoint."
)]
pub struct Cli {
    /// Options that every verb knows.
    #[command(flatten)]
    pub global: Global,
    /// The verb.
    #[command(subcommand)]
    pub verb: Verb,
}

/// Options that every verb knows.
#[derive(Debug, Args)]
pub struct Global {
    /// The daemon to ask: unix:///path/to/socket or http://host:port
    ///
    /// Without it: $FLOTA_ENDPOINT, $FLEETCTL_ENDPOINT, then the local daemon's socket, unix:///run/flota/api.sock or
    /// unix:///run/fleet.sock. Any daemon of the cluster answers for all of it.
    #[arg(long, global = true, value_name = "URL")]
    pub endpoint: Option<String>,

    /// The user for `status` and `journal` on other machines [default: as ssh is configured]
    #[arg(long, global = true, value_name = "USER", env = "FLEETCTL_SSH_USERNAME")]
    pub ssh_username: Option<String>,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Store unit files in the cluster without starting them
    ///
    /// Each UNIT is a unit file, or an instance such as web@1.service whose template file web@.service stands beside
    /// it or is in the cluster already. All files are checked first; if one has an error, nothing is submitted.
    Submit(SubmitArgs),
    /// Place units on machines and load them into systemd there, without starting them
    ///
    /// Submits what the cluster does not know yet, as `submit` does, and waits until the machines have loaded the
    /// units. A unit that was started is stopped and stays loaded.
    Load(ActArgs),
    /// Place units on machines and start them
    ///
    /// Submits what the cluster does not know yet, as `submit` does, and waits until systemd says that each unit is
    /// active, or that it ran and finished. Says at once when no machine can take a unit, with the reason for each
    /// machine (exit code 3), and when a unit fails (exit code 4).
    ///
    /// A unit that cannot be placed now stays wanted: it starts when a machine can take it.
    Start(ActArgs),
    /// Stop units; they stay loaded on their machines
    ///
    /// Waits until systemd says that they have stopped.
    Stop(WaitArgs),
    /// Stop units and take them off their machines; the cluster keeps their files
    Unload(WaitArgs),
    /// Stop units, take them off their machines and forget their files
    Destroy(WaitArgs),
    /// Print the unit file that the cluster has for a unit
    Cat(UnitArg),
    /// List the units that machines have loaded, and what systemd says of them
    ///
    /// Fields: unit, machine, active, sub, load, hash.
    ListUnits(ListArgs),
    /// List all units of the cluster: what they should be, what they are, and where
    ///
    /// Fields: unit, hash, dstate, state, target, desc, global.
    ListUnitFiles(ListArgs),
    /// List the machines of the cluster
    ///
    /// Fields: machine, ip, metadata.
    ListMachines(ListArgs),
    /// Show `systemctl status` of units, from the machines that they are on
    ///
    /// Reaches other machines through your own ssh. The exit code is systemctl's.
    Status(StatusArgs),
    /// Show the journal of a unit, from the machine that it is on
    ///
    /// Reaches another machine through your own ssh. The exit code is journalctl's. For a global unit the journals of
    /// all its machines are shown one after the other.
    Journal(JournalArgs),
    /// Explain why a unit is where it is, or why it is nowhere
    ///
    /// Shows the verdict for each machine: whether it may run the unit, and if not, every reason.
    Why(WhyArgs),
    /// Run the daemon: every machine of the cluster runs one
    ///
    /// Usually started by flota.service. The configuration comes from the file, then FLOTA_* variables, then these
    /// options; the last one wins. When the daemon ends, the units that it started go on running.
    Daemon(DaemonArgs),
    /// Try a cluster of Debian machines on this host
    ///
    /// The machines are real: each has its own systemd, Docker and address (systemd-nspawn). Needs root.
    #[command(subcommand)]
    Lab(LabVerb),
    /// Print the version
    Version,
}

/// Arguments of `submit`.
#[derive(Debug, Args)]
pub struct SubmitArgs {
    /// Unit files, or names of instances
    #[arg(value_name = "UNIT")]
    pub units: Vec<String>,
    /// Replace the file of a unit that the cluster has and that is inactive
    #[arg(long)]
    pub replace: bool,
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
    /// How long to wait.
    #[command(flatten)]
    pub block: BlockArgs,
    /// How to print results.
    #[command(flatten)]
    pub print: OutputArg,
}

/// Arguments of the verbs that act on known units and wait.
#[derive(Debug, Args)]
pub struct WaitArgs {
    /// Names of units
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
    /// The unit's name
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
    /// Names of units
    #[arg(value_name = "UNIT")]
    pub units: Vec<String>,
    /// The port of ssh on other machines
    #[arg(long, value_name = "PORT", default_value_t = 22)]
    pub ssh_port: u16,
}

/// Arguments of `journal`.
#[derive(Debug, Args)]
pub struct JournalArgs {
    /// The unit's name
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
    /// The port of ssh on other machines
    #[arg(long, value_name = "PORT", default_value_t = 22)]
    pub ssh_port: u16,
}

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
    /// Cut a machine's power
    Kill(LabMachineArg),
    /// Start a machine that is off
    Start(LabMachineArg),
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

/// Arguments of the verbs on one machine of the lab.
#[derive(Debug, Args)]
pub struct LabMachineArg {
    /// Which lab.
    #[command(flatten)]
    pub name: LabName,
    /// The machine, such as m1
    pub machine: String,
}
