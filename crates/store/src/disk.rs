//! The few things the store does to a disk, behind a trait that tests can break.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::FallocateFlags;

/// A directory of files.
pub trait Disk: Send + Sync {
    /// The names of all files, in any order.
    fn list(&self) -> io::Result<Vec<String>>;
    /// Opens a file for reading from its start.
    fn open(&self, name: &str) -> io::Result<Box<dyn Read + Send>>;
    /// Makes a new, empty file for appending; replaces one of the same name.
    fn create(&self, name: &str) -> io::Result<Box<dyn Append>>;
    /// Opens a file for appending behind its first `end` bytes; what is there is replaced by and by, or cut.
    fn append(&self, name: &str, end: u64) -> io::Result<Box<dyn Append>>;
    /// Makes a file of `length` bytes of reserved space.
    fn reserve(&self, name: &str, length: u64) -> io::Result<()>;
    /// Gives a file another name, replacing one that has it.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, name: &str) -> io::Result<()>;
    /// Makes names durable: after create, rename and remove.
    fn sync_names(&self) -> io::Result<()>;
}

/// A file that grows.
pub trait Append: Send {
    /// Writes all bytes at the end; on an error some of them may have been written.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// Puts zeros behind what was appended, up to `length` bytes of the file in all, for appends to replace: those then change nothing but
    /// the data, and a sync need not wait for the file system's journal. On an error some of the zeros may be there.
    fn prepare(&mut self, length: u64) -> io::Result<()>;
    /// Makes everything written so far durable.
    fn sync(&mut self) -> io::Result<()>;
    /// Cuts the file to `length` bytes, behind which the next append goes.
    fn truncate(&mut self, length: u64) -> io::Result<()>;
}

/// A directory of the file system.
#[derive(Debug)]
pub struct Directory {
    path: PathBuf,
}

impl Directory {
    /// Uses an existing directory.
    pub fn new(path: &Path) -> Directory {
        Directory { path: path.to_owned() }
    }
}

impl Disk for Directory {
    fn list(&self) -> io::Result<Vec<String>> {
        let names = fs::read_dir(&self.path)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
        names.collect()
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn Read + Send>> {
        Ok(Box::new(File::open(self.path.join(name))?))
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn Append>> {
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600);
        let file = options.open(self.path.join(name))?;
        Ok(Box::new(AppendFile { file, end: 0 }))
    }

    fn append(&self, name: &str, end: u64) -> io::Result<Box<dyn Append>> {
        let file = OpenOptions::new().write(true).open(self.path.join(name))?;
        Ok(Box::new(AppendFile { file, end }))
    }

    fn reserve(&self, name: &str, length: u64) -> io::Result<()> {
        let file =
            OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(self.path.join(name))?;
        rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, length)?;
        Ok(())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path.join(from), self.path.join(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.path.join(name))
    }

    fn sync_names(&self) -> io::Result<()> {
        File::open(&self.path)?.sync_all()
    }
}

struct AppendFile {
    file: File,
    /// Where the next append goes.
    end: u64,
}

impl Append for AppendFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all_at(bytes, self.end)?;
        self.end += bytes.len() as u64;
        Ok(())
    }

    fn prepare(&mut self, length: u64) -> io::Result<()> {
        static ZEROS: [u8; 64 << 10] = [0; 64 << 10];
        let mut at = self.file.metadata()?.len().max(self.end);
        while at < length {
            let part = ZEROS.len().min(usize::try_from(length - at).unwrap_or(usize::MAX));
            self.file.write_all_at(&ZEROS[..part], at)?;
            at += part as u64;
        }
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        self.file.set_len(length)?;
        self.end = length;
        Ok(())
    }
}
