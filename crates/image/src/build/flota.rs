//! Flota in a tree: as the Debian package, or as the bare program with the units that the package ships.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use super::inside;
use crate::error::{ImageError, Result};
use crate::host::run::{command, run};

/// Where Flota comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FlotaSource {
    /// A Debian package.
    Package(PathBuf),
    /// The program.
    Program(PathBuf),
}

/// The names under which the program does what fleet's and confd's did.
const NAMES: [&str; 2] = ["usr/bin/fleetctl", "usr/bin/confd"];
/// Whose members may use the API's sockets.
const GROUP: &str = "flota";
/// The configuration that the package ships, too: all of it comments.
const CONFIG: &str = include_str!("../../../../dist/flota.toml");
/// The units that the package ships, too.
const UNITS: [(&str, &str); 2] = [
    ("usr/lib/systemd/system/flota.service", include_str!("../../../../dist/systemd/flota.service")),
    ("usr/lib/systemd/system/flota.socket", include_str!("../../../../dist/systemd/flota.socket")),
];

impl FlotaSource {
    /// Tells a package from a program by its first bytes.
    pub fn of(path: &Path) -> Result<Self> {
        use std::io::Read;
        let mut head = [0; 8];
        let mut file = fs::File::open(path).map_err(ImageError::io("open", path))?;
        let read = file.read(&mut head).map_err(ImageError::io("read", path))?;
        match &head[..read] {
            b"!<arch>\n" => Ok(Self::Package(path.to_owned())),
            [0x7f, b'E', b'L', b'F', ..] => Ok(Self::Program(path.to_owned())),
            _ => Err(ImageError::Value {
                what: "--flota",
                value: path.display().to_string(),
                why: "must be a Debian package or the program",
            }),
        }
    }

    /// What mmdebstrap has to do for it, and the variable that its hook needs.
    pub(crate) fn hooks(&self) -> (Vec<String>, Vec<(&'static str, String)>) {
        let Self::Package(path) = self else { return (Vec::new(), Vec::new()) };
        // By the environment, so that no character of the path means anything to a shell.
        let hook = "--customize-hook=cp \"$FLOTA_PACKAGE\" \"$1/var/tmp/flota.deb\" \
                    && chroot \"$1\" apt-get install --yes --no-install-recommends /var/tmp/flota.deb \
                    && rm \"$1/var/tmp/flota.deb\"";
        (vec![hook.to_owned()], vec![("FLOTA_PACKAGE", path.display().to_string())])
    }

    /// Puts the program in place where there is no package.
    pub(crate) fn install(&self, tree: &Path) -> Result<()> {
        let Self::Program(program) = self else { return Ok(()) };
        let content = fs::read(program).map_err(ImageError::io("read", program))?;
        inside::write(tree, "/usr/bin/flota", &content, 0o755)?;
        for name in NAMES {
            let path = tree.join(name);
            if path.symlink_metadata().is_err() {
                symlink("flota", &path).map_err(ImageError::io("link", &path))?;
            }
        }
        for (path, text) in UNITS {
            inside::write(tree, path, text.as_bytes(), 0o644)?;
        }
        inside::write(tree, "/etc/flota/flota.toml", CONFIG.as_bytes(), 0o644)?;
        run(command("chroot", [tree]).args(["groupadd", "--system", "--force", GROUP]))?;
        Ok(())
    }
}
