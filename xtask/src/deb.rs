//! `cargo xtask deb`: the Debian package, and what lintian says of it.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::packages;
use crate::shell::{capture, cargo, command, output, run, target_dir};

/// What debian/ needs of the source tree; the program is built outside of it.
const STAGED: &[&str] = &["debian", "dist", "docs", "README.md"];

/// Binary packages only.
const BUILD: &[&str] = &["--build=binary", "--no-sign"];

/// What makes a package of an unstripped program in seconds, for tests.
const QUICK: [(&str, &str); 2] = [("DPKG_DEB_COMPRESSOR_TYPE", "gzip"), ("DPKG_DEB_COMPRESSOR_LEVEL", "1")];

/// Errors and warnings are findings; anything less is only shown.
const LINTIAN: &[&str] = &["--allow-root", "--fail-on", "error,warning", "--tag-display-limit", "0", "--no-cfg"];

/// What to pack, and where to.
#[derive(Debug, PartialEq, Eq)]
pub struct Options {
    profile: String,
    program: Option<PathBuf>,
    output: Option<PathBuf>,
    quick: bool,
}

impl Options {
    /// Reads them from the command line.
    pub fn parse(words: &[&str]) -> Result<Self> {
        let mut options = Self { profile: "release".to_owned(), program: None, output: None, quick: false };
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let mut value = || words.next().with_context(|| format!("`{word}` wants a value"));
            match *word {
                "--profile" => (*value()?).clone_into(&mut options.profile),
                "--program" => options.program = Some(std::path::absolute(value()?)?),
                "--output" => options.output = Some(std::path::absolute(value()?)?),
                "--quick" => options.quick = true,
                _ => bail!("unknown option `{word}` of deb; see `cargo xtask help`"),
            }
        }
        Ok(options)
    }
}

/// Builds the package, tells where it is, and fails if lintian has found anything.
pub fn make(options: &Options) -> Result<()> {
    packages::ensure(&[packages::BUILD, packages::DEB])?;
    let program = match &options.program {
        Some(program) => program.clone(),
        None => build(&options.profile)?,
    };
    let confd = program.with_file_name("confd");
    if !confd.is_file() {
        bail!("{} is not there: the package has both programs", confd.display());
    }
    let output = match &options.output {
        Some(output) => output.clone(),
        None => target_dir()?.join("debian"),
    };
    let package = pack(&program, &output, options.quick)?;
    let size = std::fs::metadata(&package).with_context(|| package.display().to_string())?.len();
    let control = capture(command("dpkg-deb", ["--field"]).arg(&package).args(["Depends", "Installed-Size"]))?;
    if !options.quick {
        lintian(&package)?;
    }
    println!("{}, {:.1} MiB\n{}", package.display(), size as f64 / f64::from(1 << 20), control.trim());
    Ok(())
}

fn build(profile: &str) -> Result<PathBuf> {
    run(&mut cargo(["build", "--locked", "--package", "flota", "--package", "flota-confd", "--profile", profile]))?;
    let folder = if profile == "dev" { "debug" } else { profile };
    Ok(target_dir()?.join(folder).join("flota"))
}

/// Packs in a copy of what debian/ needs: debhelper writes into the tree, and puts packages beside it.
fn pack(program: &Path, into: &Path, quick: bool) -> Result<PathBuf> {
    let tree = into.join("source");
    remove(&tree)?;
    std::fs::create_dir_all(&tree).with_context(|| format!("can't make {}", tree.display()))?;
    run(command("cp", ["--recursive", "--preserve=mode,timestamps", "--"]).args(STAGED).arg(&tree))?;
    let mut build = command("dpkg-buildpackage", BUILD);
    build.current_dir(&tree).env("FLOTA_PROGRAM", program);
    if quick {
        build.envs(QUICK);
    }
    capture(&mut build)?;
    let files = std::fs::read_to_string(tree.join("debian/files")).context("debian/files")?;
    let package = files.split_whitespace().find(|word| Path::new(word).extension() == Some("deb".as_ref()));
    let package = into.join(package.context("debian/rules made no package")?);
    remove(&tree)?;
    Ok(package)
}

fn remove(tree: &Path) -> Result<()> {
    match std::fs::remove_dir_all(tree) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("can't remove {}", tree.display()))
        }
        _ => Ok(()),
    }
}

fn lintian(package: &Path) -> Result<()> {
    let found = output(command("lintian", LINTIAN).arg(package))?;
    let (tags, words) = (String::from_utf8_lossy(&found.stdout), String::from_utf8_lossy(&found.stderr));
    if !found.status.success() {
        bail!("lintian is not content:\n{tags}{words}");
    }
    println!("lintian: {}", if tags.trim().is_empty() { "nothing to say" } else { tags.trim() });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shell::root;

    #[test]
    fn the_package_has_the_programs_version() {
        let changelog = std::fs::read_to_string(root().join("debian/changelog")).unwrap();
        let version = changelog.split(['(', ')']).nth(1).unwrap();
        assert_eq!(version, env!("CARGO_PKG_VERSION"));
    }

    #[test]
    fn options_are_read_and_others_refused() {
        let options = Options::parse(&["--program", "/p", "--output", "/o", "--quick"]).unwrap();
        assert_eq!((options.program, options.output, options.quick), (Some("/p".into()), Some("/o".into()), true));
        assert_eq!(Options::parse(&[]).unwrap().profile, "release");
        assert!(Options::parse(&["--profile"]).unwrap_err().to_string().contains("wants a value"));
        assert!(Options::parse(&["--fast"]).is_err());
    }

    #[test]
    fn everything_that_debian_names_is_staged() {
        for file in ["flota.install", "flota.docs"] {
            let text = std::fs::read_to_string(root().join("debian").join(file)).unwrap();
            for path in text.lines().filter_map(|line| line.split_whitespace().next()) {
                let top = path.split('/').next().unwrap();
                assert!(STAGED.contains(&top), "debian/{file} names {path}");
            }
        }
    }
}
