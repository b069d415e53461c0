//! A data directory made of a file of etcd's.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, FileExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use flota_bolt::{Database, ReadAt};
use flota_mvcc::{Millis, Mvcc, ReplayError};
use ring::digest::{Context, SHA256, SHA256_OUTPUT_LEN};

use super::import::{ImportError, Imported, import};
use crate::disk::Directory;
use crate::log::{Identity, Log, Sizes, write_snapshot};
use crate::store::random;

/// A file with a hash behind it is longer by the hash than a multiple of this, as etcdctl tells it from one without.
const SECTOR: u64 = 512;

/// Bytes read at once for the hash.
const CHUNK: usize = 1 << 20;

/// Why a file was not restored; nothing is left of the attempt.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The data directory is not to be written over.
    #[error("{} is not empty: restore into a new directory", dir.display())]
    NotEmpty {
        /// The directory.
        dir: PathBuf,
    },
    /// A file or directory cannot be read or written.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The file is not what was saved.
    #[error("{} is damaged or cut off: its SHA-256 is wrong", file.display())]
    WrongHash {
        /// The file.
        file: PathBuf,
    },
    /// The file is not a database of etcd's, or a damaged one.
    #[error("cannot read {}", file.display())]
    Import {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        #[source]
        source: Box<ImportError>,
    },
    /// What the file says does not fit together.
    #[error("{} makes no sense", file.display())]
    Replay {
        /// The file.
        file: PathBuf,
        /// What does not fit.
        #[source]
        source: ReplayError,
    },
}

/// What is in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileStatus {
    /// The last revision.
    pub revision: i64,
    /// The revision up to which history is gone; -1 if it never was compacted.
    pub compacted: i64,
    /// Keys there are at the last revision.
    pub keys: i64,
    /// Versions of keys, older ones and deletes included.
    pub versions: usize,
    /// Leases.
    pub leases: usize,
    /// Users.
    pub users: usize,
    /// Bytes of the database.
    pub bytes: u64,
    /// Whether there was a hash, which was right; a copy of a member's own file has none.
    pub hashed: bool,
}

/// What a restore made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restored {
    /// What was in the file.
    pub status: FileStatus,
    /// The id of the new cluster.
    pub cluster_id: u64,
    /// The id of the new member.
    pub member_id: u64,
}

/// Reads and checks the whole file.
pub fn status(file: &Path) -> Result<FileStatus, RestoreError> {
    Ok(read(file)?.0)
}

/// Makes the data directory of a store from a file that `etcdctl snapshot save` or a backup wrote, or that is a member's `snap/db`.
/// Revisions, history, leases and users stay; the ids of cluster and member are new, so that no client takes it for the old one.
pub fn restore(file: &Path, data_dir: &Path) -> Result<Restored, RestoreError> {
    let taken = match fs::read_dir(data_dir) {
        Ok(mut entries) => entries.next().is_some(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => false,
        Err(source) => return Err(failed("read", data_dir)(source)),
    };
    if taken {
        return Err(RestoreError::NotEmpty { dir: data_dir.to_owned() });
    }
    let (status, imported) = read(file)?;
    let id = || random(data_dir).map_err(|_| failed("make an id for", data_dir)(io::ErrorKind::Other.into()));
    let identity = Identity { cluster_id: id()?, member_id: id()? };
    // A store that is half there must not be started as if it were whole, so it gets its name last.
    let mut unfinished = data_dir.as_os_str().to_owned();
    unfinished.push(".restoring");
    let unfinished = PathBuf::from(unfinished);
    let written = write(&unfinished, data_dir, identity, imported);
    if written.is_err() {
        let _ = fs::remove_dir_all(&unfinished);
    }
    written?;
    Ok(Restored { status, cluster_id: identity.cluster_id, member_id: identity.member_id })
}

fn write(unfinished: &Path, data_dir: &Path, identity: Identity, imported: Imported) -> Result<(), RestoreError> {
    if unfinished.exists() {
        fs::remove_dir_all(unfinished).map_err(failed("remove", unfinished))?;
    }
    let make = DirBuilder::new().recursive(true).mode(0o700).create(unfinished);
    make.map_err(failed("make", unfinished))?;
    let disk = Arc::new(Directory::new(unfinished));
    let sizes = Arc::new(Sizes::default());
    // A step is a part of the records; an empty one is the end.
    let mut steps = [imported.records].into_iter();
    let written = write_snapshot(&*disk, identity, 1, || steps.next().unwrap_or_default(), &sizes)
        .and_then(|_| Log::create(disk, identity, sizes, 1, 0));
    written.map_err(failed("write", unfinished))?;
    fs::rename(unfinished, data_dir).map_err(failed("make", data_dir))?;
    let parent = data_dir.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(parent).and_then(|parent| parent.sync_all()).map_err(failed("sync", parent))
}

fn failed(action: &'static str, path: &Path) -> impl Fn(io::Error) -> RestoreError {
    let path = path.to_owned();
    move |source| RestoreError::Io { action, path: path.clone(), source }
}

fn read(path: &Path) -> Result<(FileStatus, Imported), RestoreError> {
    let file = File::open(path).map_err(failed("open", path))?;
    let length = file.metadata().map_err(failed("read", path))?.len();
    let hashed = length % SECTOR == SHA256_OUTPUT_LEN as u64;
    let bytes = if hashed { length - SHA256_OUTPUT_LEN as u64 } else { length };
    if hashed && !has_right_hash(&file, bytes).map_err(failed("read", path))? {
        return Err(RestoreError::WrongHash { file: path.to_owned() });
    }
    let wrong = |source| RestoreError::Import { file: path.to_owned(), source: Box::new(source) };
    let database = Database::open(Content { file, bytes }).map_err(|error| wrong(error.into()))?;
    let imported = import(&database).map_err(wrong)?;
    let mut state = Mvcc::new();
    for record in &imported.records {
        let replayed = state.replay(Millis::default(), record.clone());
        replayed.map_err(|source| RestoreError::Replay { file: path.to_owned(), source })?;
    }
    let status = FileStatus {
        revision: imported.revision,
        compacted: imported.compacted,
        keys: state.count(),
        versions: imported.versions,
        leases: imported.leases,
        users: imported.users,
        bytes: database.bytes(),
        hashed,
    };
    Ok((status, imported))
}

/// Compares the hash of the first `bytes` bytes with the one behind them.
fn has_right_hash(file: &File, bytes: u64) -> io::Result<bool> {
    let mut context = Context::new(&SHA256);
    let mut chunk = vec![0; CHUNK];
    let mut input = file.take(bytes);
    loop {
        match input.read(&mut chunk)? {
            0 => break,
            read => context.update(&chunk[..read]),
        }
    }
    let mut stored = [0; SHA256_OUTPUT_LEN];
    file.read_exact_at(&mut stored, bytes)?;
    Ok(context.finish().as_ref() == stored)
}

/// The database in the file, without what is behind it.
struct Content {
    file: File,
    bytes: u64,
}

impl ReadAt for Content {
    fn bytes(&self) -> io::Result<u64> {
        Ok(self.bytes)
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        if offset.checked_add(buffer.len() as u64).is_none_or(|end| end > self.bytes) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.file.read_exact_at(buffer, offset)
    }
}
