//! Protobuf's wire format, as far as etcd's messages use it.

/// A field's content as it is on the wire.
#[derive(Clone, Copy)]
pub(super) enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

/// The bytes are no message.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Malformed;

pub(super) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

pub(super) fn put_number(out: &mut Vec<u8>, field: u32, value: u64) {
    put_varint(out, u64::from(field) << 3);
    put_varint(out, value);
}

pub(super) fn put_bytes(out: &mut Vec<u8>, field: u32, bytes: &[u8]) {
    put_varint(out, u64::from(field) << 3 | 2);
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Reads the fields of a message one after the other.
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader { bytes }
    }

    /// The next field's number and content; `None` at the end. Fixed-width numbers, which etcd does not use, are passed over.
    pub(super) fn field(&mut self) -> Result<Option<(u64, Value<'a>)>, Malformed> {
        while !self.bytes.is_empty() {
            let key = self.varint()?;
            match key & 7 {
                0 => return Ok(Some((key >> 3, Value::Number(self.varint()?)))),
                1 => _ = self.take(8)?,
                2 => {
                    let length = usize::try_from(self.varint()?).map_err(|_| Malformed)?;
                    return Ok(Some((key >> 3, Value::Bytes(self.take(length)?))));
                }
                5 => _ = self.take(4)?,
                _ => return Err(Malformed),
            }
        }
        Ok(None)
    }

    /// The next bare number; `None` at the end: what a packed list is made of.
    pub(super) fn packed(&mut self) -> Result<Option<u64>, Malformed> {
        if self.bytes.is_empty() { Ok(None) } else { self.varint().map(Some) }
    }

    fn varint(&mut self) -> Result<u64, Malformed> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.take(1)?[0];
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Malformed)
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.bytes.split_at_checked(length).ok_or(Malformed)?;
        self.bytes = rest;
        Ok(taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_are_no_message_are_refused() {
        for wrong in
            [&[0x08][..], &[0x0a, 5, 1], &[0x0b], &[0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]]
        {
            assert!(matches!(Reader::new(wrong).field(), Err(Malformed)), "{wrong:?}");
        }
        let mut reader = Reader::new(&[0x0d, 1, 2, 3, 4, 0x10, 7]);
        assert!(matches!(reader.field(), Ok(Some((2, Value::Number(7))))));
        assert!(matches!(reader.field(), Ok(None)));
    }
}
