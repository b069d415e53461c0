//! Sends the store as a file of etcd's: pieces as they are made, the SHA-256 of all of them last.

use std::io::{self, Write};
use std::pin::Pin;
use std::sync::Arc;

use etcd_client::proto::PbSnapshotResponse;
use futures_util::Stream;
use futures_util::stream::unfold;
use ring::digest::{Context, SHA256};
use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::mpsc::{self, Sender};
use tonic::Status;

use crate::etcd_file::Export;
use crate::shared::Shared;

/// Bytes of a piece, as etcd's.
const PIECE_BYTES: usize = 32 << 10;

/// Pieces that wait for a slow client; the file is made no faster.
const MAX_WAITING: usize = 8;

type Piece = Result<PbSnapshotResponse, Status>;

/// Takes a dump at once, makes the file of it on a thread of its own, and holds `room` until then.
pub(super) fn stream(shared: Arc<Shared>, room: OwnedSemaphorePermit) -> Pin<Box<dyn Stream<Item = Piece> + Send>> {
    let (pieces, received) = mpsc::channel(MAX_WAITING);
    tokio::task::spawn_blocking(move || {
        let _room = room;
        let records = shared.state().dump();
        // A client that has gone away needs no telling.
        if let Err(status) = send(&Export::new(records), &pieces) {
            let _ = pieces.blocking_send(Err(status));
        }
    });
    Box::pin(unfold(received, |mut received| async { Some((received.recv().await?, received)) }))
}

fn send(export: &Export, pieces: &Sender<Piece>) -> Result<(), Status> {
    let failed = |error: flota_bolt::WriteError| Status::internal(format!("the snapshot cannot be made: {error}"));
    let left = export.size().map_err(failed)?;
    let mut out = Pieces { to: pieces, left, buffer: Vec::with_capacity(PIECE_BYTES), hash: Context::new(&SHA256) };
    export.write(&mut out).map_err(failed)?;
    out.flush().map_err(|error| failed(error.into()))?;
    let hash = out.hash.finish().as_ref().to_vec();
    let _ = pieces.blocking_send(Ok(PbSnapshotResponse { blob: hash, ..PbSnapshotResponse::default() }));
    Ok(())
}

/// Cuts what is written into pieces.
struct Pieces<'a> {
    to: &'a Sender<Piece>,
    /// Bytes that have not been sent.
    left: u64,
    buffer: Vec<u8>,
    hash: Context,
}

impl Write for Pieces<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(PIECE_BYTES - self.buffer.len());
        self.buffer.extend_from_slice(&bytes[..taken]);
        if self.buffer.len() == PIECE_BYTES {
            self.flush()?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let blob = std::mem::replace(&mut self.buffer, Vec::with_capacity(PIECE_BYTES));
        self.hash.update(&blob);
        self.left -= blob.len() as u64;
        let piece = PbSnapshotResponse { remaining_bytes: self.left, blob, ..PbSnapshotResponse::default() };
        self.to.blocking_send(Ok(piece)).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}
