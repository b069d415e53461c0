//! `cargo xtask bench store`: the embedded store and Debian's etcd under the same load, in turn, on this host.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::TcpListener;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, bail};

use crate::shell::{self, capture, cargo, target_dir};

use super::figures::Figures;

/// Keys of 1 KiB in what is scanned, started on, and counted as memory.
const KEYS: &str = "100000";

/// The kernel counts a process's time in hundredths of a second for every program (`USER_HZ`).
const TICKS_PER_SECOND: f64 = 100.0;

/// A figure of both servers.
struct Row {
    name: &'static str,
    unit: &'static str,
    budget: Budget,
}

/// What ours divided by etcd's must be.
#[derive(Clone, Copy, PartialEq)]
enum Budget {
    AtLeast(f64),
    AtMost(f64),
    None,
}

const ROWS: &[Row] = &[
    Row { name: "put_1_client", unit: "/s", budget: Budget::AtLeast(1.5) },
    Row { name: "put_64_clients", unit: "/s", budget: Budget::AtLeast(2.0) },
    Row { name: "put_1000_clients", unit: "/s", budget: Budget::AtLeast(1.7) },
    Row { name: "get_64_clients", unit: "/s", budget: Budget::AtLeast(4.0) },
    Row { name: "watch_1000_last_delivery_p50", unit: "us", budget: Budget::AtMost(0.35) },
    Row { name: "cpu_per_put_64_clients", unit: "us", budget: Budget::AtMost(0.4) },
    Row { name: "memory_100k_keys", unit: "MB", budget: Budget::AtMost(0.5) },
    Row { name: "start_100k_keys", unit: "ms", budget: Budget::AtMost(0.1) },
    Row { name: "scan_100k_keys", unit: "ms", budget: Budget::AtMost(0.3) },
    Row { name: "scan_100k_keys_in_pages", unit: "ms", budget: Budget::None },
    Row { name: "put_1_client_p50", unit: "us", budget: Budget::None },
    Row { name: "put_64_clients_p99", unit: "us", budget: Budget::None },
    Row { name: "cpu_per_get_64_clients", unit: "us", budget: Budget::None },
    Row { name: "disk_100k_keys", unit: "MB", budget: Budget::None },
    Row { name: "start_empty", unit: "ms", budget: Budget::None },
];

/// Which server is measured.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Side {
    Etcd,
    Ours,
}

/// Measures in rounds and prints the medians and their ratios.
pub fn measure(rounds: usize) -> Result<()> {
    let bench = Bench::build(&["store", "load"])?;
    let mut figures = Table::default();
    for round in 1..=rounds {
        for side in [Side::Etcd, Side::Ours] {
            eprintln!("round {round} of {rounds}: {}", side.name());
            for measured in [bench.requests(side)?, bench.large(side)?] {
                for (name, value) in measured {
                    figures.runs.entry((name, side)).or_default().push(value);
                }
            }
        }
    }
    bench.clear()?;
    print!("{}", figures.lines());
    Ok(())
}

impl Side {
    fn name(self) -> &'static str {
        match self {
            Side::Etcd => "etcd",
            Side::Ours => "ours",
        }
    }
}

type Measured = Vec<(&'static str, f64)>;

/// Where the programs are, and a place for their data.
pub(super) struct Bench {
    programs: PathBuf,
    scratch: PathBuf,
}

impl Bench {
    /// Builds the store's examples.
    pub(super) fn build(examples: &[&str]) -> Result<Bench> {
        let mut build = cargo(["build", "--release", "-p", "flota-store"]);
        build.args(examples.iter().flat_map(|example| ["--example", example]));
        shell::run(&mut build)?;
        Ok(Bench { programs: target_dir()?.join("release/examples"), scratch: target_dir()?.join("bench-store") })
    }

    /// Requests of all kinds to a server that began empty.
    fn requests(&self, side: Side) -> Result<Measured> {
        self.clear()?;
        let (server, start) = self.start(side, &[])?;
        let put_1 = self.load(&server, "put --clients 1 --count 4000")?;
        // As many connections as etcd's own recipe for its benchmark has for so many clients.
        let before = server.cpu_seconds()?;
        let put_64 = self.load(&server, "put --clients 64 --connections 7 --count 100000")?;
        let cpu_put = server.cpu_seconds()? - before;
        let put_1000 = self.load(&server, "put --clients 1000 --connections 100 --count 60000")?;
        let before = server.cpu_seconds()?;
        let get_64 = self.load(&server, "get --clients 64 --connections 7 --count 60000")?;
        let cpu_get = server.cpu_seconds()? - before;
        let watch = self.load(&server, "watch --watchers 1000 --streams 10 --puts 300")?;
        Ok(vec![
            ("start_empty", start),
            ("put_1_client", put_1["per_second"]),
            ("put_1_client_p50", put_1["p50"]),
            ("put_64_clients", put_64["per_second"]),
            ("put_64_clients_p99", put_64["p99"]),
            ("cpu_per_put_64_clients", cpu_put / 100e3 * 1e6),
            ("put_1000_clients", put_1000["per_second"]),
            ("get_64_clients", get_64["per_second"]),
            ("cpu_per_get_64_clients", cpu_get / 60e3 * 1e6),
            ("watch_1000_last_delivery_p50", watch["p50"]),
        ])
    }

    /// What a server with many keys takes.
    fn large(&self, side: Side) -> Result<Measured> {
        self.clear()?;
        let (server, _) = self.start(side, &[])?;
        self.load(&server, &format!("put --clients 64 --connections 7 --count {KEYS} --keys {KEYS}"))?;
        let (memory, disk) = (server.memory_bytes()?, self.disk_bytes()?);
        let scan = self.load(&server, "scan")?;
        if scan["keys"].to_string() != KEYS {
            bail!("{} has {} keys instead of {KEYS}", side.name(), scan["keys"]);
        }
        drop(server);
        let (server, start) = self.start(side, &[])?;
        drop(server);
        Ok(vec![
            ("memory_100k_keys", memory as f64 / 1e6),
            ("disk_100k_keys", disk as f64 / 1e6),
            ("scan_100k_keys", scan["whole"] / 1e3),
            ("scan_100k_keys_in_pages", scan["pages"] / 1e3),
            ("start_100k_keys", start),
        ])
    }

    /// Starts a server on the data that is there; also tells how many milliseconds it took until it answered.
    pub(super) fn start(&self, side: Side, flags: &[&str]) -> Result<(Server, f64)> {
        let (endpoint, peer) = (free_address()?, free_address()?);
        let mut command = match side {
            Side::Etcd => Command::new("/usr/bin/etcd"),
            Side::Ours => Command::new(self.programs.join("store")),
        };
        command.arg("--data-dir").arg(self.scratch.join("data"));
        command.args(["--listen-client-urls", &format!("http://{endpoint}")]).args(flags);
        if side == Side::Etcd {
            let peer = format!("http://{peer}");
            command.args(["--advertise-client-urls", &format!("http://{endpoint}"), "--log-level", "error"]);
            command.args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer]);
            command.args(["--initial-cluster", &format!("default={peer}")]);
        }
        let waiter =
            self.client("load", &endpoint, "ready").stdout(Stdio::piped()).spawn().context("can't run the load")?;
        let began = SystemTime::now().duration_since(UNIX_EPOCH)?;
        let log = std::fs::File::create(self.scratch.join("log"))?;
        let child = command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log).spawn();
        let child = child.with_context(|| format!("can't start {}", shell::show(&command)))?;
        let server = Server { child, endpoint };
        let waited = waiter.wait_with_output()?;
        if !waited.status.success() {
            bail!("{} does not answer; its words are in {}", side.name(), self.scratch.join("log").display());
        }
        let answered = parse(&String::from_utf8_lossy(&waited.stdout))?;
        let answered = answered.get("at").context("no time of the first answer")?;
        Ok((server, answered / 1e3 - began.as_secs_f64() * 1e3))
    }

    fn load(&self, server: &Server, words: &str) -> Result<BTreeMap<String, f64>> {
        parse(&capture(&mut self.client("load", &server.endpoint, words))?)
    }

    /// A client of the server.
    pub(super) fn client(&self, program: &str, endpoint: &str, words: &str) -> Command {
        let mut command = Command::new(self.programs.join(program));
        command.args(["--endpoint", endpoint]).args(words.split(' '));
        command
    }

    /// Bytes that the data take.
    pub(super) fn disk_bytes(&self) -> Result<u64> {
        disk_bytes(&self.scratch.join("data"))
    }

    pub(super) fn clear(&self) -> Result<()> {
        match std::fs::remove_dir_all(&self.scratch) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error.into()),
            _ => {}
        }
        std::fs::create_dir_all(&self.scratch).context("can't make a directory for the data")
    }
}

/// A server of our own, killed with this value: what it has answered is on disk.
pub(super) struct Server {
    child: Child,
    pub(super) endpoint: String,
}

impl Server {
    /// Time on processors, of the program and of the kernel for it.
    fn cpu_seconds(&self) -> Result<f64> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        parse_cpu(&stat).context("no times in the process's stat")
    }

    /// Memory that is there for the process, with the pages that it maps from files.
    pub(super) fn memory_bytes(&self) -> Result<u64> {
        memory_bytes(self.child.id())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // One that has ended by itself has been missed by its clients before.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Memory that is there for a process, with the pages that it maps from files.
pub(super) fn memory_bytes(process: u32) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    let kibibytes: u64 = line.trim().trim_end_matches(" kB").parse().context("VmRSS is no number")?;
    Ok(kibibytes * 1024)
}

fn free_address() -> Result<String> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string())
}

/// Bytes that the files take, holes not counted. One that is gone by the time it is looked at takes none.
fn disk_bytes(dir: &Path) -> Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        let metadata = match entry.metadata() {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            metadata => metadata?,
        };
        bytes += if metadata.is_dir() { disk_bytes(&entry.path())? } else { metadata.blocks() * 512 };
    }
    Ok(bytes)
}

/// User and system time from `/proc/PID/stat`; the program's name before them may have any bytes, but ends with `)`.
fn parse_cpu(stat: &str) -> Option<f64> {
    let (_, fields) = stat.rsplit_once(") ")?;
    let mut fields = fields.split(' ').skip(11);
    let (user, system): (f64, f64) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    Some((user + system) / TICKS_PER_SECOND)
}

/// Reads `name value` lines.
fn parse(text: &str) -> Result<BTreeMap<String, f64>> {
    text.lines()
        .map(|line| {
            let (name, value) = line.split_once(' ').with_context(|| format!("`{line}` is no figure"))?;
            Ok((name.to_owned(), value.parse().with_context(|| format!("`{line}` has no number"))?))
        })
        .collect()
}

/// All runs of both servers.
#[derive(Default)]
struct Table {
    runs: BTreeMap<(&'static str, Side), Figures>,
}

impl Table {
    fn lines(&self) -> String {
        let mut lines =
            format!("# {:30} {:>10} {:>10} {:>7}  budget for ours / etcd's\n", "median", "etcd", "ours", "ratio");
        for Row { name, unit, budget } in ROWS {
            let median = |side| self.runs.get(&(*name, side)).map_or(f64::NAN, Figures::median);
            let (etcd, ours) = (median(Side::Etcd), median(Side::Ours));
            let ratio = ours / etcd;
            let budget = budget.judge(ratio);
            let name = format!("{name} ({unit})");
            // Text can always be written to.
            let _ = writeln!(lines, "{name:32} {etcd:>10.1} {ours:>10.1} {ratio:>7.2}  {budget}");
        }
        lines
    }
}

impl Budget {
    fn judge(self, ratio: f64) -> String {
        let (text, kept) = match self {
            Budget::AtLeast(least) => (format!("at least {least}"), ratio >= least),
            Budget::AtMost(most) => (format!("at most {most}"), ratio <= most),
            Budget::None => return String::new(),
        };
        format!("{text}, {}", if kept { "kept" } else { "MISSED" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_is_read_behind_any_name() {
        let stat = "42 (a) b (c) S 1 42 42 0 -1 4194560 100 0 0 0 150 50 0 0 20 0 4 0 100 1000 200";
        assert_eq!(parse_cpu(stat), Some(2.0));
        assert_eq!(parse_cpu("42 (a) S 1"), None);
    }

    #[test]
    fn ratios_are_judged() {
        let mut table = Table::default();
        for (side, rate) in [(Side::Etcd, 1000.0), (Side::Ours, 1600.0)] {
            table.runs.entry(("put_1_client", side)).or_default().push(rate);
            table.runs.entry(("cpu_per_put_64_clients", side)).or_default().push(rate);
        }
        let lines = table.lines();
        let line = |name| lines.lines().find(|line| line.starts_with(name)).unwrap();
        assert!(line("put_1_client (/s)").ends_with("1000.0     1600.0    1.60  at least 1.5, kept"), "{lines}");
        assert!(line("cpu_per_put").ends_with("1.60  at most 0.4, MISSED"), "{lines}");
        assert!(line("scan_100k_keys (ms)").ends_with("MISSED"), "what was not measured is not kept: {lines}");
    }

    #[test]
    fn figures_of_the_load_are_read() {
        let figures = parse("p50 12\nper_second 3.5\n").unwrap();
        assert_eq!((figures.len(), figures["p50"].to_string().as_str()), (2, "12"));
        assert!(parse("thread panicked").is_err());
    }
}
