//! What was seen of a machine, as whoever looked found it.

use std::collections::BTreeSet;
use std::fmt;
use std::net::{IpAddr, SocketAddr};

use crate::Latency;

/// Something that was looked at, or why nobody could.
pub type Look<T> = Result<T, Blind>;

/// Why something could not be looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Blind {
    /// Only root can: what.
    NotAllowed(String),
    /// It took too long: what, and how many seconds.
    Late(&'static str, u64),
    /// Another reason, in words.
    Because(String),
}

impl fmt::Display for Blind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Blind::NotAllowed(what) => write!(f, "only root can {what}"),
            Blind::Late(what, seconds) => write!(f, "{what}: no answer within {seconds} s"),
            Blind::Because(why) => f.write_str(why),
        }
    }
}

/// Everything that was looked at.
#[derive(Debug, Clone)]
pub struct Facts {
    /// Now, in seconds since 1970, by this machine's clock.
    pub now: i64,
    /// Whether the machine is a container, whose kernel, clock and control groups are its host's.
    pub container: bool,
    /// The version of the program that examines.
    pub version: String,
    /// The kernel.
    pub kernel: Look<Kernel>,
    /// Control groups.
    pub cgroups: Look<Cgroups>,
    /// The service manager.
    pub systemd: Look<Systemd>,
    /// The clock.
    pub clock: Look<Clock>,
    /// What runs containers.
    pub engines: Look<Vec<Engine>>,
    /// What confines programs beyond the file system's permissions.
    pub security: Look<Security>,
    /// Whether the configuration can be read; otherwise what is wrong with it.
    pub configuration: Look<Result<(), String>>,
    /// The daemon's unit.
    pub service: Look<Service>,
    /// The daemon.
    pub daemon: Look<Daemon>,
    /// Who this machine is to the cluster.
    pub identity: Look<Identity>,
    /// The ports that the configuration gives to Flota.
    pub ports: Look<Vec<Port>>,
    /// How fast the data folder's disk is, and whether the store is on it.
    pub disk: Look<(Latency, bool)>,
    /// What is left of file systems.
    pub spaces: Look<Vec<Space>>,
    /// Names and who tells them.
    pub names: Look<Names>,
    /// The certificates in use.
    pub certificates: Look<Vec<Certificate>>,
    /// The store's members; none where the store is in this daemon.
    pub store: Look<Vec<StoreMember>>,
    /// The cluster's other machines.
    pub peers: Look<Vec<Peer>>,
}

/// The kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kernel {
    /// As `uname -r` tells.
    pub release: String,
    /// Whether the folder of its modules is there.
    pub has_modules: bool,
    /// What containers need of it that it neither has nor can load.
    pub missing: Vec<String>,
}

/// Control groups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cgroups {
    /// 2 only where nothing else is mounted.
    pub version: u8,
    /// The controllers that systemd can hand out.
    pub controllers: BTreeSet<String>,
}

/// The service manager.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Systemd {
    /// Process 1 is something else: its name.
    NotInit(String),
    /// Process 1 is systemd: what it says over D-Bus, or why it says nothing.
    Init(Result<Bus, String>),
}

/// What systemd says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bus {
    /// Its version, such as `257.9-1~deb13u1`.
    pub version: String,
    /// `running`, `degraded`, `starting`, `maintenance`, ...
    pub state: String,
}

/// The clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clock {
    /// The kernel says that somebody keeps it.
    pub synchronised: bool,
    /// A time service that systemd knows is installed.
    pub can_ntp: bool,
    /// It is switched on.
    pub ntp: bool,
}

/// A program that runs containers, which is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Engine {
    /// `docker` or `podman`.
    pub name: &'static str,
    /// Its version, or why it does not answer.
    pub answer: Look<Result<String, String>>,
}

/// What confines programs beyond the file system's permissions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Security {
    /// AppArmor is on in the kernel.
    pub apparmor: bool,
    /// The program that loads its profiles is there.
    pub apparmor_parser: bool,
    /// SELinux is on and refuses.
    pub selinux_enforces: bool,
}

/// The daemon's unit, in systemd's words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// `loaded`, `not-found`, `masked`, ...
    pub load: String,
    /// `active`, `inactive`, `failed`, `activating`, ...
    pub active: String,
    /// `enabled`, `disabled`, ...
    pub enabled: String,
}

/// Whether the daemon answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Daemon {
    /// It does.
    Answers(Daemons),
    /// It answers only that it has left its cluster, in its words.
    Left(String),
    /// It does not run, or nobody answers: why.
    Silent(String),
}

/// What the daemon says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Daemons {
    /// Its version.
    pub version: String,
    /// Whether it reaches its store.
    pub store_connected: bool,
    /// Whether it knows a leader.
    pub has_leader: bool,
    /// What is wrong, in its words.
    pub detail: Option<String>,
    /// Why it takes no orders from its store, if it takes none.
    pub frozen: Option<String>,
}

/// Who this machine is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Its id; otherwise what is wrong with it.
    pub machine_id: Result<String, String>,
    /// The address that its id has in the cluster, where the daemon could tell.
    pub announced: Option<String>,
    /// The addresses that it has.
    pub addresses: Vec<IpAddr>,
    /// The address that the configuration says.
    pub configured: Option<String>,
}

/// TCP or UDP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// Connections.
    Tcp,
    /// Datagrams.
    Udp,
}

/// A port that the configuration gives to Flota.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Port {
    /// What it is for, such as `gateway`.
    pub purpose: &'static str,
    /// Where it is configured, such as `gateway.listen`.
    pub setting: &'static str,
    /// TCP or UDP.
    pub transport: Transport,
    /// Where.
    pub address: SocketAddr,
    /// Who has it.
    pub holder: Holder,
}

/// Who has a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Holder {
    /// Nobody.
    Nobody,
    /// Flota.
    Flota,
    /// Somebody; root could see who.
    Somebody,
    /// Another program.
    Other {
        /// Its name.
        program: String,
        /// Its process.
        pid: u32,
        /// The unit that it belongs to, if it does.
        unit: Option<String>,
    },
}

/// What is left of the file system of a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Space {
    /// Which folder.
    pub folder: String,
    /// Of how many bytes.
    pub bytes: u64,
    /// Bytes that are free to all.
    pub free_bytes: u64,
    /// Of how many files; 0 where the file system does not count them.
    pub inodes: u64,
    /// Files that can still be made.
    pub free_inodes: u64,
}

/// Names and who tells them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    /// This machine's.
    pub host: String,
    /// The addresses that it stands for; otherwise why it stands for none.
    pub resolved: Look<Result<Vec<IpAddr>, String>>,
    /// The name servers of `/etc/resolv.conf`.
    pub servers: Vec<NameServer>,
}

/// A name server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NameServer {
    /// Where.
    pub address: IpAddr,
    /// Whether it answers.
    pub answers: bool,
}

/// Where a certificate comes from, and so its successor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Issuer {
    /// This machine has the cluster's authority.
    Own,
    /// A token let the machine in.
    Token,
    /// People.
    People,
}

/// A certificate in use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// Its file.
    pub path: String,
    /// Where it comes from.
    pub issuer: Issuer,
    /// From when until when it is good; otherwise what is wrong with the file.
    pub validity: Look<Result<Validity, String>>,
}

/// A span of time, in seconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// Not before.
    pub from: i64,
    /// Not after.
    pub until: i64,
}

/// A member of a store that is elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreMember {
    /// Where.
    pub endpoint: String,
    /// Whether a connection to it can be made; otherwise why not.
    pub reached: Result<(), String>,
}

/// How another machine answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Its daemon does.
    Alive,
    /// Its kernel does, and says that no daemon listens.
    NoDaemon,
    /// Not at all.
    Silent,
    /// It has no port for that.
    NoPort,
}

/// Another machine of the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Its id, short, with its address.
    pub name: String,
    /// Where it answers.
    pub port: Option<String>,
    /// Whether its lease lives.
    pub alive: bool,
    /// How it is, in the cluster's words.
    pub state: String,
    /// How it answers.
    pub reach: Reach,
    /// How far its clock is ahead of this one's, in milliseconds, where it tells.
    pub ahead_ms: Option<i64>,
}
