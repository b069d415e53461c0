//! The bytes of a record: LEB128 numbers and length-prefixed strings, read without ever panicking.

/// The bytes are not a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The record ends too early.
    #[error("record ends at byte {0}, in the middle of a field")]
    Truncated(usize),
    /// A number that does not fit.
    #[error("number at byte {0} is out of range")]
    BadNumber(usize),
    /// An unknown kind of record or change.
    #[error("unknown tag {tag} at byte {offset}")]
    UnknownTag {
        /// The tag.
        tag: u8,
        /// Where.
        offset: usize,
    },
    /// A name that is not UTF-8.
    #[error("name at byte {0} is not text")]
    NotText(usize),
    /// Bytes after the end.
    #[error("{0} bytes after the end of the record")]
    Trailing(usize),
}

/// Appends an unsigned number, 7 bits a byte.
pub(crate) fn put_u64(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends a signed number; only -1 and lease ids are ever negative, and those may take ten bytes.
pub(crate) fn put_i64(out: &mut Vec<u8>, value: i64) {
    put_u64(out, value as u64);
}

/// Appends a length and the bytes.
pub(crate) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_u64(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Reads fields one after the other.
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
    offset: usize,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader { bytes, offset: 0 }
    }

    pub(crate) fn offset(&self) -> usize {
        self.offset
    }

    pub(crate) fn u8(&mut self) -> Result<u8, DecodeError> {
        let byte = *self.bytes.get(self.offset).ok_or(DecodeError::Truncated(self.offset))?;
        self.offset += 1;
        Ok(byte)
    }

    pub(crate) fn u64(&mut self) -> Result<u64, DecodeError> {
        let start = self.offset;
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.u8()?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                return Err(DecodeError::BadNumber(start));
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(DecodeError::BadNumber(start))
    }

    pub(crate) fn i64(&mut self) -> Result<i64, DecodeError> {
        Ok(self.u64()? as i64)
    }

    pub(crate) fn bytes(&mut self) -> Result<&'a [u8], DecodeError> {
        let start = self.offset;
        let length = usize::try_from(self.u64()?).map_err(|_| DecodeError::BadNumber(start))?;
        let end = self.offset.checked_add(length).ok_or(DecodeError::BadNumber(start))?;
        let bytes = self.bytes.get(self.offset..end).ok_or(DecodeError::Truncated(self.bytes.len()))?;
        self.offset = end;
        Ok(bytes)
    }

    pub(crate) fn finish(self) -> Result<(), DecodeError> {
        match self.bytes.len() - self.offset {
            0 => Ok(()),
            left => Err(DecodeError::Trailing(left)),
        }
    }
}
