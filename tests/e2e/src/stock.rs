//! Machines of stock Debian, and the way to Debian's packages for them.

use std::fs;
use std::io::{ErrorKind, Write as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use flota_lab::{Base, Lab, LabConfig, Plain, Subnet, Suite, apt_checks};
use tempfile::TempDir;

use crate::node::{Facts, Node};
use crate::undertaker::Undertaker;
use crate::{program, wait};

/// Seconds that apt-cacher-ng may take to answer.
const CACHER_UP: u64 = 10;

/// Where it may listen.
const CACHER_PORTS: std::ops::Range<u16> = 3142..3200;

/// One machine to boot.
#[derive(Debug, Clone, Copy)]
pub struct StockMachine {
    /// Its Debian.
    pub suite: Suite,
    /// What it has beside a stock Debian.
    pub packages: &'static [&'static str],
}

/// A lab of stock machines, which reach Debian's packages. It is gone with the test program.
#[derive(Debug)]
pub struct Stock {
    lab: Lab,
    machines: Vec<Facts>,
    _cacher: Cacher,
    _undertaker: Undertaker,
}

impl Stock {
    /// Boots them, whatever was there of an earlier run; the first has number 1.
    #[track_caller]
    pub fn boot(name: &str, subnet: &str, machines: &[StockMachine]) -> Stock {
        let undertaker = Undertaker::hire(&program::flota(), name);
        let subnet: Subnet = subnet.parse().unwrap();
        let config = LabConfig { name: name.parse().unwrap(), subnet, base: Base::Stock, ..LabConfig::default() };
        let progress = &mut Plain(std::io::stderr());
        let open = |config: LabConfig| Lab::open(config).unwrap_or_else(|error| panic!("{error}"));
        let lab = open(config.clone());
        lab.down(progress).unwrap_or_else(|error| panic!("{error}"));
        let mut up = Vec::new();
        for (machine, number) in machines.iter().zip(1..) {
            let packages = machine.packages.iter().map(|name| (*name).to_owned()).collect();
            let config = LabConfig { machines: number, suite: machine.suite, packages, ..config.clone() };
            up = open(config).up(progress).unwrap_or_else(|error| panic!("{error}"));
        }
        let cacher = Cacher::start(subnet.host(), &config.cache_dir.join("apt"));
        let direct = up.iter().map(|machine| format!("Acquire::http::Proxy::{} \"DIRECT\";\n", machine.name));
        let direct: String = direct.collect();
        for machine in &up {
            let line = format!(
                "Acquire::http::Proxy \"http://{}:{}\";\nAPT::Install-Recommends \"false\";\n{}{direct}",
                subnet.host(),
                cacher.port,
                apt_checks()
            );
            fs::write(lab.disk(&machine.name).join("etc/apt/apt.conf.d/00lab"), line).unwrap();
        }
        let machines = up.into_iter().map(|machine| Facts::of(&lab, machine)).collect();
        Stock { lab, machines, _cacher: cacher, _undertaker: undertaker }
    }

    /// The machine of that number, counted from 1.
    pub fn m(&self, number: usize) -> Node<'_> {
        self.machines[number - 1].node(&self.lab)
    }

    /// Copies a file or a folder of the host into `/root` of a machine.
    #[track_caller]
    pub fn copy(&self, from: &Path, number: usize) {
        let to = self.lab.disk(self.m(number).name).join("root");
        let copied = Command::new("cp").args(["-r", "--"]).args([from, &to]).status().unwrap();
        assert!(copied.success(), "cannot copy {} to {}", from.display(), to.display());
    }
}

/// Debian's apt-cacher-ng, which fetches packages for machines that see nothing but the host.
#[derive(Debug)]
struct Cacher {
    port: u16,
    child: Child,
    _dir: TempDir,
}

impl Cacher {
    /// Starts one that listens at `address` alone and keeps packages in `cache` for the next run.
    #[track_caller]
    fn start(address: Ipv4Addr, cache: &Path) -> Cacher {
        fs::create_dir_all(cache).unwrap();
        let dir = tempfile::tempdir().unwrap();
        // Nobody else has addresses of this bridge, so the port stays free. It takes no port beyond 32767, as the kernel gives.
        let free = |port: &u16| TcpListener::bind((address, *port)).is_ok();
        let port = CACHER_PORTS.into_iter().find(free).unwrap();
        let config = format!(
            "CacheDir: {}\nLogDir: {log}\nSocketPath: {log}/socket\nPidFile: {log}/pid\nBindAddress: {address}\nPort: {port}\nForeGround: 1\nReportPage:\n",
            cache.display(),
            log = dir.path().display()
        );
        fs::write(dir.path().join("acng.conf"), config).unwrap();
        let mut command = Command::new("setpriv");
        // It must not outlive a test program that is killed.
        command.args(["--pdeathsig=KILL", "--", "apt-cacher-ng", "-c"]).arg(dir.path());
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
        let cacher = Cacher { port, child, _dir: dir };
        wait::eventually("apt-cacher-ng listens", CACHER_UP, || match TcpStream::connect((address, port)) {
            Ok(mut stream) => stream.write_all(b"").map_err(|error| error.to_string()),
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => Err(error.to_string()),
            Err(error) => panic!("{error}"),
        });
        cacher
    }
}

impl Drop for Cacher {
    fn drop(&mut self) {
        // One that is gone already is what is wanted.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
