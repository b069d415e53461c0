//! Reads frames ahead of whoever takes them in: one thread reads and checks them, one decodes them, and the third applies.

use std::io::{self, Read};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use super::frame::{Chain, Frame, FrameReader, Next, Raw};

/// Most frames that wait between two threads.
const MAX_AHEAD: usize = 8;

/// What comes at one place of a file: first as it was read, then as it is to be taken.
pub(super) struct Step<N = Next> {
    pub(super) offset: u64,
    pub(super) next: io::Result<N>,
    /// Where it ends, and the chain up to there.
    pub(super) end: u64,
    pub(super) chain: Chain,
}

/// Reads the file in threads of its own while `take` goes through its steps. The last step is one that is not the head or a batch;
/// `take` may leave earlier.
pub(super) fn read_ahead<R: Read + Send, T>(reader: FrameReader<R>, take: impl FnOnce(Receiver<Step>) -> T) -> T {
    thread::scope(|scope| {
        let (sender, raw) = sync_channel(MAX_AHEAD);
        scope.spawn(move || read(reader, &sender));
        let (sender, steps) = sync_channel(MAX_AHEAD);
        scope.spawn(move || decode(raw, &sender));
        take(steps)
    })
}

fn read<R: Read>(mut reader: FrameReader<R>, sender: &SyncSender<Step<Raw>>) {
    loop {
        let offset = reader.offset();
        let next = reader.next_raw();
        let goes_on = matches!(next, Ok(Raw::Frame(_)));
        let step = Step { offset, next, end: reader.offset(), chain: reader.chain() };
        if sender.send(step).is_err() || !goes_on {
            return;
        }
    }
}

fn decode(raw: Receiver<Step<Raw>>, sender: &SyncSender<Step>) {
    for Step { offset, next, end, chain } in raw {
        let next = next.map(Raw::parse);
        let goes_on = matches!(next, Ok(Next::Frame(Frame::Head(_) | Frame::Batch(_))));
        if sender.send(Step { offset, next, end, chain }).is_err() || !goes_on {
            return;
        }
    }
}
