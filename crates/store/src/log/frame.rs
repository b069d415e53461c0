//! Frames: `length u32 | crc32c u32 | kind u8 | body`, little endian; each crc is seeded with the one before it.
//!
//! The length counts kind and body, so it is never 0: zeros are not a frame. The chain of seeds binds the order: a frame left over from
//! elsewhere does not fit, however whole it is.

use std::io::{self, Read};

use flota_mvcc::Record;

use super::Identity;

/// Bytes before the kind.
pub(crate) const FRAME_HEAD: usize = 8;

/// Largest frame. Requests are bounded far below; a delete or a revocation of very many keys is not, and is refused above this.
pub(crate) const MAX_FRAME_BYTES: usize = 256 << 20;

const MAGIC: &[u8; 8] = b"flotalog";
const FORMAT: u32 = 1;

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
    /// The last crc of the segment before; 0 if there is none.
    pub(crate) previous_crc: u32,
}

/// Appends frames to a buffer and keeps the chain.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Chain {
    pub(crate) crc: u32,
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
        out.extend_from_slice(&[0; FRAME_HEAD]);
        out.push(kind);
        body(out);
        let length = (out.len() - start - FRAME_HEAD) as u32;
        self.crc = crc(self.crc, length, &out[start + FRAME_HEAD..]);
        out[start..start + 4].copy_from_slice(&length.to_le_bytes());
        out[start + 4..start + 8].copy_from_slice(&self.crc.to_le_bytes());
    }
}

/// The length is covered too, so that a changed length cannot go unseen.
fn crc(seed: u32, length: u32, content: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c_append(seed, &length.to_le_bytes()), content)
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
        let mut bytes = Vec::with_capacity(FRAME_HEAD);
        self.fill(&mut bytes, FRAME_HEAD)?;
        if bytes.is_empty() {
            return Ok(Next::End);
        }
        let Some((length, crc_read)) = split_head(&bytes) else {
            return self.bad("the frame's head is cut off", bytes);
        };
        if length == 0 {
            self.input.read_to_end(&mut bytes)?;
            let end = bytes.iter().all(|byte| *byte == 0);
            return Ok(if end { Next::End } else { Next::Bad { reason: "the frame has no length", rest: bytes } });
        }
        if length > MAX_FRAME_BYTES {
            return self.bad("the frame's length is impossible", bytes);
        }
        self.fill(&mut bytes, FRAME_HEAD + length)?;
        if bytes.len() < FRAME_HEAD + length {
            return self.bad("the frame is cut off", bytes);
        }
        let content = &bytes[FRAME_HEAD..];
        if crc(self.chain.crc, length as u32, content) != crc_read {
            return self.bad("the frame's checksum is wrong", bytes);
        }
        let frame = match parse(content) {
            Ok(frame) => frame,
            Err(reason) => return Ok(Next::Unreadable(reason)),
        };
        self.chain.crc = crc_read;
        self.offset += bytes.len() as u64;
        Ok(Next::Frame(frame))
    }

    fn bad(&mut self, reason: &'static str, mut rest: Vec<u8>) -> io::Result<Next> {
        self.input.read_to_end(&mut rest)?;
        Ok(Next::Bad { reason, rest })
    }

    fn fill(&mut self, bytes: &mut Vec<u8>, length: usize) -> io::Result<()> {
        let missing = (length - bytes.len()) as u64;
        self.input.by_ref().take(missing).read_to_end(bytes)?;
        Ok(())
    }
}

/// Whether a whole frame that follows a bad one is in `rest`, which begins with the bad one: then no crash has made it bad.
///
/// `seed` is the crc before the bad frame. Its successor is seeded with the bad frame's crc: the stored one if the content or length was
/// changed, the computed one if the stored one was changed.
pub(crate) fn has_frame_behind(seed: Chain, rest: &[u8]) -> bool {
    let Some((length, stored)) = split_head(rest) else { return false };
    let content = rest.get(FRAME_HEAD..FRAME_HEAD.saturating_add(length));
    let computed = content.map_or(stored, |content| crc(seed.crc, length as u32, content));
    (1..rest.len()).any(|start| is_frame(stored, &rest[start..]) || is_frame(computed, &rest[start..]))
}

fn is_frame(seed: u32, bytes: &[u8]) -> bool {
    let Some((length, stored)) = split_head(bytes) else { return false };
    let Some(content) = bytes.get(FRAME_HEAD..FRAME_HEAD.saturating_add(length)) else { return false };
    matches!(content.first(), Some(&(KIND_BATCH | KIND_END))) && crc(seed, length as u32, content) == stored
}

fn split_head(bytes: &[u8]) -> Option<(usize, u32)> {
    let length: [u8; 4] = bytes.get(..4)?.try_into().ok()?;
    let crc: [u8; 4] = bytes.get(4..8)?.try_into().ok()?;
    Some((u32::from_le_bytes(length) as usize, u32::from_le_bytes(crc)))
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
