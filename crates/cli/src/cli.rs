//! The command line as clap types, and nothing else. Help texts teach; behaviour is in `commands`.

mod completion;
mod conf;
mod doctor;
mod firstboot;
mod global;
mod host;
mod image;
mod join;
mod kv;
mod machines;
mod serve;
mod store;
mod verbs;

use clap::{Parser, Subcommand};

pub use self::{
    completion::*, conf::*, doctor::*, firstboot::*, global::Global, host::*, image::*, join::*, kv::*, machines::*,
    serve::*, store::*, verbs::*,
};

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
    disable_version_flag = true,
    after_help = "A first session:\n  \
        flota start web@1.service     place the unit and start it; says why if it cannot\n  \
        flota list-units              what runs where\n  \
        flota why web@1.service       why it runs there, or why nowhere\n  \
        flota journal -f web@1        its log, from whatever machine it is on\n  \
        flota destroy web@1           stop it and forget it\n  \
        flota drain 5a8052f1          move all units off a machine, for repairs\n\n\
        Data goes to stdout, talk to stderr. Exit codes: 0 done, 1 refused or unknown,\n\
        2 usage, 3 no machine can take the unit, 4 the unit failed, 5 not within\n\
        --block-attempts, 65 bad unit file, 69 no daemon at the endpoint. Those of systemctl,\n\
        journalctl and remote commands are passed on."
)]
pub struct Cli {
    /// Options that every verb knows.
    #[command(flatten)]
    pub global: Global,
    /// The verb.
    #[command(subcommand)]
    pub verb: Verb,
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
    /// Stop units and start them again, where they are
    ///
    /// Really restarts: waits until systemd says that a unit has stopped before it is started, and then as `start`
    /// does. Several units are restarted at the same time.
    Restart(RestartArgs),
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
    /// List the machines of the cluster, and how they are
    ///
    /// Fields: machine, ip, state, metadata, units, version. A machine is ready, cordoned, draining, frozen (it takes
    /// no orders from this store), down (it said so), lost (it does not answer) or removed (it is being forgotten).
    ListMachines(ListArgs),
    /// Keep new units off machines; what runs there stays
    Cordon(CordonArgs),
    /// Let machines take units again, and end a drain
    Uncordon(MachinesArgs),
    /// Move all units off machines, one after the other
    ///
    /// The machines get nothing new, and each unit leaves once its replacement runs elsewhere. Waits until they are
    /// empty. Units that no other machine can take stay, and are named with the reasons (exit code 3). Ctrl-C ends the
    /// wait and not the drain: `flota uncordon` does that.
    Drain(DrainArgs),
    /// Take machines out of the cluster that are gone for good
    ///
    /// Their units are placed elsewhere at once, and all that the cluster knows of them is forgotten. A machine that
    /// lives leaves by itself: run `flota leave` on it.
    RemoveMachine(RemoveArgs),
    /// Take this machine out of its cluster
    ///
    /// Moves its units to other machines as `drain` does, waits until it is empty, and ends its part in the cluster.
    /// With --keep nothing moves: every unit runs on as a plain systemd unit of this machine, and starts again when it
    /// boots; the cluster keeps the units' files, as inactive ones. The daemon stays out until `flota join`.
    Leave(LeaveArgs),
    /// Show `systemctl status` of units, from the machines that they are on
    ///
    /// Reaches other machines through your own ssh. The exit code is systemctl's.
    Status(StatusArgs),
    /// Show the journal of a unit, from the machine that it is on
    ///
    /// Reaches another machine through your own ssh. The exit code is journalctl's. For a global unit the journals of
    /// all its machines are shown one after the other.
    Journal(JournalArgs),
    /// Open a shell or run a command on a machine, or on the machine that a unit is on
    ///
    /// Reaches other machines through your own ssh. The exit code is the command's.
    Ssh(SshArgs),
    /// Connect stdin and stdout to a unix socket of this machine
    ///
    /// For programs that reach the daemon of another machine with: ssh HOST flota fd-forward /run/flota/api.sock
    FdForward(FdForwardArgs),
    /// Deprecated: fleet once had signed units
    #[command(hide = true)]
    Verify {
        /// Names of units
        #[arg(value_name = "UNIT")]
        units: Vec<String>,
    },
    /// Explain why a unit is where it is, or why it is nowhere
    ///
    /// Shows the verdict for each machine: whether it may run the unit, and if not, every reason.
    Why(WhyArgs),
    /// Get and set keys that applications find each other by
    ///
    /// The keys are those of etcd: whatever is put here, etcdctl, curl and confd see, and the other way round. Only the
    /// cluster's own keys, below /flota/, are out of reach.
    Kv(Box<KvArgs>),
    /// Keep configuration files in line with keys, as confd does
    #[command(subcommand)]
    Conf(Box<ConfVerb>),
    /// Take this machine into a cluster
    ///
    /// On a machine of the cluster `flota token create` prints the whole command. With --endpoints it joins by the store
    /// itself, with certificates that you made for it. Everything is checked before anything is changed: that the cluster
    /// is the one of the token, that clocks and versions fit, that no machine there has this one's id, and that this one
    /// leaves no other machines and no units behind. Then the daemon is restarted, and this waits until the machine is
    /// in the cluster.
    Join(JoinArgs),
    /// Make, list and revoke the tokens that let machines join
    #[command(subcommand)]
    Token(TokenVerb),
    /// Run the daemon: every machine of the cluster runs one
    ///
    /// Usually started by flota.service. The configuration comes from the file, then FLOTA_* variables, then these
    /// options; the last one wins. When the daemon ends, the units that it started go on running.
    Daemon(DaemonArgs),
    /// Examine this machine, and say how to mend what is wrong with it
    ///
    /// Looks at the kernel, systemd, clock, containers, ports, disk, names and certificates, at the daemon and at its way
    /// to the store and to the other machines. Changes nothing; works without a daemon. What only root can see is told as
    /// such. Exit code 1 if anything is wrong (FAIL), 0 otherwise, also with warnings.
    Doctor(DoctorArgs),
    /// Try a cluster of Debian machines on this host
    ///
    /// The machines are real: each has its own systemd, Docker and address (systemd-nspawn). Needs root.
    #[command(subcommand)]
    Lab(LabVerb),
    /// What a machine made from an image does once: its name, keys, files and cluster, from its cloud's user-data
    #[command(subcommand)]
    Firstboot(FirstbootVerb),
    /// Build images of nodes
    #[command(subcommand)]
    Image(Box<ImageVerb>),
    /// Run a store by itself, save it, restore it
    #[command(subcommand)]
    Store(StoreVerb),
    /// Print the script that makes a shell complete verbs, units and machines
    ///
    /// The Debian package has installed it already. Elsewhere: source <(flota completion bash)
    Completion(CompletionArgs),
    /// Write the manual's pages
    #[command(hide = true)]
    Man(ManArgs),
    /// Print the version
    Version,
}
