//! How fast a disk makes data durable, measured as etcd's own guide does.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
    time::{Duration, Instant},
};

use flota_doctor::Latency;

/// Bytes per write.
const BLOCK_BYTES: usize = 2300;
/// Most measurements of one kind.
pub const MAX_SAMPLES: usize = 20_000;

/// Appends small blocks to a file in `dir`, each made durable before the next, as the store's log is. Blocks.
pub fn syncs(dir: &Path, span: Duration) -> io::Result<Latency> {
    let path = dir.join(format!(".check-{}", std::process::id()));
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
    let measured = sync_blocks(file, span);
    std::fs::remove_file(&path)?;
    measured
}

fn sync_blocks(mut file: File, span: Duration) -> io::Result<Latency> {
    let mut samples = Vec::new();
    let begun = Instant::now();
    while begun.elapsed() < span && samples.len() < MAX_SAMPLES {
        let sent = Instant::now();
        file.write_all(&[b'x'; BLOCK_BYTES])?;
        file.sync_data()?;
        samples.push(sent.elapsed().as_secs_f64());
    }
    Ok(Latency::of(samples))
}
