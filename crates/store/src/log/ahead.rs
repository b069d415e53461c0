//! Reads frames ahead of whoever takes them in: one thread checks and decodes while the other applies.

use std::io::{self, Read};
use std::sync::mpsc::{Receiver, sync_channel};
use std::thread;

use super::frame::{Chain, Frame, FrameReader, Next};

/// Most frames that wait to be taken in.
const MAX_AHEAD: usize = 8;

/// What comes at one place of a file.
pub(super) struct Step {
    pub(super) offset: u64,
    pub(super) next: io::Result<Next>,
    /// Where it ends, and the chain up to there.
    pub(super) end: u64,
    pub(super) chain: Chain,
}

/// Reads the file in a thread of its own while `take` goes through its steps. The last step is one that is not the head or a batch;
/// `take` may leave earlier.
pub(super) fn read_ahead<R: Read + Send, T>(mut reader: FrameReader<R>, take: impl FnOnce(Receiver<Step>) -> T) -> T {
    thread::scope(|scope| {
        let (sender, steps) = sync_channel(MAX_AHEAD);
        scope.spawn(move || {
            loop {
                let offset = reader.offset();
                let next = reader.next();
                let goes_on = matches!(next, Ok(Next::Frame(Frame::Head(_) | Frame::Batch(_))));
                let step = Step { offset, next, end: reader.offset(), chain: reader.chain() };
                if sender.send(step).is_err() || !goes_on {
                    return;
                }
            }
        });
        take(steps)
    })
}
