//! `cargo xtask bench conf`: the works that the original confd was measured with, by the release program `confd`.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::http::exchange;
use crate::shell::{self, capture, cargo, target_dir};

use super::figures::{Figures, Unit};
use super::millis;
use super::store;

/// 10,000 keys in 1,000 directories of 10.
const DIRECTORIES: usize = 1000;
const KEYS: &str = "10";

/// Names one of the directories' templates reads, all else being equal.
const FIRST_DIRECTORY: &str = "/bench/d0000/k0";

/// The variable that names a folder for templates and files, if it is not to be the target directory.
const FOLDER: &str = "FLOTA_BENCH_FOLDER";

const RUNS_ONETIME: usize = 15;
const RUNS_LARGE: usize = 5;
const CHANGES: &str = "60";
const CHANGES_OF_ALL: &str = "25";
const BURST: &str = "200";

/// How long all files may take after a start, and how often they are looked for.
const PATIENCE: Duration = Duration::from_secs(30);
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Left alone before its memory counts.
const IDLE: Duration = Duration::from_secs(5);

/// Measures everything, against Debian's etcd on a free port.
pub fn measure() -> Result<()> {
    let mut build = cargo(["build", "--release", "-p", "flota-confd", "-p", "flota-conf", "--bin", "confd"]);
    shell::run(build.args(["--example", "keys"]))?;
    let bench = Bench::new()?;
    let size = fs::metadata(&bench.confd).with_context(|| bench.confd.display().to_string())?.len();
    Figures::one(size as f64 / 1e6).print("program_size", Unit::Megabytes, None);
    bench.floor()?;
    let etcd = bench.etcd()?;
    bench.keys(&["fill", &DIRECTORIES.to_string(), KEYS])?;
    let measured = bench.onetime().and_then(|()| bench.watching());
    drop(etcd);
    bench.clear()?;
    measured
}

/// Where the programs are, and a place for templates and files.
struct Bench {
    /// Where etcd listens.
    endpoint: SocketAddr,
    keys: PathBuf,
    confd: PathBuf,
    scratch: PathBuf,
}

/// What the templates of a work read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reads {
    /// Each its own directory of keys.
    Own,
    /// Each the same directory.
    First,
    /// Each all keys.
    All,
}

impl Bench {
    fn new() -> Result<Bench> {
        let release = target_dir()?.join("release");
        // Another file system is another floor: tmpfs shows what confd itself takes.
        let folder = std::env::var_os(FOLDER).map_or_else(target_dir, |folder| Ok(folder.into()))?;
        let scratch = folder.join("bench-conf");
        let keys = release.join("examples/keys");
        let bench = Bench { endpoint: free_address()?, keys, confd: release.join("confd"), scratch };
        bench.clear()?;
        fs::create_dir_all(&bench.scratch).context("can't make a directory for templates")?;
        Ok(bench)
    }

    /// Debian's etcd, when it answers.
    fn etcd(&self) -> Result<Process> {
        let (client, peer) = (format!("http://{}", self.endpoint), format!("http://{}", free_address()?));
        let mut command = Command::new("/usr/bin/etcd");
        command.arg("--data-dir").arg(self.scratch.join("etcd")).args(["--log-level", "error"]);
        command.args(["--listen-client-urls", &client, "--advertise-client-urls", &client]);
        command.args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer]);
        command.args(["--initial-cluster", &format!("default={peer}")]);
        // What it says of itself is of no use here.
        let etcd = Process::start(command.stderr(Stdio::null()))?;
        let began = Instant::now();
        let answers =
            || TcpStream::connect(self.endpoint).is_ok_and(|stream| exchange(stream, "GET", "/health", None).is_ok());
        while !answers() {
            if began.elapsed() > PATIENCE {
                bail!("etcd does not answer within {} s", PATIENCE.as_secs());
            }
            sleep(LOOK_EVERY);
        }
        Ok(etcd)
    }

    fn clear(&self) -> Result<()> {
        match fs::remove_dir_all(&self.scratch) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// What the file system alone takes to have files that are written beside their places in their places, with nothing else done.
    fn floor(&self) -> Result<()> {
        for (name, count, is_new) in
            [("floor_1000_new_files", DIRECTORIES, true), ("floor_1_file", 1, false), ("floor_100_files", 100, false)]
        {
            let directory = self.scratch.join("floor");
            let mut time = Figures::default();
            for run in 0..=RUNS_LARGE {
                if is_new && directory.exists() {
                    fs::remove_dir_all(&directory)?;
                }
                fs::create_dir_all(&directory)?;
                // Nobody else's bytes are waited for, nor those of the run before.
                rustix::fs::syncfs(fs::File::open(&directory)?)?;
                let began = Instant::now();
                replace(&directory, count, run)?;
                // The first run made what the others replace.
                if run > 0 {
                    time.push(millis(began.elapsed()));
                }
            }
            fs::remove_dir_all(&directory)?;
            time.print(name, Unit::Milliseconds, None);
        }
        Ok(())
    }

    /// One run over all templates, files not there before.
    fn onetime(&self) -> Result<()> {
        for (name, count, reads, runs, milliseconds, megabytes) in [
            ("onetime_1", 1, Reads::Own, RUNS_ONETIME, 5.0, 8.0),
            ("onetime_1000", DIRECTORIES, Reads::Own, RUNS_LARGE, 200.0, 20.0),
            ("onetime_100_over_all_keys", 100, Reads::All, RUNS_LARGE, 500.0, 60.0),
        ] {
            eprintln!("{name}, {runs} times");
            let work = Work::new(self, count, reads, None)?;
            let (mut time, mut memory) = (Figures::default(), Figures::default());
            for _ in 0..runs {
                work.forget_files()?;
                time.push(millis(work.run_once()?));
                work.forget_files()?;
                memory.push(work.peak_bytes()? as f64 / 1e6);
            }
            time.print(name, Unit::Milliseconds, Some(milliseconds));
            memory.print(&format!("{name}_peak_memory"), Unit::Megabytes, Some(megabytes));
        }
        Ok(())
    }

    /// What follows changes.
    fn watching(&self) -> Result<()> {
        eprintln!("one file follows its key");
        let work = Work::new(self, 1, Reads::First, None)?;
        let confd = work.watch()?;
        let time = self.keys(&["follow", &work.out(), "1", FIRST_DIRECTORY, CHANGES])?;
        drop(confd);
        time.print("commit_to_file", Unit::Microseconds, Some(700.0));
        time.print_p90("commit_to_file_p90", Unit::Microseconds);

        eprintln!("100 files follow one key");
        let work = Work::new(self, 100, Reads::First, None)?;
        let confd = work.watch()?;
        let time = self.keys(&["follow", &work.out(), "100", FIRST_DIRECTORY, CHANGES_OF_ALL])?;
        drop(confd);
        time.print("commit_to_100_files", Unit::Microseconds, Some(10_000.0));

        eprintln!("{BURST} quick changes");
        self.burst()?;

        eprintln!("{DIRECTORIES} templates, idle");
        let work = Work::new(self, DIRECTORIES, Reads::Own, None)?;
        let confd = work.watch()?;
        sleep(IDLE);
        let memory = store::memory_bytes(confd.0.id())? as f64 / 1e6;
        Figures::one(memory).print("idle_memory_1000_templates", Unit::Megabytes, Some(15.0));
        Ok(())
    }

    fn burst(&self) -> Result<()> {
        let (mut renders, mut reloads) = (Figures::default(), Figures::default());
        for _ in 0..RUNS_LARGE {
            let told = self.scratch.join("reloads");
            let work = Work::new(self, 1, Reads::First, Some(&told))?;
            let confd = work.watch()?;
            // The reload of the start is over.
            sleep(Duration::from_millis(500));
            let before = lines(&told);
            renders.push(self.keys(&["burst", &work.out(), FIRST_DIRECTORY, BURST])?.median());
            reloads.push((lines(&told) - before) as f64);
            drop(confd);
            let _ = fs::remove_file(&told);
        }
        renders.print("renders_of_200_changes", Unit::Times, Some(3.0));
        reloads.print("reloads_of_200_changes", Unit::Times, Some(2.0));
        Ok(())
    }

    /// Runs the program that changes keys, and reads the figures that it prints.
    fn keys(&self, words: &[&str]) -> Result<Figures> {
        let text = capture(Command::new(&self.keys).arg(self.endpoint.to_string()).args(words))?;
        let mut figures = Figures::default();
        for line in text.lines() {
            let (_, value) = line.split_once(' ').with_context(|| format!("`{line}` is no figure"))?;
            figures.push(value.parse().with_context(|| format!("`{line}` has no number"))?);
        }
        Ok(figures)
    }
}

/// Templates and their resources in place of those of the work before.
struct Work<'b> {
    bench: &'b Bench,
    root: PathBuf,
    count: usize,
}

impl<'b> Work<'b> {
    fn new(bench: &'b Bench, count: usize, reads: Reads, reloads: Option<&Path>) -> Result<Work<'b>> {
        let work = Work { bench, root: bench.scratch.join("work"), count };
        if work.root.exists() {
            fs::remove_dir_all(&work.root)?;
        }
        for directory in ["conf.d", "templates", "out"] {
            fs::create_dir_all(work.root.join(directory))?;
        }
        for number in 0..count {
            let (keys, pattern) = match reads {
                Reads::Own => (format!("/bench/d{number:04}"), format!("/bench/d{number:04}/*")),
                Reads::First => ("/bench/d0000".to_owned(), "/bench/d0000/*".to_owned()),
                Reads::All => ("/bench".to_owned(), "/bench/*/*".to_owned()),
            };
            let template =
                format!("# {number}\n{{{{range gets \"{pattern}\"}}}}{{{{.Key}}}} = {{{{.Value}}}}\n{{{{end}}}}");
            fs::write(work.root.join(format!("templates/t{number}.tmpl")), template)?;
            let dest = work.root.join(format!("out/f{number}"));
            let reload = reloads.map(|told| format!("reload_cmd = \"echo reloaded >> {}\"\n", told.display()));
            let resource = format!(
                "[template]\nsrc = \"t{number}.tmpl\"\ndest = \"{}\"\nkeys = [\"{keys}\"]\n{}",
                dest.display(),
                reload.unwrap_or_default()
            );
            fs::write(work.root.join(format!("conf.d/r{number:04}.toml")), resource)?;
        }
        Ok(work)
    }

    fn out(&self) -> String {
        self.root.join("out").display().to_string()
    }

    /// The files of the run before are put aside, not removed: an ext4 without a journal searches for a long time where many files were
    /// removed within the last seconds.
    fn forget_files(&self) -> Result<()> {
        let aside = self.root.join("aside");
        fs::create_dir_all(&aside)?;
        fs::rename(self.root.join("out"), aside.join(fs::read_dir(&aside)?.count().to_string()))?;
        Ok(fs::create_dir(self.root.join("out"))?)
    }

    /// The program's arguments, behind itself or behind another program that starts it.
    fn confd(&self, mut command: Command, mode: &str) -> Command {
        if command.get_program() != self.bench.confd {
            command.arg(&self.bench.confd);
        }
        command.arg("-confdir").arg(&self.root).args(["-backend", "etcdv3", "-log-level", "error", mode]);
        command.args(["-node", &format!("http://{}", self.bench.endpoint)]);
        command.env("XDG_STATE_HOME", &self.root).stdin(Stdio::null());
        command
    }

    fn program(&self) -> Command {
        Command::new(&self.bench.confd)
    }

    /// From its start to its end.
    fn run_once(&self) -> Result<Duration> {
        let mut command = self.confd(self.program(), "-onetime");
        let began = Instant::now();
        shell::run(&mut command)?;
        let took = began.elapsed();
        if self.files()? != self.count {
            bail!("{} files instead of {}", self.files()?, self.count);
        }
        Ok(took)
    }

    /// The most memory that a run took at any time, as the kernel counted it for its parent.
    fn peak_bytes(&self) -> Result<u64> {
        let mut time = Command::new("/usr/bin/time");
        time.args(["--format", "%M"]);
        let output = shell::output(&mut self.confd(time, "-onetime"))?;
        let said = String::from_utf8_lossy(&output.stderr);
        let kibibytes: u64 = said.trim().parse().with_context(|| format!("time said: {said}"))?;
        Ok(kibibytes * 1024)
    }

    /// Started, and all files there.
    fn watch(&self) -> Result<Process> {
        self.forget_files()?;
        let confd = Process::start(&mut self.confd(self.program(), "-watch"))?;
        let began = Instant::now();
        while self.files()? != self.count {
            if began.elapsed() > PATIENCE {
                bail!("{} files of {} after {} s", self.files()?, self.count, PATIENCE.as_secs());
            }
            sleep(LOOK_EVERY);
        }
        Ok(confd)
    }

    /// How many files are in place.
    fn files(&self) -> Result<usize> {
        let names = fs::read_dir(self.root.join("out"))?.map(|entry| Ok(entry?.file_name()));
        let names: Vec<_> = names.collect::<Result<_>>()?;
        Ok(names.iter().filter(|name| !name.as_encoded_bytes().starts_with(b".")).count())
    }
}

/// Replaces so many small files in the way that leaves the old ones or the new ones after a crash.
fn replace(directory: &Path, count: usize, content: usize) -> Result<()> {
    let content = format!("{content:0300}");
    let beside = |number: usize| directory.join(format!(".f{number}"));
    for number in 0..count {
        fs::write(beside(number), &content)?;
    }
    let handle = fs::File::open(directory)?;
    if count == 1 {
        fs::File::open(beside(0))?.sync_all()?;
    } else {
        rustix::fs::syncfs(&handle)?;
    }
    for number in 0..count {
        fs::rename(beside(number), directory.join(format!("f{number}")))?;
    }
    Ok(handle.sync_all()?)
}

/// A process of ours; killed with this value.
struct Process(Child);

impl Process {
    fn start(command: &mut Command) -> Result<Process> {
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn();
        Ok(Process(child.with_context(|| format!("can't start {}", shell::show(command)))?))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

fn lines(file: &Path) -> usize {
    fs::read_to_string(file).map_or(0, |text| text.lines().count())
}
