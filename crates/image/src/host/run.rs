//! Runs a program of the host to its end, with an error that tells what it said.

use std::ffi::OsStr;
use std::io::{self, Write};
use std::process::{Command, Output, Stdio};

use super::error::{HostError, Missing, Result};

/// How much of a command line and of its output an error shows, in characters.
const MAX_SHOWN: usize = 600;

/// Programs of the host and their Debian packages: all that a lab calls.
pub const TOOLS: &[Missing] = &[
    Missing { tool: "systemd-nspawn", package: "systemd-container" },
    Missing { tool: "systemctl", package: "systemd" },
    Missing { tool: "mmdebstrap", package: "mmdebstrap" },
    Missing { tool: "ip", package: "iproute2" },
    Missing { tool: "nft", package: "nftables" },
    Missing { tool: "ssh-keygen", package: "openssh-client" },
    Missing { tool: "nsenter", package: "util-linux" },
    Missing { tool: "setpriv", package: "util-linux" },
    Missing { tool: "unshare", package: "util-linux" },
    Missing { tool: "setsid", package: "util-linux" },
    Missing { tool: "tar", package: "tar" },
];

/// What making an image of a disk takes beside that.
pub const DISK_TOOLS: &[Missing] = &[
    Missing { tool: "mke2fs", package: "e2fsprogs" },
    Missing { tool: "mkfs.vfat", package: "dosfstools" },
    Missing { tool: "mcopy", package: "mtools" },
    Missing { tool: "mmd", package: "mtools" },
    Missing { tool: "sfdisk", package: "fdisk" },
    Missing { tool: "grub-mkimage", package: "grub-common" },
];

/// What the format qcow2 takes beside that.
pub const QCOW2_TOOLS: &[Missing] = &[Missing { tool: "qemu-img", package: "qemu-utils" }];

/// A command that reads nothing.
pub fn command<S: AsRef<OsStr>>(program: &str, args: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::null());
    command
}

/// Runs it; its standard output when it succeeded.
pub fn run(command: &mut Command) -> Result<String> {
    let output = output(command)?;
    check(command, output)
}

/// Runs it with `input` on its standard input; its standard output when it succeeded.
pub fn run_with_input(command: &mut Command, input: &str) -> Result<String> {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| not_started(command, error))?;
    if let Some(mut stdin) = child.stdin.take() {
        // A program that ends without reading tells why on standard error, which says more than this write's error.
        let _ = stdin.write_all(input.as_bytes());
    }
    let output = child.wait_with_output().map_err(|error| not_started(command, error))?;
    check(command, output)
}

/// Whether it succeeds; what it writes is of no interest.
pub fn succeeds(command: &mut Command) -> Result<bool> {
    Ok(output(command)?.status.success())
}

/// Runs it, whatever its exit status.
pub fn output(command: &mut Command) -> Result<Output> {
    command.output().map_err(|error| not_started(command, error))
}

/// Its standard output, or the error that tells what it wrote.
pub fn check(command: &Command, output: Output) -> Result<String> {
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(stdout);
    }
    let stderr = String::from_utf8_lossy(&output.stderr);
    let said = if stderr.trim().is_empty() { stdout.as_str() } else { &stderr };
    Err(HostError::Command { command: show(command), status: output.status, output: tail(said.trim()).to_owned() })
}

/// The error of a program that could not be started: when it is not there, with its package.
pub fn not_started(command: &Command, error: io::Error) -> HostError {
    let program = command.get_program();
    let known = TOOLS.iter().chain(DISK_TOOLS).chain(QCOW2_TOOLS).find(|missing| program == OsStr::new(missing.tool));
    match known {
        Some(missing) if error.kind() == io::ErrorKind::NotFound => HostError::MissingTools(vec![*missing]),
        _ => HostError::Io { action: "run", path: program.into(), source: error },
    }
}

/// The command line for people, shortened.
pub fn show(command: &Command) -> String {
    let mut text = command.get_program().to_string_lossy().into_owned();
    for arg in command.get_args() {
        text.push(' ');
        text.push_str(&arg.to_string_lossy());
    }
    match text.char_indices().nth(MAX_SHOWN) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}

fn tail(text: &str) -> &str {
    let extra = text.chars().count().saturating_sub(MAX_SHOWN);
    text.char_indices().nth(extra).map_or("", |(start, _)| &text[start..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_tells_what_the_program_said() {
        let error = run(&mut command("sh", ["-c", "echo no luck >&2; exit 3"])).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("no luck") && text.contains("exit status: 3"), "{text}");
        assert_eq!(run_with_input(&mut command("cat", ["-"]), "abc").unwrap(), "abc");
    }

    #[test]
    fn a_missing_program_names_its_package() {
        let error = not_started(&Command::new("mmdebstrap"), io::ErrorKind::NotFound.into());
        assert!(error.to_string().ends_with("apt-get install mmdebstrap"), "{error}");
    }

    #[test]
    fn long_output_keeps_its_end() {
        let text = format!("{}end", "ä".repeat(MAX_SHOWN));
        assert!(tail(&text).ends_with("end"));
        assert_eq!(tail(&text).chars().count(), MAX_SHOWN);
        assert_eq!(tail("short"), "short");
    }
}
