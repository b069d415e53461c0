//! Dockerfiles, as much of them as images from Debian packages need; any other line is refused.
//!
//! `FROM` names `debian:SUITE-slim` or another image of the same folder, `RUN` installs packages by apt-get and nothing else.

use std::path::Path;

use flota_image::Suite;

use crate::error::{LabError, Result};
use crate::files;

/// What an image is made from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum From {
    /// Debian's own image of a release.
    Debian(Suite),
    /// Another image of the same folder, by its name there.
    Image(String),
}

/// One image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Dockerfile {
    pub(crate) from: From,
    /// Debian packages that it adds.
    pub(crate) packages: Vec<String>,
    /// What is copied: a path in the folder of the Dockerfile, a path in the image.
    pub(crate) copies: Vec<(String, String)>,
    /// Variables that its processes have.
    pub(crate) environment: Vec<(String, String)>,
    /// The command line of a container that is given none.
    pub(crate) command: Vec<String>,
    /// TCP ports that it listens on.
    pub(crate) ports: Vec<u16>,
}

impl Dockerfile {
    /// Reads one; `prefix` is what the names of the folder's own images begin with, such as `elk`.
    pub(crate) fn read(path: &Path, prefix: &str) -> Result<Self> {
        let text = files::read_optional(path)?;
        let refuse = |why| LabError::Dockerfile { path: path.to_owned(), why };
        parse(&text.ok_or_else(|| refuse("it is not there".to_owned()))?, prefix).map_err(refuse)
    }
}

fn parse(text: &str, prefix: &str) -> std::result::Result<Dockerfile, String> {
    let mut found = None;
    let lines = text.lines().filter(|line| !line.trim_start().starts_with('#'));
    let joined = lines.collect::<Vec<_>>().join("\n").replace("\\\n", " ");
    for line in joined.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (verb, rest) = line.split_once(' ').ok_or_else(|| format!("`{line}` says nothing"))?;
        let rest = rest.trim();
        if verb == "FROM" {
            if found.is_some() {
                return Err("only one FROM is understood here".to_owned());
            }
            found = Some(empty(from(rest, prefix)?));
            continue;
        }
        let file = found.as_mut().ok_or_else(|| format!("`{verb}` stands before FROM"))?;
        read_line(file, verb, rest)?;
    }
    found.ok_or_else(|| "it has no FROM".to_owned())
}

fn read_line(file: &mut Dockerfile, verb: &str, rest: &str) -> std::result::Result<(), String> {
    match verb {
        "RUN" => file.packages.extend(installed(rest)?),
        "COPY" => {
            let (from, to) = rest.split_once(' ').ok_or_else(|| format!("`COPY {rest}` has no target"))?;
            if from.starts_with('-') || to.trim().contains(' ') {
                return Err(format!("`COPY {rest}`: only one source without options is understood here"));
            }
            file.copies.push((from.to_owned(), to.trim().to_owned()));
        }
        "ENV" => {
            let (name, value) = rest.split_once('=').ok_or_else(|| format!("`ENV {rest}` has no ="))?;
            file.environment.push((name.to_owned(), value.trim_matches('"').to_owned()));
        }
        "EXPOSE" => {
            for port in rest.split_whitespace() {
                file.ports.push(port.parse().map_err(|_| format!("`{port}` is no port"))?);
            }
        }
        "CMD" => file.command = serde_json::from_str(rest).map_err(|_| format!("`CMD {rest}` is no list in JSON"))?,
        _ => return Err(format!("`{verb}` is not understood here")),
    }
    Ok(())
}

fn empty(from: From) -> Dockerfile {
    Dockerfile { from, packages: vec![], copies: vec![], environment: vec![], command: vec![], ports: vec![] }
}

fn from(name: &str, prefix: &str) -> std::result::Result<From, String> {
    if let Some(own) = name.strip_prefix(prefix).and_then(|rest| rest.strip_prefix('/')) {
        return Ok(From::Image(own.to_owned()));
    }
    let suite = name.strip_prefix("debian:").and_then(|rest| rest.strip_suffix("-slim"));
    let suite = suite.and_then(|suite| suite.parse().ok());
    suite
        .map(From::Debian)
        .ok_or_else(|| format!("FROM {name}: only debian:SUITE-slim and {prefix}/NAME are known here"))
}

/// The packages that a command line of apt-get installs.
fn installed(line: &str) -> std::result::Result<Vec<String>, String> {
    let mut packages = Vec::new();
    for part in line.split("&&") {
        let words: Vec<&str> = part.split_whitespace().collect();
        match words[..] {
            ["apt-get", "update"] | ["rm", "-rf", "/var/lib/apt/lists/*"] => {}
            ["apt-get", "install", "--yes", "--no-install-recommends", ref names @ ..] if !names.is_empty() => {
                packages.extend(names.iter().map(|name| (*name).to_owned()));
            }
            _ => return Err(format!("`RUN {}`: only apt-get is understood here", part.trim())),
        }
    }
    Ok(packages)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_of_packages_and_files_is_read() {
        let text = "# one\nFROM elk/base\nRUN apt-get update && apt-get install --yes --no-install-recommends a \\\n    b \\\n    \
                    && rm -rf /var/lib/apt/lists/*\nCOPY root/ /\nCOPY x /usr/bin/x\nENV A=\"1 2\"\nEXPOSE 80 81\nCMD [\"boot\"]\n";
        let file = parse(text, "elk").unwrap();
        assert_eq!(file.from, From::Image("base".to_owned()));
        assert_eq!(file.packages, ["a", "b"]);
        assert_eq!(file.copies[1], ("x".to_owned(), "/usr/bin/x".to_owned()));
        assert_eq!(file.environment, [("A".to_owned(), "1 2".to_owned())]);
        assert_eq!((file.ports, file.command), (vec![80, 81], vec!["boot".to_owned()]));
        assert_eq!(parse("FROM debian:trixie-slim\n", "elk").unwrap().from, From::Debian(Suite::Trixie));
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for bad in [
            "",
            "RUN apt-get update",
            "FROM alpine",
            "FROM debian:potato-slim",
            "FROM debian:trixie-slim\nFROM debian:trixie-slim",
            "FROM debian:trixie-slim\nRUN make",
            "FROM debian:trixie-slim\nRUN apt-get update && make",
            "FROM debian:trixie-slim\nCMD boot",
            "FROM debian:trixie-slim\nCOPY a b c",
            "FROM debian:trixie-slim\nVOLUME /x",
        ] {
            assert!(parse(bad, "elk").is_err(), "{bad}");
        }
    }
}
