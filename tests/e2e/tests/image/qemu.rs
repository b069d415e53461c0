//! A virtual machine under software emulation, in trixie's QEMU: that of bookworm stumbles over kernels of today.

use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use flota_image::Suite;
use flota_image::debian::{Tree, make_tree};
use flota_image::host::Plain;

/// Emulated, everything takes many times as long.
const BOOT_WITHIN: Duration = Duration::from_secs(900);

/// Mounts the directory of the disks and runs QEMU there, both gone with the process.
const RUN: &str = r#"mount --bind "$WORK" "$TREE/mnt" && exec chroot "$TREE" "$@""#;

/// What starts the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Firmware {
    Bios,
    Uefi,
    /// QEMU itself: `vmlinuz` and `initrd` of the directory.
    Kernel,
}

/// What a kernel is told that QEMU loads: the same as the specs of the tests say.
const ARGUMENTS: &str = "root=/dev/vda ro console=ttyS0 mitigations=off panic=-1 quiet";

pub struct Vm {
    process: Child,
    port: u16,
    key: PathBuf,
    console: PathBuf,
}

/// QEMU in a tree of its own, made once.
fn qemu() -> PathBuf {
    let tree = PathBuf::from("/var/cache/flota-lab/qemu-trixie");
    if !tree.join("usr/bin/qemu-system-x86_64").exists() {
        let building = tree.with_extension("building");
        let packages = Tree::new(Suite::Trixie, "minbase", &["qemu-system-x86", "ovmf"]);
        make_tree(packages, &building, &mut Plain(std::io::stderr())).unwrap();
        fs::rename(&building, &tree).unwrap();
    }
    tree
}

impl Vm {
    /// Boots a disk of the directory, with the small one beside it that clouds bring; returns at once. Nothing is written
    /// to either: the next machine finds them as this one did.
    pub fn start(dir: &Path, firmware: Firmware, disk: &str, seed: &str) -> Vm {
        let tree = qemu();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let console = dir.join("console.log");
        let mut line: Vec<String> =
            ["qemu-system-x86_64", "-machine", "q35", "-smp", "2", "-accel", "tcg", "-cpu", "qemu64"]
                .map(str::to_owned)
                .into();
        let more: &[&str] = match firmware {
            Firmware::Bios => &[],
            Firmware::Uefi => &["-bios", "/usr/share/ovmf/OVMF.fd"],
            Firmware::Kernel => &["-kernel", "/mnt/vmlinuz", "-initrd", "/mnt/initrd", "-append", ARGUMENTS],
        };
        line.extend(more.iter().map(|word| (*word).to_owned()));
        for disk in [disk, seed] {
            let format = if Path::new(disk).extension().is_some_and(|it| it == "qcow2") { "qcow2" } else { "raw" };
            let drive = format!("file=/mnt/{disk},if=virtio,format={format},snapshot=on,cache=unsafe");
            line.extend(["-drive".to_owned(), drive]);
        }
        let network = format!("user,model=virtio,hostfwd=tcp:127.0.0.1:{port}-:22");
        line.extend(
            ["-m", "1024", "-display", "none", "-monitor", "none", "-serial", "stdio", "-nic", &network]
                .map(str::to_owned),
        );
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig=KILL", "--", "unshare", "--mount", "sh", "-c", RUN, "sh"]).args(line);
        command.env("WORK", dir).env("TREE", tree).stdin(Stdio::null());
        command.stdout(File::create(&console).unwrap()).stderr(Stdio::inherit());
        Vm { process: command.spawn().unwrap(), port, key: dir.join("key"), console }
    }

    /// A command by ssh; its output once it ran, however it ended.
    pub fn ssh(&self, line: &str) -> Option<Output> {
        let mut command = Command::new("ssh");
        for option in [
            "StrictHostKeyChecking=no",
            "UserKnownHostsFile=/dev/null",
            "ConnectTimeout=60",
            "LogLevel=ERROR",
            "BatchMode=yes",
        ] {
            command.args(["-o", option]);
        }
        command.arg("-i").arg(&self.key).args(["-p", &self.port.to_string(), "root@127.0.0.1", line]);
        let output = command.stdin(Stdio::null()).output().unwrap();
        // 255 is ssh's own failure.
        (output.status.code() != Some(255)).then_some(output)
    }

    /// A command's standard output, once somebody can log in and it succeeds.
    #[track_caller]
    pub fn eventually(&self, line: &str) -> String {
        let started = Instant::now();
        loop {
            let output = self.ssh(line);
            if let Some(output) = &output
                && output.status.success()
            {
                return String::from_utf8_lossy(&output.stdout).into_owned();
            }
            if started.elapsed() > BOOT_WITHIN {
                let console = fs::read(&self.console).unwrap_or_default();
                panic!("`{line}` does not succeed: {output:?}\n{}", String::from_utf8_lossy(&console));
            }
            sleep(Duration::from_secs(2));
        }
    }

    /// What the machine wrote to its serial port.
    pub fn console(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.console).unwrap()).into_owned()
    }
}

impl Drop for Vm {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
