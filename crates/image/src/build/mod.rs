//! An image from an order: a tree, and from it what was asked for, beside its place until it is whole.

mod base;
mod disk;
mod flota;
mod inside;
mod packages;
mod sbom;
mod settle;
mod tree;

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Instant;

pub use self::flota::FlotaSource;
use self::packages::Record;
use crate::error::{ImageError, Result};
use crate::host::run::{DISK_TOOLS, QCOW2_TOOLS, command, run};
use crate::host::{Missing, Progress, files, needs};
use crate::spec::Spec;
use crate::suite::Suite;

/// Programs that every build takes.
const TOOLS: &[Missing] = &[
    Missing { tool: "mmdebstrap", package: "mmdebstrap" },
    Missing { tool: "setpriv", package: "util-linux" },
    Missing { tool: "unshare", package: "util-linux" },
    Missing { tool: "systemctl", package: "systemd" },
    Missing { tool: "dpkg-query", package: "dpkg" },
    Missing { tool: "tar", package: "tar" },
];

/// Room that the tree takes while it is built, in MiB.
const TREE_MIB: u64 = 1600;

/// What comes out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// A disk in QEMU's own format.
    Qcow2,
    /// A disk, byte for byte, with holes.
    Raw,
    /// The tree as an archive.
    Tar,
    /// The tree.
    Dir,
}

impl Format {
    /// The word for it, which is the ending of its file's name, too.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Qcow2 => "qcow2",
            Self::Raw => "raw",
            Self::Tar => "tar",
            Self::Dir => "dir",
        }
    }

    fn is_disk(self) -> bool {
        matches!(self, Self::Qcow2 | Self::Raw)
    }
}

impl FromStr for Format {
    type Err = ImageError;

    fn from_str(text: &str) -> Result<Self> {
        let known = [Self::Qcow2, Self::Raw, Self::Tar, Self::Dir];
        known.into_iter().find(|format| format.as_str() == text).ok_or_else(|| ImageError::Value {
            what: "format",
            value: text.to_owned(),
            why: "must be qcow2, raw, tar or dir",
        })
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An image to build.
#[derive(Debug, Clone)]
pub struct Order {
    /// What is in it beside the base.
    pub spec: Spec,
    /// Where files that the spec names by relative paths are.
    pub spec_dir: PathBuf,
    /// Debian's release.
    pub suite: Suite,
    /// What comes out.
    pub format: Format,
    /// Where it shall be. A file there is replaced, a directory is not.
    pub output: PathBuf,
    /// Flota for the image.
    pub flota: FlotaSource,
    /// No file is newer, in seconds since 1970; a record that the build is held to says it, too.
    pub epoch: u64,
    /// The record of an earlier build, whose packages this one must have.
    pub record: Option<PathBuf>,
}

/// What was built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Built {
    /// The image.
    pub image: PathBuf,
    /// The record of its packages, which a later build can be held to.
    pub packages: PathBuf,
    /// Its bill of materials, CycloneDX.
    pub bill: PathBuf,
    /// How many packages it has.
    pub count: usize,
}

/// Builds it. What fails leaves nothing at the output and beside it.
pub fn build(order: &Order, progress: &mut dyn Progress) -> Result<Built> {
    let mut order = order.clone();
    let held = match &order.record {
        None => None,
        Some(path) => {
            let text = fs::read_to_string(path).map_err(ImageError::io("read", path))?;
            Some((path.clone(), Record::parse(path, &text)?))
        }
    };
    if let Some((_, record)) = &held {
        order.epoch = record.epoch;
    }
    check(&order)?;
    let scratch = beside(&order.output, "building");
    let _lock = files::lock(&beside(&order.output, "lock"))?;
    files::remove(&scratch)?;
    fs::create_dir(&scratch).map_err(ImageError::io("make", &scratch))?;
    let result = build_in(&scratch, &order, held.as_ref(), progress);
    let removed = files::remove(&scratch);
    files::remove(&beside(&order.output, "lock"))?;
    let built = result?;
    removed?;
    Ok(built)
}

/// Everything that can be known to go wrong before the minutes that the tree takes.
fn check(order: &Order) -> Result<()> {
    if !needs::is_root() {
        return Err(ImageError::NotRoot);
    }
    let mut tools = TOOLS.to_vec();
    if order.format.is_disk() {
        tools.extend(DISK_TOOLS);
        disk::check(&order.spec)?;
    }
    if order.format == Format::Qcow2 {
        tools.extend(QCOW2_TOOLS);
    }
    needs::tools(&tools)?;
    if order.output.is_dir() {
        return Err(ImageError::Exists(order.output.clone()));
    }
    let parent = order.output.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if !parent.is_dir() {
        return Err(ImageError::io("build in", parent)(std::io::Error::from(std::io::ErrorKind::NotFound)));
    }
    // A disk has its tree in it once more, an archive too.
    let needed = if order.format == Format::Dir { TREE_MIB } else { 2 * TREE_MIB };
    needs::space(parent, needed)?;
    for file in &order.spec.files {
        if let crate::spec::Content::Source(source) = &file.content {
            let source = order.spec_dir.join(source);
            fs::metadata(&source).map_err(ImageError::io("find", source))?;
        }
    }
    Ok(())
}

fn build_in(
    scratch: &Path,
    order: &Order,
    held: Option<&(PathBuf, Record)>,
    progress: &mut dyn Progress,
) -> Result<Built> {
    let started = Instant::now();
    let root = scratch.join("tree");
    tree::make(order, &root, progress)?;
    let all = packages::installed(&root)?;
    let record = Record::new(order.epoch, &all);
    if let Some((path, held)) = held {
        held.hold(path, &record)?;
    }
    if order.format.is_disk() {
        disk::complete(order, &root)?;
    }
    let bill = sbom::bill(&root, order.suite, &all);
    let bytes = settle::settle(&root, i64::try_from(order.epoch).unwrap_or(i64::MAX))?;
    progress.step(&format!("make the {}: {} packages, {} MiB of files", order.format, all.len(), bytes >> 20));
    let ready = match order.format {
        Format::Dir => root,
        Format::Tar => archive(&root, &scratch.join("image"))?,
        Format::Raw | Format::Qcow2 => disk::make(order, &root, bytes, scratch)?,
    };
    let built = Built {
        image: order.output.clone(),
        packages: with_ending(&order.output, "packages"),
        bill: with_ending(&order.output, "cdx.json"),
        count: all.len(),
    };
    for (path, text) in [(&built.packages, record.text()), (&built.bill, bill)] {
        files::write(path, text.as_bytes(), 0o644)?;
    }
    fs::rename(&ready, &built.image).map_err(ImageError::io("put the image at", &built.image))?;
    progress.detail(&format!("done after {} s", started.elapsed().as_secs()));
    Ok(built)
}

/// The tree as an archive that depends on nothing but the tree: names in order, no names of users, no times of access.
fn archive(tree: &Path, target: &Path) -> Result<PathBuf> {
    let mut tar = command("tar", ["--create", "--sort=name", "--numeric-owner", "--format=posix"]);
    tar.args(["--pax-option=exthdr.name=%d/PaxHeaders/%f,delete=atime,delete=ctime", "--xattrs", "--xattrs-include=*"]);
    tar.arg("--file").arg(target).arg("--directory").arg(tree).arg(".");
    run(tar.env("LC_ALL", "C"))?;
    Ok(target.to_owned())
}

/// `.NAME.ENDING` in the same directory.
fn beside(path: &Path, ending: &str) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.{ending}"))
}

/// `NAME.ENDING`, after whatever ending the name has.
fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!("{name}.{ending}"))
}
