//! Debian trees from the host's own mirror, made by mmdebstrap.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::host::{HostError, Progress, Result, files, run};
use crate::suite::Suite;

/// Where packages come from when the host does not say.
const DEFAULT_MIRROR: &str = "http://deb.debian.org/debian";

/// Where Debian itself says where packages come from, since bookworm.
const DEB822: &str = "/etc/apt/sources.list.d/debian.sources";

/// How much of what mmdebstrap wrote an error keeps, in lines.
const MAX_KEPT_LINES: usize = 12;

/// How long a mirror may be silent, in seconds; apt itself would wait minutes.
const SILENCE_SECONDS: u32 = 20;

/// What mmdebstrap shall do.
#[derive(Debug, Clone, Copy)]
pub struct Tree<'a> {
    /// Debian's release.
    pub suite: Suite,
    /// mmdebstrap's variant: `minbase` installs a small system, `extract` only unpacks packages.
    pub variant: &'a str,
    /// Packages beside those of the variant.
    pub packages: &'a [&'a str],
    /// Where packages come from: an address, or lines as in `sources.list`; empty: the host's own mirror.
    pub sources: &'a [String],
    /// Further options of mmdebstrap, such as hooks.
    pub options: &'a [String],
    /// Further variables of its environment.
    pub environment: &'a [(&'a str, String)],
}

impl<'a> Tree<'a> {
    /// A tree from the host's own mirror.
    pub fn new(suite: Suite, variant: &'a str, packages: &'a [&'a str]) -> Self {
        Self { suite, variant, packages, sources: &[], options: &[], environment: &[] }
    }
}

/// Documentation that nobody reads on a node.
pub(crate) const EXCLUDED: [&str; 3] = ["/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*"];

/// mmdebstrap in its own mount and process namespaces, which end with us even at SIGKILL: nothing is left mounted in
/// the tree, and nobody writes into it when the next run begins anew.
const CONFINED: [&str; 8] =
    ["--pdeathsig=KILL", "--", "unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"];

/// Makes the tree at `target` anew, whatever an interrupted run left there.
pub fn make_tree(tree: Tree<'_>, target: &Path, progress: &mut dyn Progress) -> Result<()> {
    let sources = if tree.sources.is_empty() { vec![mirror()?] } else { tree.sources.to_vec() };
    let scratch = target.with_extension("tmp");
    for path in [target, &scratch] {
        files::remove(path)?;
    }
    files::make_dir(&scratch)?;
    let mut command = run::command("setpriv", CONFINED);
    command.args(["mmdebstrap", "--mode=root"]);
    command.args(["--format=directory", &format!("--variant={}", tree.variant)]);
    command.args(["--aptopt=Acquire::Retries \"3\"", "--dpkgopt=force-unsafe-io"]);
    command.arg(format!("--aptopt=Acquire::http::Timeout \"{SILENCE_SECONDS}\""));
    command.args(apt_checks().lines().map(|line| format!("--aptopt={line}")));
    command.args(EXCLUDED.map(|path| format!("--dpkgopt=path-exclude={path}")));
    command.args(tree.options);
    command.arg(format!("--include={}", tree.packages.join(",")));
    command.arg(tree.suite.as_str()).arg(target).args(&sources);
    command.env("LC_ALL", "C.UTF-8").env("TMPDIR", &scratch).envs(tree.environment.iter().cloned());
    let result = follow(&mut command, progress);
    files::remove(&scratch)?;
    result.map_err(|error| without_mirror(error, &sources))
}

/// Runs mmdebstrap, telling what it tells.
fn follow(command: &mut Command, progress: &mut dyn Progress) -> Result<()> {
    command.stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| run::not_started(command, error))?;
    let mut kept = VecDeque::new();
    for line in child.stderr.take().into_iter().flat_map(|pipe| BufReader::new(pipe).split(b'\n')) {
        let line = line.map_err(HostError::io("read", "mmdebstrap"))?;
        let line = String::from_utf8_lossy(&line).into_owned();
        if let Some(told) = line.strip_prefix("I: ") {
            progress.detail(told);
        }
        if kept.len() == MAX_KEPT_LINES {
            kept.pop_front();
        }
        kept.push_back(line);
    }
    let status = child.wait().map_err(HostError::io("wait for", "mmdebstrap"))?;
    if status.success() {
        return Ok(());
    }
    let output = kept.into_iter().fold(String::new(), |mut text, line| {
        let _ = write!(text, "\n  {line}");
        text
    });
    Err(HostError::Command { command: run::show(command), status, output })
}

/// A mirror that does not answer is worth an error of its own: what mmdebstrap says of it fills a page.
fn without_mirror(error: HostError, sources: &[String]) -> HostError {
    let HostError::Command { output, .. } = &error else { return error };
    let signs = [
        "Could not resolve",
        "Temporary failure resolving",
        "Could not connect",
        "Cannot initiate",
        "Unable to connect",
        "Connection failed",
        "connection timed out",
        "does not have a Release file",
        "404  Not Found",
    ];
    let said = output.lines().find(|line| signs.iter().any(|sign| line.contains(sign)));
    match said {
        Some(said) => HostError::Mirror { sources: sources.join(", "), said: said.trim().to_owned() },
        None => error,
    }
}

/// How the host's apt judges the age of what a mirror says, as lines of apt.conf: packages come from the host's own mirror,
/// and one that stands still is all that some hosts have.
pub fn apt_checks() -> String {
    let mut command = run::command("apt-config", ["dump", "--no-empty", "--format", "%f \"%v\";%n"]);
    command.args(["Acquire::Check-Valid-Until", "Acquire::Check-Date"]);
    match run::output(&mut command) {
        Ok(output) if output.status.success() => String::from_utf8_lossy(&output.stdout).into_owned(),
        // A host without apt.
        _ => String::new(),
    }
}

/// The host's own mirror when the host is Debian, else Debian's.
pub fn mirror() -> Result<String> {
    let release = files::read_optional(Path::new("/etc/os-release"))?.unwrap_or_default();
    if !release.lines().any(|line| line == "ID=debian") {
        return Ok(DEFAULT_MIRROR.to_owned());
    }
    let modern = files::read_optional(Path::new(DEB822))?;
    let classic = files::read_optional(Path::new("/etc/apt/sources.list"))?;
    let found = modern.as_deref().and_then(in_deb822);
    let found = found.or_else(|| classic.as_deref().and_then(in_one_line_list));
    Ok(found.unwrap_or(DEFAULT_MIRROR).to_owned())
}

/// The URIs of a `.sources` file.
fn uris(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter_map(|line| line.strip_prefix("URIs:")).flat_map(str::split_whitespace)
}

/// The first URI of a `.sources` file that is not the security archive.
fn in_deb822(text: &str) -> Option<&str> {
    uris(text).find(|uri| is_main_archive(uri))
}

/// The same of a `sources.list`: `deb [options] URI suite components`.
fn in_one_line_list(text: &str) -> Option<&str> {
    let lines = text.lines().filter_map(|line| line.trim().strip_prefix("deb "));
    lines.filter_map(|line| line.split_whitespace().find(|word| word.contains("://"))).find(|uri| is_main_archive(uri))
}

fn is_main_archive(uri: &str) -> bool {
    let schemes = ["http://", "https://"];
    schemes.iter().any(|scheme| uri.starts_with(scheme)) && !uri.contains("security")
}

/// The host's own mirror of the security archive when the host is Debian, else Debian's.
pub(crate) fn security_mirror() -> Result<String> {
    let modern = files::read_optional(Path::new(DEB822))?.unwrap_or_default();
    let found = uris(&modern).find(|uri| uri.starts_with("http") && uri.contains("security"));
    Ok(found.unwrap_or("http://security.debian.org/debian-security").to_owned())
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use super::*;

    #[test]
    fn a_mirror_that_is_away_is_told_in_one_line() {
        let output = "\n  Ign:1 http://no.example trixie InRelease\n  W: Failed to fetch http://no.example/x  Could not resolve 'no.example'\n  E: mmdebstrap failed to run";
        let status = std::process::ExitStatus::from_raw(256);
        let error = HostError::Command { command: "mmdebstrap".into(), status, output: output.into() };
        let text = without_mirror(error, &["http://no.example".to_owned()]).to_string();
        assert_eq!(
            text,
            "can't build from http://no.example: W: Failed to fetch http://no.example/x  Could not resolve 'no.example'"
        );
    }

    #[test]
    fn the_mirror_is_the_hosts_own() {
        let text = "Types: deb\nURIs: http://security.debian.org/debian-security\nSuites: x\n\n\
                    Types: deb\nURIs: http://ftp.example/debian\nSuites: trixie\n";
        assert_eq!(in_deb822(text), Some("http://ftp.example/debian"));
        let text = "# deb http://old/debian x main\ndeb cdrom:[Debian]/ x main\n\
                    deb [signed-by=/k] https://ftp.example/debian trixie main\n";
        assert_eq!(in_one_line_list(text), Some("https://ftp.example/debian"));
        assert_eq!(in_deb822(""), None);
    }
}
