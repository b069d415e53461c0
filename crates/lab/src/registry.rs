//! The lab's registry of images: Debian's docker-registry on the bridge, one per lab.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};

use crate::config::LabName;
use crate::error::{LabError, Result};
use crate::files;
use crate::host::Init;
use crate::run::{self, command};

/// Its port on the bridge, which machines are told to trust (`render::docker`).
pub(crate) const PORT: u16 = 5000;

/// The name by which machines know it.
pub(crate) const NAME: &str = "registry";

/// How long it may take to begin, or to end.
const PATIENCE: Duration = Duration::from_secs(20);

const ASK_EVERY: Duration = Duration::from_millis(50);

/// Sees to it that it runs; its address.
pub(crate) fn ensure(lab: &LabName, host: Ipv4Addr, lab_dir: &Path) -> Result<SocketAddr> {
    let address = SocketAddr::from((host, PORT));
    let file = config_file(lab_dir);
    if process(&file)?.is_none() {
        let dir = lab_dir.join("registry");
        let text = format!(
            "version: 0.1\nlog:\n  level: warn\nstorage:\n  filesystem:\n    rootdirectory: {}\nhttp:\n  addr: {address}\n",
            dir.join("data").display()
        );
        files::write(&file, text.as_bytes(), 0o644)?;
        start(lab, &file, &dir.join("log"))?;
    }
    let deadline = Instant::now() + PATIENCE;
    while TcpStream::connect_timeout(&address, ASK_EVERY).is_err() {
        if Instant::now() > deadline {
            return Err(LabError::NoRegistry { address, log: lab_dir.join("registry/log") });
        }
        sleep(ASK_EVERY);
    }
    Ok(address)
}

/// Ends it, if it runs.
pub(crate) fn stop(lab_dir: &Path) -> Result<()> {
    let file = config_file(lab_dir);
    let deadline = Instant::now() + PATIENCE;
    while let Some(pid) = process(&file)? {
        let late = Instant::now() > deadline;
        match rustix::process::kill_process(pid, if late { Signal::KILL } else { Signal::TERM }) {
            Err(rustix::io::Errno::SRCH) | Ok(()) => {}
            Err(error) => return Err(LabError::io("signal", "docker-registry")(error)),
        }
        sleep(ASK_EVERY);
    }
    Ok(())
}

fn config_file(lab_dir: &Path) -> PathBuf {
    lab_dir.join("registry/config.yml")
}

fn start(lab: &LabName, file: &Path, log: &Path) -> Result<()> {
    let serve = ["docker-registry".as_ref(), "serve".as_ref(), file.as_os_str()];
    let mut start = match Init::of_host() {
        Init::Systemd => {
            let mut run = command("systemd-run", ["--quiet", "--collect"]);
            run.arg(format!("--unit={}", lab.host_unit(NAME)));
            run.arg(format!("--property=StandardError=append:{}", log.display()));
            run
        }
        Init::Other => {
            let mut run = command("setsid", ["--fork"]);
            let log_file = File::create(log).map_err(LabError::io("make", log))?;
            let other = log_file.try_clone().map_err(LabError::io("open", log))?;
            run.stdout(log_file).stderr(other).current_dir("/");
            run
        }
    };
    start.args(serve);
    let output = run::output(&mut start)?;
    run::check(&start, output)?;
    Ok(())
}

/// The process that serves by that file, as `/proc` tells.
fn process(file: &Path) -> Result<Option<Pid>> {
    let entries = fs::read_dir("/proc").map_err(LabError::io("read", "/proc"))?;
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let serves = |pid: &i32| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let mut words = line.split(|&byte| byte == 0);
        words.next().is_some_and(|program| program.ends_with(b"docker-registry"))
            && words.any(|word| word == file.as_os_str().as_encoded_bytes())
    };
    Ok(pids.into_iter().find(serves).and_then(Pid::from_raw))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_run_is_stopped_already() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(process(&config_file(dir.path())).unwrap(), None);
        stop(dir.path()).unwrap();
    }
}
