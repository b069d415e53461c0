//! The overlay under each machine.

use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use flota_image::host::mounts;
use rustix::mount::MountFlags;

use crate::error::{LabError, Result};

/// Mounts an overlay of `upper` on `lower` at `root`, unless it is mounted.
pub(crate) fn mount(lower: &Path, upper: &Path, work: &Path, root: &Path) -> Result<()> {
    if mounts::under(root)?.iter().any(|point| point == root) {
        return Ok(());
    }
    let mut options = Vec::new();
    for (key, path) in [("lowerdir=", lower), (",upperdir=", upper), (",workdir=", work)] {
        options.extend_from_slice(key.as_bytes());
        escape_into(&mut options, path);
    }
    let options = CString::new(options)
        .map_err(|error| LabError::io("mount an overlay at", root)(std::io::Error::from(error)))?;
    rustix::mount::mount("flota-lab", root, "overlay", MountFlags::empty(), Some(options.as_c_str()))
        .map_err(LabError::io("mount an overlay at", root))
}

/// The kernel splits these options at commas and colons.
fn escape_into(options: &mut Vec<u8>, path: &Path) {
    for &byte in path.as_os_str().as_bytes() {
        if matches!(byte, b',' | b':' | b'\\') {
            options.push(b'\\');
        }
        options.push(byte);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overlay_options_escape_separators() {
        let mut options = Vec::new();
        escape_into(&mut options, Path::new("/a:b,c"));
        assert_eq!(options, br"/a\:b\,c");
    }
}
