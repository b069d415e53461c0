//! Reads frames ahead of whoever takes them in: one thread reads and checks them, a few decode them, and the caller applies.
//!
//! Frames go from thread to thread many at a time: to wake a thread takes longer than to read a frame.

use std::io::Read;
use std::num::NonZeroUsize;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread;
use std::vec;

use super::frame::{Chunk, FrameReader, Step};

/// Most chunks that wait between two threads.
const MAX_AHEAD: usize = 2;

/// Most threads that decode; the one that applies keeps no more of them busy.
const MAX_DECODERS: usize = 4;

/// Reads the file in threads of its own while `take` goes through its steps. The last step is one that is not the head or a batch;
/// `take` may leave earlier.
pub(super) fn read_ahead<R: Read + Send, T>(reader: FrameReader<R>, take: impl FnOnce(Steps) -> T) -> T {
    let decoders = thread::available_parallelism().map_or(1, NonZeroUsize::get).min(MAX_DECODERS);
    thread::scope(|scope| {
        let (give_back, spares) = channel();
        let (to_decode, decoded) = (0..decoders)
            .map(|_| {
                let (to_decode, chunks) = sync_channel(MAX_AHEAD);
                let (steps, decoded) = sync_channel(MAX_AHEAD);
                let give_back = give_back.clone();
                scope.spawn(move || decode(chunks, &steps, &give_back));
                (to_decode, decoded)
            })
            .unzip();
        scope.spawn(move || read(reader, to_decode, &spares));
        take(Steps { decoded, next: 0, chunk: Vec::new().into_iter() })
    })
}

/// The steps through a file, in its order.
pub(super) struct Steps {
    /// The decoders have the chunks in turn.
    decoded: Vec<Receiver<Vec<Step>>>,
    next: usize,
    chunk: vec::IntoIter<Step>,
}

impl Iterator for Steps {
    type Item = Step;

    fn next(&mut self) -> Option<Step> {
        loop {
            if let Some(step) = self.chunk.next() {
                return Some(step);
            }
            self.chunk = self.decoded[self.next].recv().ok()?.into_iter();
            self.next = (self.next + 1) % self.decoded.len();
        }
    }
}

fn read<R: Read>(mut reader: FrameReader<R>, decoders: Vec<SyncSender<Chunk>>, spares: &Receiver<Vec<u8>>) {
    for decoder in decoders.iter().cycle() {
        let chunk = reader.next_chunk(spares.try_recv().unwrap_or_default());
        let is_last = chunk.is_last();
        if decoder.send(chunk).is_err() || is_last {
            return;
        }
    }
}

fn decode(chunks: Receiver<Chunk>, decoded: &SyncSender<Vec<Step>>, give_back: &Sender<Vec<u8>>) {
    for chunk in chunks {
        let (steps, buffer) = chunk.parse();
        // Who has read everything wants no buffer any more.
        let _ = give_back.send(buffer);
        if decoded.send(steps).is_err() {
            return;
        }
    }
}
