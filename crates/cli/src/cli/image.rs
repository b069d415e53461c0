//! Arguments of `image`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// What to do with images.
#[derive(Debug, Subcommand)]
pub enum ImageVerb {
    /// Build an image of a node: Debian, Docker, etcd, Flota, and little else
    ///
    /// Takes minutes, and root. What it is made of beside the base is in one spec file; docs/image.md has all its keys.
    /// Beside the image go NAME.packages, the record of its packages, and NAME.cdx.json, its bill of materials. What
    /// fails leaves nothing behind.
    Build(ImageBuildArgs),
}

/// Arguments of `image build`.
#[derive(Debug, Args)]
pub struct ImageBuildArgs {
    /// Debian's release: bookworm, trixie, forky or sid [default: the spec's, else trixie]
    #[arg(long, value_name = "SUITE")]
    pub suite: Option<String>,
    /// What to make: qcow2, raw, tar or dir
    #[arg(long, value_name = "FORMAT", default_value = "qcow2")]
    pub format: String,
    /// What it is made of beside the base
    #[arg(long, value_name = "FILE")]
    pub spec: Option<PathBuf>,
    /// Where it shall be [default: flota-SUITE.FORMAT here]
    #[arg(long, short = 'o', value_name = "PATH")]
    pub output: Option<PathBuf>,
    /// Flota for it: a Debian package, or the program [default: this program]
    #[arg(long, value_name = "FILE")]
    pub flota: Option<PathBuf>,
    /// Make the same again: the NAME.packages of an earlier build, whose packages this one must have
    #[arg(long, value_name = "FILE")]
    pub packages: Option<PathBuf>,
    /// No file in it is newer, in seconds since 1970 [default: that of --packages, else the beginning of this day]
    #[arg(long, env = "SOURCE_DATE_EPOCH", value_name = "SECONDS")]
    pub source_date_epoch: Option<u64>,
}
