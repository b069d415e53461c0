//! Keys that change, and the files that follow them, for `cargo xtask bench conf`: prints `name value` lines, times in microseconds.

#![expect(clippy::print_stdout, reason = "its output is read by the bench")]

use std::error::Error;
use std::ffi::CStr;
use std::mem::MaybeUninit;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use flota_etcd::{Access, StoreClient};
use flota_registry::{Op, Txn};
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};

/// Operations of one transaction; what etcd takes by default is 128.
const BATCH: usize = 100;
/// How long a file may take to follow its key.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two changes that are measured one by one: longer than changes are collected.
const REST: Duration = Duration::from_millis(100);
/// After a burst nothing has been written for so long: it is over.
const QUIET: Duration = Duration::from_secs(2);

const USAGE: &str = "usage: keys ENDPOINT fill DIRECTORIES KEYS | follow DIR FILES KEY COUNT | burst DIR KEY COUNT";

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Outcome<()> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let [endpoint, work @ ..] = words.as_slice() else { return Err(USAGE.into()) };
    let client = StoreClient::guest(&[format!("http://{endpoint}")], &Access::default()).await?;
    match *work {
        ["fill", directories, keys] => fill(&client, directories.parse()?, keys.parse()?).await,
        ["follow", dir, files, key, count] => {
            follow(&client, &in_place(dir.into())?, files.parse()?, key, count.parse()?).await
        }
        ["burst", dir, key, count] => burst(&client, &in_place(dir.into())?, key, count.parse()?).await,
        _ => Err(USAGE.into()),
    }
}

/// Puts `/bench/d0000/k0` and so on.
async fn fill(client: &StoreClient, directories: usize, keys: usize) -> Outcome<()> {
    let keys = (0..directories).flat_map(|directory| (0..keys).map(move |key| (directory, key)));
    let ops: Vec<Op> = keys
        .map(|(directory, key)| put(&format!("/bench/d{directory:04}/k{key}"), format!("value-{directory}-{key}")))
        .collect();
    for ops in ops.chunks(BATCH) {
        client.commit(&Txn { compares: Vec::new(), ops: ops.to_vec() }).await?;
    }
    Ok(())
}

/// From the moment the store says that a change is there until all its files are in place; negative if they were there before.
async fn follow(client: &StoreClient, files: &Receiver<Instant>, all: usize, key: &str, count: usize) -> Outcome<()> {
    for round in 0..count {
        tokio::time::sleep(REST).await;
        change(client, key, format!("round-{round}")).await?;
        let committed = Instant::now();
        let mut last = committed;
        for _ in 0..all {
            last = files.recv_timeout(PATIENCE)?;
        }
        let after = last.checked_duration_since(committed).map_or(0.0, micros);
        println!("committed_to_file {:.1}", after - committed.checked_duration_since(last).map_or(0.0, micros));
    }
    Ok(())
}

/// How often files were replaced by a series of changes, one as soon as the other is committed.
async fn burst(client: &StoreClient, files: &Receiver<Instant>, key: &str, count: usize) -> Outcome<()> {
    for round in 0..count {
        change(client, key, format!("burst-{round}")).await?;
    }
    let mut replaced = 0;
    loop {
        match files.recv_timeout(QUIET) {
            Ok(_) => replaced += 1,
            Err(RecvTimeoutError::Timeout) => break,
            Err(error) => return Err(error.into()),
        }
    }
    println!("replaced {replaced}");
    Ok(())
}

async fn change(client: &StoreClient, key: &str, value: String) -> Outcome<()> {
    client.commit(&Txn { compares: Vec::new(), ops: vec![put(key, value)] }).await?;
    Ok(())
}

fn put(key: &str, value: String) -> Op {
    Op::Put { key: key.to_owned(), value: value.into_bytes(), lease: None }
}

/// The moments at which files of a directory were renamed into place.
fn in_place(directory: PathBuf) -> Outcome<Receiver<Instant>> {
    let events = inotify::init(CreateFlags::CLOEXEC)?;
    inotify::add_watch(&events, &directory, WatchFlags::MOVED_TO)?;
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut reader = inotify::Reader::new(events, &mut buffer);
        while let Ok(event) = reader.next() {
            let moved = event.events().contains(ReadFlags::MOVED_TO) && event.file_name().is_some_and(is_no_stage);
            if moved && told(&sender).is_err() {
                return;
            }
        }
    });
    Ok(receiver)
}

fn is_no_stage(name: &CStr) -> bool {
    !name.to_bytes().starts_with(b".")
}

fn told(sender: &Sender<Instant>) -> Outcome<()> {
    Ok(sender.send(Instant::now())?)
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}
