//! Changes of files, told by the kernel.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use tokio::io::unix::AsyncFd;

/// Bytes of events that are read at a time; what they say does not matter.
const BUFFER_BYTES: usize = 4096;

/// Files and directories that are watched.
pub(crate) struct Inotify {
    fd: AsyncFd<OwnedFd>,
}

impl Inotify {
    pub fn new() -> io::Result<Inotify> {
        let fd = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?;
        Ok(Inotify { fd: AsyncFd::new(fd)? })
    }

    /// Watches the directory that a file is in, or a directory: a file that is replaced is another file.
    pub fn watch_around(&mut self, path: &Path) -> io::Result<()> {
        let flags = WatchFlags::CLOSE_WRITE
            | WatchFlags::CREATE
            | WatchFlags::DELETE
            | WatchFlags::MOVED_FROM
            | WatchFlags::MOVED_TO
            | WatchFlags::ONLYDIR;
        let directory = if path.is_dir() { path } else { path.parent().unwrap_or(path) };
        let directory = if directory.as_os_str().is_empty() { Path::new(".") } else { directory };
        inotify::add_watch(&self.fd, directory, flags)?;
        Ok(())
    }

    /// Waits until something changed. Nothing is lost if the wait is dropped.
    pub async fn changed(&mut self) -> io::Result<()> {
        loop {
            let mut ready = self.fd.readable().await?;
            let mut buffer = [0; BUFFER_BYTES];
            match ready.try_io(|fd| Ok(rustix::io::read(fd, &mut buffer)?)) {
                Ok(read) => return read.map(drop),
                Err(_would_block) => {}
            }
        }
    }
}
