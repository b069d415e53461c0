//! Debian trees from the host's own mirror, made by mmdebstrap.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;

use crate::config::Suite;
use crate::error::{LabError, Result};
use crate::files;
use crate::progress::Progress;
use crate::run;

/// Where packages come from when the host does not say.
const DEFAULT_MIRROR: &str = "http://deb.debian.org/debian";

/// How much of what mmdebstrap wrote an error keeps, in lines.
const MAX_KEPT_LINES: usize = 12;

/// What mmdebstrap shall do.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tree<'a> {
    pub(crate) suite: Suite,
    /// mmdebstrap's variant: `minbase` installs a small system, `extract` only unpacks packages.
    pub(crate) variant: &'a str,
    pub(crate) packages: &'a [&'a str],
}

/// Documentation that no machine of a lab reads.
const EXCLUDED: [&str; 3] = ["/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*"];

/// mmdebstrap in its own mount and process namespaces, which end with us even at SIGKILL: nothing is left mounted in
/// the tree, and nobody writes into it when the next run begins anew.
const CONFINED: [&str; 8] =
    ["--pdeathsig=KILL", "--", "unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"];

/// Makes the tree at `target` anew, whatever an interrupted run left there.
pub(crate) fn make_tree(tree: Tree<'_>, target: &Path, progress: &mut dyn Progress) -> Result<()> {
    let mirror = mirror()?;
    let scratch = target.with_extension("tmp");
    for path in [target, &scratch] {
        files::remove(path)?;
    }
    files::make_dir(&scratch)?;
    let mut command = run::command("setpriv", CONFINED);
    command.args(["mmdebstrap", "--mode=root"]);
    command.args(["--format=directory", &format!("--variant={}", tree.variant)]);
    command.args(["--aptopt=Acquire::Retries \"3\"", "--dpkgopt=force-unsafe-io"]);
    command.args(apt_checks().lines().map(|line| format!("--aptopt={line}")));
    command.args(EXCLUDED.map(|path| format!("--dpkgopt=path-exclude={path}")));
    command.arg(format!("--include={}", tree.packages.join(",")));
    command.arg(tree.suite.as_str()).arg(target).arg(&mirror);
    command.env("LC_ALL", "C.UTF-8").env("TMPDIR", &scratch).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| run::not_started(&command, error))?;
    let mut kept = std::collections::VecDeque::new();
    for line in child.stderr.take().into_iter().flat_map(|pipe| BufReader::new(pipe).lines()) {
        let line = line.map_err(LabError::io("read", "mmdebstrap"))?;
        if let Some(told) = line.strip_prefix("I: ") {
            progress.detail(told);
        }
        if kept.len() == MAX_KEPT_LINES {
            kept.pop_front();
        }
        kept.push_back(line);
    }
    let status = child.wait().map_err(LabError::io("wait for", "mmdebstrap"))?;
    files::remove(&scratch)?;
    if status.success() {
        return Ok(());
    }
    let output = kept.into_iter().fold(String::new(), |mut text, line| {
        let _ = write!(text, "\n  {line}");
        text
    });
    Err(LabError::Command { command: run::show(&command), status, output })
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
pub(crate) fn mirror() -> Result<String> {
    let release = files::read_optional(Path::new("/etc/os-release"))?.unwrap_or_default();
    if !release.lines().any(|line| line == "ID=debian") {
        return Ok(DEFAULT_MIRROR.to_owned());
    }
    let modern = files::read_optional(Path::new("/etc/apt/sources.list.d/debian.sources"))?;
    let classic = files::read_optional(Path::new("/etc/apt/sources.list"))?;
    let found = modern.as_deref().and_then(in_deb822);
    let found = found.or_else(|| classic.as_deref().and_then(in_one_line_list));
    Ok(found.unwrap_or(DEFAULT_MIRROR).to_owned())
}

/// The first URI of a `.sources` file that is not the security archive.
fn in_deb822(text: &str) -> Option<&str> {
    let uris = text.lines().filter_map(|line| line.strip_prefix("URIs:"));
    uris.flat_map(str::split_whitespace).find(|uri| is_main_archive(uri))
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

#[cfg(test)]
mod tests {
    use super::*;

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
