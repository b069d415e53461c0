//! Commands inside a running machine.

use std::process::Command;

/// Debian's PATH of root.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// `argv` in the namespaces of the machine whose PID 1 is `leader`: as root, in `/root`, with a small clean environment.
/// An empty `argv` is a login shell. The exit status is the command's own.
pub(crate) fn command_in<S: AsRef<str>>(leader: u32, argv: &[S]) -> Command {
    let mut command = Command::new("nsenter");
    command.args(["--target", &leader.to_string()]);
    command.args(["--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup", "--wdns=/root", "--"]);
    if argv.is_empty() {
        command.args(["/bin/bash", "-l"]);
    }
    command.args(argv.iter().map(AsRef::as_ref));
    command.env_clear();
    command.envs([("PATH", PATH), ("HOME", "/root"), ("USER", "root"), ("LANG", "C.UTF-8")]);
    if let Some(terminal) = std::env::var_os("TERM") {
        command.env("TERM", terminal);
    }
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_stay_apart_from_options() {
        let command = command_in(42, &["ls", "-l", "a b"]);
        let args: Vec<_> = command.get_args().map(|arg| arg.to_str().unwrap()).collect();
        assert_eq!(args[..2], ["--target", "42"]);
        assert_eq!(args[args.len() - 4..], ["--", "ls", "-l", "a b"]);
        let shell = command_in::<&str>(42, &[]);
        assert_eq!(shell.get_args().last().unwrap(), "-l");
    }
}
