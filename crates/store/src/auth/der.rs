//! The few elements of DER that names and keys are made of, read without ever panicking.

pub(super) const INTEGER: u8 = 0x02;
pub(super) const BIT_STRING: u8 = 0x03;
pub(super) const OCTET_STRING: u8 = 0x04;
pub(super) const OBJECT_ID: u8 = 0x06;
pub(super) const SEQUENCE: u8 = 0x30;
pub(super) const SET: u8 = 0x31;

/// The content of the first element, which must be of this kind, and what follows it.
pub(super) fn element(bytes: &[u8], kind: u8) -> Option<(&[u8], &[u8])> {
    let (found, content, rest) = any_element(bytes)?;
    (found == kind).then_some((content, rest))
}

/// Kind and content of the first element, and what follows it.
pub(super) fn any_element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&[kind, first], mut rest) = bytes.split_first_chunk::<2>()?;
    let length = match first {
        0..=0x7f => usize::from(first),
        0x81 => {
            let (&[length], after) = rest.split_first_chunk::<1>()?;
            rest = after;
            usize::from(length)
        }
        0x82 => {
            let (&length, after) = rest.split_first_chunk::<2>()?;
            rest = after;
            usize::from(u16::from_be_bytes(length))
        }
        // Longer than any name or key.
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((kind, content, rest))
}

/// The whole bytes of a bit string.
pub(super) fn bits(content: &[u8]) -> Option<&[u8]> {
    // The first byte counts unused bits of the last one; keys have none.
    content.strip_prefix(&[0])
}
