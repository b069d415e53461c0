//! Frames: `length u32 | crc32c u32 | previous crc u32 | file tag u32 | kind u8 | body`, little endian.
//!
//! The length counts kind and body, so it is never 0: zeros are not a frame. The crc covers everything else. The previous crc binds the
//! order: a frame left over from elsewhere does not fit, however whole it is. The tag is the crc of the file's first frame, so a frame of
//! this very file is known as one by itself, also behind damage that took the frames before it; clients cannot make one up, because the
//! first frame of a log holds a random number.

use std::io::{self, Read};
use std::ops::Range;

use flota_mvcc::Record;

use super::Identity;

/// Bytes before the kind.
pub(crate) const FRAME_HEAD: usize = 16;

/// Bytes of the first frame of a file.
const FIRST_FRAME: usize = FRAME_HEAD + 1 + 40;

/// Largest frame. Requests are bounded far below; a delete or a revocation of very many keys is not, and is refused above this.
pub(crate) const MAX_FRAME_BYTES: usize = 256 << 20;

/// Most bytes reserved for a frame before any of them is read: as many as nearly all frames have.
const MAX_RESERVED_BYTES: usize = 8 << 20;

/// Bytes read at once: few enough that they are still in the processor's cache when they are looked at.
const READ_BYTES: usize = 256 << 10;

const MAGIC: &[u8; 8] = b"flotalog";
const FORMAT: u32 = 2;

const KIND_HEAD: u8 = 1;
const KIND_BATCH: u8 = 2;
const KIND_END: u8 = 3;

/// What a frame holds.
#[derive(Debug, PartialEq)]
pub(crate) enum Frame {
    /// The first of a file.
    Head(Head),
    /// Records that became durable together.
    Batch(Vec<Record>),
    /// The last of a snapshot.
    End,
}

/// What the first frame of a file says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) identity: Identity,
    pub(crate) seq: u64,
    /// The last crc of the segment before; a random number if there is none.
    pub(crate) previous_crc: u32,
}

/// Appends frames to a buffer and keeps the chain.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Chain {
    pub(crate) crc: u32,
    /// The crc of the file's first frame; 0 before that.
    tag: u32,
}

impl Chain {
    pub(crate) fn head(&mut self, out: &mut Vec<u8>, head: &Head) {
        self.frame(out, KIND_HEAD, |out| {
            out.extend_from_slice(MAGIC);
            out.extend_from_slice(&FORMAT.to_le_bytes());
            out.extend_from_slice(&head.identity.cluster_id.to_le_bytes());
            out.extend_from_slice(&head.identity.member_id.to_le_bytes());
            out.extend_from_slice(&head.seq.to_le_bytes());
            out.extend_from_slice(&head.previous_crc.to_le_bytes());
        });
    }

    pub(crate) fn batch(&mut self, out: &mut Vec<u8>, records: &[Record]) {
        self.frame(out, KIND_BATCH, |out| {
            for record in records {
                let start = out.len();
                out.extend_from_slice(&[0; 4]);
                record.encode(out);
                let length = (out.len() - start - 4) as u32;
                out[start..start + 4].copy_from_slice(&length.to_le_bytes());
            }
        });
    }

    pub(crate) fn end(&mut self, out: &mut Vec<u8>) {
        self.frame(out, KIND_END, |_| {});
    }

    fn frame(&mut self, out: &mut Vec<u8>, kind: u8, body: impl FnOnce(&mut Vec<u8>)) {
        let start = out.len();
        out.extend_from_slice(&[0; 8]);
        out.extend_from_slice(&self.crc.to_le_bytes());
        out.extend_from_slice(&self.tag.to_le_bytes());
        out.push(kind);
        body(out);
        let length = (out.len() - start - FRAME_HEAD) as u32;
        out[start..start + 4].copy_from_slice(&length.to_le_bytes());
        let crc = crc(&out[start..]);
        out[start + 4..start + 8].copy_from_slice(&crc.to_le_bytes());
        self.follow(crc);
    }

    fn follow(&mut self, crc: u32) {
        self.crc = crc;
        if self.tag == 0 {
            self.tag = crc;
        }
    }
}

/// Of everything in the frame but the crc itself.
fn crc(frame: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&frame[..4]), &frame[8..])
}

/// A number that nobody can guess.
pub(crate) fn random_crc() -> u32 {
    use std::hash::{BuildHasher, Hasher, RandomState};
    RandomState::new().build_hasher().finish() as u32
}

/// What comes next in a file.
#[derive(Debug)]
pub(crate) enum Next {
    /// A whole frame.
    Frame(Frame),
    /// The end of the file, or nothing but zeros.
    End,
    /// Bytes that are not the next frame of the chain; the rest of the file as it was read, and why.
    Bad { reason: &'static str, rest: Vec<u8> },
    /// The crc is right, but the content makes no sense: not damage, another format.
    Unreadable(String),
}

impl Next {
    fn parse(content: &[u8]) -> Next {
        parse(content).map_or_else(Next::Unreadable, Next::Frame)
    }
}

/// What is at a place of a file, before its content is looked at.
enum Raw {
    /// A frame that is whole and follows the one before it; where its content is in the buffer.
    Frame(Range<usize>),
    /// Anything else.
    Other(Next),
}

/// Whole frames that were read together, checked but not parsed, and what comes behind them if it is not another frame.
pub(crate) struct Chunk {
    bytes: Vec<u8>,
    /// The place of each in the file, its content, and what is known behind it.
    frames: Vec<(u64, Range<usize>, u64, Chain)>,
    last: Option<Step>,
}

/// What comes at one place of a file.
pub(crate) struct Step {
    pub(crate) offset: u64,
    pub(crate) next: io::Result<Next>,
    /// Where it ends, and the chain up to there.
    pub(crate) end: u64,
    pub(crate) chain: Chain,
}

impl Chunk {
    /// Whether nothing can be read behind it.
    pub(crate) fn is_last(&self) -> bool {
        self.last.is_some()
    }

    /// Looks at the frames' content, up to one that makes no sense; gives the buffer back.
    pub(crate) fn parse(self) -> (Vec<Step>, Vec<u8>) {
        let Chunk { bytes, frames, last } = self;
        let parse = |(offset, content, end, chain)| Step { offset, next: Ok(Next::parse(&bytes[content])), end, chain };
        let steps = frames.into_iter().map(parse).chain(last).collect();
        (steps, bytes)
    }
}

/// Reads the frames of one file.
pub(crate) struct FrameReader<R> {
    input: R,
    chain: Chain,
    /// Of the next frame, in the file.
    offset: u64,
    /// What has been read: up to `filled`, the next frame from `at` on.
    buffer: Vec<u8>,
    at: usize,
    filled: usize,
}

impl<R: Read> FrameReader<R> {
    pub(crate) fn new(input: R) -> FrameReader<R> {
        FrameReader { input, chain: Chain::default(), offset: 0, buffer: Vec::new(), at: 0, filled: 0 }
    }

    /// Where the next frame begins.
    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    pub(crate) fn next(&mut self) -> io::Result<Next> {
        Ok(match self.next_raw()? {
            Raw::Frame(content) => Next::parse(&self.buffer[content]),
            Raw::Other(next) => next,
        })
    }

    /// The frames that one read brings, at least one; `spare` is a buffer for what is read next.
    pub(crate) fn next_chunk(&mut self, spare: Vec<u8>) -> Chunk {
        let mut frames = Vec::new();
        let last = loop {
            let offset = self.offset;
            let next = match self.next_raw() {
                Ok(Raw::Frame(content)) => {
                    frames.push((offset, content, self.offset, self.chain));
                    None
                }
                Ok(Raw::Other(next)) => Some(Ok(next)),
                Err(error) => Some(Err(error)),
            };
            if let Some(next) = next {
                break Some(Step { offset, next, end: self.offset, chain: self.chain });
            }
            // A frame that is not there whole is the beginning of the next chunk.
            if !self.has_whole_frame() {
                break None;
            }
        };
        let bytes = std::mem::replace(&mut self.buffer, spare);
        let left = self.at..self.filled;
        if self.buffer.len() < left.len() {
            self.buffer.resize(left.len(), 0);
        }
        self.buffer[..left.len()].copy_from_slice(&bytes[left.clone()]);
        (self.at, self.filled) = (0, left.len());
        Chunk { bytes, frames, last }
    }

    fn has_whole_frame(&self) -> bool {
        let read = &self.buffer[self.at..self.filled];
        number(read, 0).is_some_and(|length| read.len() - FRAME_HEAD.min(read.len()) >= length as usize)
    }

    /// Checks the next frame, and leaves its content to be parsed.
    fn next_raw(&mut self) -> io::Result<Raw> {
        self.fill(FRAME_HEAD)?;
        let length = number(self.read(), 0).unwrap_or(0) as usize;
        if length == 0 {
            // Zeros are space that was prepared, however few of them a crash has left.
            return Ok(match self.bad("the frame has no length")? {
                Raw::Other(Next::Bad { rest, .. }) if rest.iter().all(|byte| *byte == 0) => Raw::Other(Next::End),
                other => other,
            });
        }
        if length > MAX_FRAME_BYTES {
            return self.bad("the frame's length is impossible");
        }
        self.fill(FRAME_HEAD + length)?;
        let Some(frame) = self.read().get(..FRAME_HEAD + length) else {
            return self.bad("the frame is cut off");
        };
        let Some(crc) = checked_crc(frame) else {
            return self.bad("the frame's checksum is wrong");
        };
        if number(frame, 8) != Some(self.chain.crc) || number(frame, 12) != Some(self.chain.tag) {
            return self.bad("the frame belongs elsewhere");
        }
        self.chain.follow(crc);
        let content = self.at + FRAME_HEAD..self.at + FRAME_HEAD + length;
        self.at = content.end;
        self.offset += (FRAME_HEAD + length) as u64;
        Ok(Raw::Frame(content))
    }

    /// What has been read from the next frame on.
    fn read(&self) -> &[u8] {
        &self.buffer[self.at..self.filled]
    }

    fn bad(&mut self, reason: &'static str) -> io::Result<Raw> {
        let mut rest = self.read().to_vec();
        self.input.read_to_end(&mut rest)?;
        Ok(Raw::Other(Next::Bad { reason, rest }))
    }

    /// Reads until there are `length` bytes of the next frame, or the file ends; what else comes along is for the frames behind it.
    fn fill(&mut self, length: usize) -> io::Result<()> {
        if self.filled - self.at >= length {
            return Ok(());
        }
        self.buffer.copy_within(self.at..self.filled, 0);
        (self.at, self.filled) = (0, self.filled - self.at);
        while self.filled < length {
            if self.buffer.is_empty() {
                // Zeroed by the kernel, and only where something is read into it.
                self.buffer = vec![0; READ_BYTES];
            }
            if self.filled == self.buffer.len() {
                // What a damaged length asks for is not reserved at once.
                self.buffer.resize(length.min(self.filled + MAX_RESERVED_BYTES), 0);
            }
            match self.input.read(&mut self.buffer[self.filled..]) {
                Ok(0) => break,
                Ok(bytes) => self.filled += bytes,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// Whether anything in `rest`, which begins with a bad frame of the file, was written after that frame: then no crash has made it bad.
pub(crate) fn has_frame_behind(chain: Chain, rest: &[u8]) -> bool {
    if chain.tag == 0 {
        // Nothing is written before the first frame is durable.
        return rest.iter().skip(FIRST_FRAME).any(|byte| *byte != 0);
    }
    let tag = chain.tag.to_le_bytes();
    // The tag is looked at first: it rules out nearly everything, so that this takes one pass.
    (1..rest.len().saturating_sub(FRAME_HEAD)).any(|start| {
        rest[start + 12..start + FRAME_HEAD] == tag
            && number(rest, start)
                .and_then(|length| rest.get(start..start + FRAME_HEAD + length as usize))
                .is_some_and(|frame| frame.len() > FRAME_HEAD && checked_crc(frame).is_some())
    })
}

/// The frame's crc, if it is right.
fn checked_crc(frame: &[u8]) -> Option<u32> {
    number(frame, 4).filter(|stored| *stored == crc(frame))
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn parse(content: &[u8]) -> Result<Frame, String> {
    match content.split_first() {
        Some((&KIND_HEAD, body)) => parse_head(body).map(Frame::Head),
        Some((&KIND_BATCH, body)) => parse_batch(body).map(Frame::Batch),
        Some((&KIND_END, [])) => Ok(Frame::End),
        _ => Err("unknown kind of frame; was it written by a newer version?".to_owned()),
    }
}

fn parse_head(body: &[u8]) -> Result<Head, String> {
    let rest = body.strip_prefix(MAGIC).ok_or("not a file of this store")?;
    let (format, rest) = rest.split_first_chunk::<4>().ok_or("the head is too short")?;
    let format = u32::from_le_bytes(*format);
    if format != FORMAT {
        return Err(format!("format {format} is not known to this version, which reads format {FORMAT}"));
    }
    let number = |at: usize| -> Option<u64> { Some(u64::from_le_bytes(rest.get(at..at + 8)?.try_into().ok()?)) };
    let crc = rest.get(24..28).and_then(|bytes| bytes.try_into().ok()).map(u32::from_le_bytes);
    match (number(0), number(8), number(16), crc) {
        (Some(cluster_id), Some(member_id), Some(seq), Some(previous_crc)) if rest.len() == 28 => {
            Ok(Head { identity: Identity { cluster_id, member_id }, seq, previous_crc })
        }
        _ => Err("the head has a wrong length".to_owned()),
    }
}

fn parse_batch(mut body: &[u8]) -> Result<Vec<Record>, String> {
    let mut records = Vec::new();
    while !body.is_empty() {
        let (length, rest) = body.split_first_chunk::<4>().ok_or("a record's length is cut off")?;
        let length = u32::from_le_bytes(*length) as usize;
        let bytes = rest.get(..length).ok_or("a record is cut off")?;
        records.push(Record::decode(bytes).map_err(|error| error.to_string())?);
        body = &rest[length..];
    }
    Ok(records)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use flota_mvcc::KeyValue;

    use super::*;

    /// A file that gives so many bytes at a time.
    struct Drip<'a>(&'a [u8], usize);

    impl Read for Drip<'_> {
        fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
            let bytes = out.len().min(self.1).min(self.0.len());
            out[..bytes].copy_from_slice(&self.0[..bytes]);
            self.0 = &self.0[bytes..];
            Ok(bytes)
        }
    }

    fn log(sizes: &[usize]) -> Vec<u8> {
        let (mut chain, mut log) = (Chain::default(), Vec::new());
        let identity = Identity { cluster_id: 1, member_id: 2 };
        chain.head(&mut log, &Head { identity, seq: 1, previous_crc: 3 });
        for &bytes in sizes {
            let (key, value) = (b"key"[..].into(), vec![7; bytes].into());
            let (create_revision, mod_revision) = (2, 3);
            let kv = KeyValue { key, value, create_revision, mod_revision, version: 1, lease: None, sub: 0 };
            chain.batch(&mut log, &[Record::Restore(Arc::new(kv))]);
        }
        log
    }

    #[test]
    fn chunks_have_the_same_frames_as_one_by_one_wherever_a_read_ends() {
        let mut log =
            log(&[1, 100, READ_BYTES - 50, 10, READ_BYTES, 3 * READ_BYTES, 5, 70_000, 70_000, 70_000, 70_000]);
        log.extend([0; 1000]);
        let frame = |next: Next| if let Next::Frame(frame) = next { Some(frame) } else { None };
        for step in [999, READ_BYTES, usize::MAX] {
            let mut reader = FrameReader::new(Drip(&log, step));
            let mut expected = Vec::new();
            while expected.last().is_none_or(|(_, frame): &(u64, Option<Frame>)| frame.is_some()) {
                expected.push((reader.offset(), frame(reader.next().unwrap())));
            }
            assert_eq!(expected.len(), 1 + 11 + 1);
            let mut reader = FrameReader::new(Drip(&log, step));
            let (mut found, mut spare, mut is_last) = (Vec::new(), Vec::new(), false);
            while !is_last {
                let chunk = reader.next_chunk(spare);
                is_last = chunk.is_last();
                let (steps, buffer) = chunk.parse();
                found.extend(steps.into_iter().map(|step| (step.offset, frame(step.next.unwrap()))));
                spare = buffer;
            }
            assert!(found == expected, "{} frames", found.len());
        }
    }

    #[test]
    fn what_is_wrong_behind_good_frames_comes_with_all_that_follows_it() {
        let mut log = log(&[100, 200, 300]);
        let end = log.len();
        log[end - 350] ^= 1;
        log.extend([9; 1000]);
        let (steps, _) = FrameReader::new(&log[..]).next_chunk(Vec::new()).parse();
        let Some(Step { offset, next: Ok(Next::Bad { reason, rest }), .. }) = steps.last() else {
            panic!("it is taken")
        };
        assert_eq!((steps.len(), *reason), (3, "the frame's checksum is wrong"));
        assert_eq!(rest, &log[*offset as usize..]);
    }
}
