//! Frames: `length u32 | crc32c u32 | previous crc u32 | file tag u32 | kind u8 | body`, little endian.
//!
//! The length counts kind and body, so it is never 0: zeros are not a frame. The crc covers everything else. The previous crc binds the
//! order: a frame left over from elsewhere does not fit, however whole it is. The tag is the crc of the file's first frame, so a frame of
//! this very file is known as one by itself, also behind damage that took the frames before it; clients cannot make one up, because the
//! first frame of a log holds a random number.

use std::io::{self, Read};

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

/// What is at a place of a file, before its content is looked at.
pub(crate) enum Raw {
    /// All bytes of a frame that is whole and follows the one before it.
    Frame(Vec<u8>),
    /// Anything else.
    Other(Next),
}

impl Raw {
    /// Looks at the content.
    pub(crate) fn parse(self) -> Next {
        match self {
            Raw::Frame(bytes) => parse(&bytes[FRAME_HEAD..]).map_or_else(Next::Unreadable, Next::Frame),
            Raw::Other(next) => next,
        }
    }
}

/// Reads the frames of one file.
pub(crate) struct FrameReader<R> {
    input: R,
    chain: Chain,
    offset: u64,
}

impl<R: Read> FrameReader<R> {
    pub(crate) fn new(input: R) -> FrameReader<R> {
        FrameReader { input, chain: Chain::default(), offset: 0 }
    }

    /// Where the next frame begins.
    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    pub(crate) fn chain(&self) -> Chain {
        self.chain
    }

    pub(crate) fn next(&mut self) -> io::Result<Next> {
        self.next_raw().map(Raw::parse)
    }

    /// Checks the next frame, and leaves its content to be parsed.
    pub(crate) fn next_raw(&mut self) -> io::Result<Raw> {
        let mut bytes = Vec::new();
        self.fill(&mut bytes, FRAME_HEAD)?;
        let length = number(&bytes, 0).unwrap_or(0) as usize;
        if length == 0 {
            // Zeros are space that was prepared, however few of them a crash has left.
            return Ok(match self.bad("the frame has no length", bytes)? {
                Raw::Other(Next::Bad { rest, .. }) if rest.iter().all(|byte| *byte == 0) => Raw::Other(Next::End),
                other => other,
            });
        }
        if length > MAX_FRAME_BYTES {
            return self.bad("the frame's length is impossible", bytes);
        }
        self.fill(&mut bytes, FRAME_HEAD + length)?;
        if bytes.len() < FRAME_HEAD + length {
            return self.bad("the frame is cut off", bytes);
        }
        let Some(crc) = checked_crc(&bytes) else {
            return self.bad("the frame's checksum is wrong", bytes);
        };
        if number(&bytes, 8) != Some(self.chain.crc) || number(&bytes, 12) != Some(self.chain.tag) {
            return self.bad("the frame belongs elsewhere", bytes);
        }
        self.chain.follow(crc);
        self.offset += bytes.len() as u64;
        Ok(Raw::Frame(bytes))
    }

    fn bad(&mut self, reason: &'static str, mut rest: Vec<u8>) -> io::Result<Raw> {
        self.input.read_to_end(&mut rest)?;
        Ok(Raw::Other(Next::Bad { reason, rest }))
    }

    /// Reads until there are `length` bytes, or the file ends. What a damaged length asks for is not reserved at once.
    fn fill(&mut self, bytes: &mut Vec<u8>, length: usize) -> io::Result<()> {
        let missing = length - bytes.len();
        bytes.reserve_exact(missing.min(MAX_RESERVED_BYTES));
        self.input.by_ref().take(missing as u64).read_to_end(bytes)?;
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
