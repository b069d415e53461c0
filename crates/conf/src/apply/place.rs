//! Where a file really is, and what is there.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// Links that are followed one after the other; more are a circle.
const MAX_LINKS: usize = 40;

/// The file behind a path, if that is a link: the link stays, the file is replaced.
pub(super) fn followed(path: &Path) -> io::Result<PathBuf> {
    let mut path = path.to_owned();
    for _ in 0..MAX_LINKS {
        match fs::read_link(&path) {
            Ok(target) => path = path.parent().unwrap_or(Path::new("/")).join(target),
            // No link, or nothing there.
            Err(error) if matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::NotFound) => {
                return Ok(path);
            }
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::other("too many links"))
}

/// Permissions and owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rights {
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
}

impl Rights {
    /// Those of a file; none if it is not there.
    pub fn of(path: &Path) -> io::Result<Option<Rights>> {
        match fs::metadata(path) {
            Ok(meta) if meta.is_dir() => Err(io::Error::from(io::ErrorKind::IsADirectory)),
            Ok(meta) => Ok(Some(Rights { mode: meta.mode() & 0o7777, uid: meta.uid(), gid: meta.gid() })),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// Whether a file has exactly these bytes.
pub(super) fn has_content(path: &Path, content: &[u8]) -> io::Result<bool> {
    let same_length = fs::metadata(path)?.len() == content.len() as u64;
    Ok(same_length && fs::read(path)? == content)
}
