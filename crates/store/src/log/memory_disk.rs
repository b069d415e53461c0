//! A disk in memory that remembers all calls, and gives what a crash or a power cut after any of them leaves.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::sync::{Arc, Mutex};

use crate::disk::{Append, Disk};

/// What a power cut leaves of a write, or does not, as one.
const SECTOR: usize = 512;

/// One call that changes something. Files are known by a number, because names come and go.
#[derive(Clone, Debug)]
enum Call {
    Create(String, usize),
    Rename(String, String),
    Remove(String),
    SyncNames,
    Write(usize, usize, Vec<u8>),
    Cut(usize, usize),
    Sync(usize),
}

/// A file: what a power cut leaves for certain, and what came after.
#[derive(Clone, Debug, Default)]
struct File {
    durable: Vec<u8>,
    pending: Vec<Call>,
}

/// Names to files, and the files.
#[derive(Clone, Debug, Default)]
struct Contents {
    names: BTreeMap<String, usize>,
    files: BTreeMap<usize, Vec<u8>>,
}

#[derive(Debug, Default)]
struct Recorded {
    start: Contents,
    now: Contents,
    calls: Vec<Call>,
    /// Whether syncs are answered without doing anything.
    lies: bool,
}

/// The disk; clones are the same one.
#[derive(Clone, Debug, Default)]
pub(super) struct MemoryDisk {
    recorded: Arc<Mutex<Recorded>>,
}

/// Numbers that look random, the same from the same seed (SplitMix64).
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % end.max(1) as u64) as usize
    }
}

impl MemoryDisk {
    fn holding(contents: Contents) -> MemoryDisk {
        let recorded = Recorded { start: contents.clone(), now: contents, ..Recorded::default() };
        MemoryDisk { recorded: Arc::new(Mutex::new(recorded)) }
    }

    /// A disk that loses what it said was safe.
    pub(super) fn lying() -> MemoryDisk {
        let disk = MemoryDisk::default();
        disk.recorded.lock().unwrap().lies = true;
        disk
    }

    /// How many calls there were.
    pub(super) fn calls(&self) -> usize {
        self.recorded.lock().unwrap().calls.len()
    }

    /// What is left when the process is killed after `calls` calls and `part` bytes of the next, if that is a write.
    pub(super) fn killed_after(&self, calls: usize, part: usize) -> MemoryDisk {
        let recorded = self.recorded.lock().unwrap();
        let mut contents = recorded.start.clone();
        recorded.calls[..calls].iter().for_each(|call| contents.apply(call));
        if let Some(Call::Write(file, at, bytes)) = recorded.calls.get(calls) {
            contents.apply(&Call::Write(*file, *at, bytes[..part.min(bytes.len())].to_vec()));
        }
        MemoryDisk::holding(contents)
    }

    /// What is left when the power goes after `calls` calls. Of what was not synced, each sector of each write is there or not, a change
    /// of a file's length is made or not, and of the changes of names some are made, the older ones first, as a journal does it.
    pub(super) fn power_cut_after(&self, calls: usize, random: &mut Random) -> MemoryDisk {
        let recorded = self.recorded.lock().unwrap();
        let mut names = recorded.start.names.clone();
        let mut pending_names = Vec::new();
        let durable = |bytes: &Vec<u8>| File { durable: bytes.clone(), pending: Vec::new() };
        let mut files: BTreeMap<usize, File> =
            recorded.start.files.iter().map(|(file, bytes)| (*file, durable(bytes))).collect();
        for call in &recorded.calls[..calls] {
            match call {
                Call::Create(_, file) => {
                    files.insert(*file, File::default());
                    pending_names.push(call);
                }
                Call::Rename(..) | Call::Remove(_) => pending_names.push(call),
                Call::SyncNames => pending_names.drain(..).for_each(|call| apply_name(&mut names, call)),
                Call::Write(file, ..) | Call::Cut(file, _) => {
                    files.entry(*file).or_default().pending.push(call.clone());
                }
                Call::Sync(file) => {
                    let file = files.entry(*file).or_default();
                    for call in std::mem::take(&mut file.pending) {
                        apply_bytes(&mut file.durable, &call);
                    }
                }
            }
        }
        let kept = random.below(pending_names.len() + 1);
        pending_names.drain(..kept).for_each(|call| apply_name(&mut names, call));
        let files = files.into_iter().map(|(number, file)| (number, file.after_power_cut(random))).collect();
        MemoryDisk::holding(Contents { names, files })
    }

    fn call(&self, call: Call) {
        let mut recorded = self.recorded.lock().unwrap();
        recorded.now.apply(&call);
        if !(recorded.lies && matches!(call, Call::Sync(_))) {
            recorded.calls.push(call);
        }
    }

    fn file(&self, name: &str) -> io::Result<usize> {
        let found = self.recorded.lock().unwrap().now.names.get(name).copied();
        found.ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl File {
    fn after_power_cut(mut self, random: &mut Random) -> Vec<u8> {
        for call in &self.pending {
            match call {
                Call::Write(file, at, bytes) => {
                    let mut done = 0;
                    while done < bytes.len() {
                        let end = bytes.len().min(done + SECTOR - (at + done) % SECTOR);
                        if random.below(2) == 0 {
                            apply_bytes(&mut self.durable, &Call::Write(*file, at + done, bytes[done..end].to_vec()));
                        }
                        done = end;
                    }
                }
                _ if random.below(2) == 0 => apply_bytes(&mut self.durable, call),
                _ => {}
            }
        }
        self.durable
    }
}

impl Contents {
    fn apply(&mut self, call: &Call) {
        match call {
            Call::Create(_, file) => {
                self.files.insert(*file, Vec::new());
                apply_name(&mut self.names, call);
            }
            Call::Rename(..) | Call::Remove(_) => apply_name(&mut self.names, call),
            Call::Write(file, ..) | Call::Cut(file, _) => apply_bytes(self.files.entry(*file).or_default(), call),
            Call::SyncNames | Call::Sync(_) => {}
        }
    }
}

fn apply_name(names: &mut BTreeMap<String, usize>, call: &Call) {
    match call {
        Call::Create(name, file) => {
            names.insert(name.clone(), *file);
        }
        Call::Rename(from, to) => {
            if let Some(file) = names.remove(from) {
                names.insert(to.clone(), file);
            }
        }
        Call::Remove(name) => {
            names.remove(name);
        }
        _ => {}
    }
}

fn apply_bytes(bytes: &mut Vec<u8>, call: &Call) {
    match call {
        Call::Write(_, at, new) => {
            let end = at + new.len();
            bytes.resize(bytes.len().max(end), 0);
            bytes[*at..end].copy_from_slice(new);
        }
        Call::Cut(_, length) => bytes.resize(*length, 0),
        _ => {}
    }
}

struct MemoryFile {
    disk: MemoryDisk,
    file: usize,
    end: usize,
}

impl Append for MemoryFile {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.disk.call(Call::Write(self.file, self.end, bytes.to_vec()));
        self.end += bytes.len();
        Ok(())
    }

    fn prepare(&mut self, length: u64) -> io::Result<()> {
        let there = self.disk.recorded.lock().unwrap().now.files[&self.file].len();
        // Less than asked for: a preparation that ends in the middle of a frame must do no harm either.
        let zeros = (length as usize).min(self.end + 700).saturating_sub(there);
        self.disk.call(Call::Write(self.file, there, vec![0; zeros]));
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        self.disk.call(Call::Sync(self.file));
        Ok(())
    }

    fn truncate(&mut self, length: u64) -> io::Result<()> {
        self.end = length as usize;
        self.disk.call(Call::Cut(self.file, self.end));
        Ok(())
    }
}

impl Disk for MemoryDisk {
    fn list(&self) -> io::Result<Vec<String>> {
        Ok(self.recorded.lock().unwrap().now.names.keys().cloned().collect())
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn Read + Send>> {
        let file = self.file(name)?;
        Ok(Box::new(io::Cursor::new(self.recorded.lock().unwrap().now.files[&file].clone())))
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn Append>> {
        let file = self.recorded.lock().unwrap().now.files.keys().last().map_or(0, |last| last + 1);
        self.call(Call::Create(name.to_owned(), file));
        Ok(Box::new(MemoryFile { disk: self.clone(), file, end: 0 }))
    }

    fn append(&self, name: &str, end: u64) -> io::Result<Box<dyn Append>> {
        Ok(Box::new(MemoryFile { disk: self.clone(), file: self.file(name)?, end: end as usize }))
    }

    fn reserve(&self, _: &str, _: u64) -> io::Result<()> {
        Ok(())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.file(from)?;
        self.call(Call::Rename(from.to_owned(), to.to_owned()));
        Ok(())
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.file(name)?;
        self.call(Call::Remove(name.to_owned()));
        Ok(())
    }

    fn sync_names(&self) -> io::Result<()> {
        self.call(Call::SyncNames);
        Ok(())
    }
}
