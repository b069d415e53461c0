//! Changes of files, told by the kernel.

use std::io;
use std::path::Path;

use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use tokio::net::unix::pipe::Receiver;

/// Bytes of events that are read at a time; what they say does not matter.
const BUFFER_BYTES: usize = 4096;

/// Files and directories that are watched.
pub(crate) struct Inotify {
    /// Events are read as from a pipe.
    events: Receiver,
}

impl Inotify {
    pub fn new() -> io::Result<Inotify> {
        let fd = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?;
        Ok(Inotify { events: Receiver::from_owned_fd_unchecked(fd)? })
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
        inotify::add_watch(&self.events, directory, flags)?;
        Ok(())
    }

    /// Waits until something changed. Nothing is lost if the wait is dropped.
    pub async fn changed(&mut self) -> io::Result<()> {
        loop {
            self.events.readable().await?;
            let mut buffer = [0; BUFFER_BYTES];
            match self.events.try_read(&mut buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                read => return read.map(drop),
            }
        }
    }
}
