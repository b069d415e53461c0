//! Old clients of etcd name the server by its whole URL or socket path where HTTP/2 wants a host: mended as it comes in.
//!
//! Debian 12's etcdctl 3.4 sends `http://HOST:PORT` as the authority of some calls (`endpoint status`, `defrag`), and the path of a unix
//! socket as that of all. Go's servers take any text there. The HTTP/2 library here ends the connection instead, and cannot be told
//! otherwise, so the characters that no host has are replaced before it sees them: by others whose code has the same number of bits,
//! so that nothing around them moves. What the authority says means nothing to etcd.

use http::uri::Authority;

/// What a client of HTTP/2 says first.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Bytes in the head of a frame.
const FRAME_HEAD: usize = 9;

const TYPE_HEADERS: u8 = 1;
const FLAG_PADDED: u8 = 0x08;
const FLAG_PRIORITY: u8 = 0x20;

/// Bytes that a stream's priority takes in front of the headers.
const PRIORITY_BYTES: usize = 5;

/// The place of `:authority` in the table of headers that both sides know.
const AUTHORITY: usize = 1;

/// Follows what a client sends, frame by frame.
#[derive(Debug)]
pub(crate) struct AuthorityRepair {
    place: Place,
}

#[derive(Debug)]
enum Place {
    /// So many bytes of the preface have come.
    Preface(usize),
    /// So many bytes of a frame's head have come.
    Head([u8; FRAME_HEAD], usize),
    /// So many bytes of a frame are still to come.
    Body(usize),
    /// It is not HTTP/2.
    Other,
}

impl AuthorityRepair {
    pub(crate) fn new() -> AuthorityRepair {
        AuthorityRepair { place: Place::Preface(0) }
    }

    /// Mends what has just been read. Headers that came in pieces are left as they are: no client of this kind sends them so.
    pub(crate) fn mend(&mut self, mut bytes: &mut [u8]) {
        while !bytes.is_empty() {
            let taken = match &mut self.place {
                Place::Other => return,
                Place::Preface(seen) => {
                    let expected = &PREFACE[*seen..];
                    let taken = expected.len().min(bytes.len());
                    self.place = match bytes[..taken] == expected[..taken] {
                        false => Place::Other,
                        true if taken == expected.len() => Place::Head([0; FRAME_HEAD], 0),
                        true => Place::Preface(*seen + taken),
                    };
                    taken
                }
                Place::Head(head, seen) => {
                    let taken = (FRAME_HEAD - *seen).min(bytes.len());
                    head[*seen..*seen + taken].copy_from_slice(&bytes[..taken]);
                    *seen += taken;
                    if *seen == FRAME_HEAD {
                        let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
                        if head[3] == TYPE_HEADERS
                            && let Some(body) = bytes.get_mut(taken..taken + length)
                        {
                            // What is no list of headers is for the library to refuse.
                            let _ = mend_headers(body, head[4]);
                        }
                        self.place = Place::Body(length);
                    }
                    taken
                }
                Place::Body(left) => {
                    let taken = (*left).min(bytes.len());
                    *left -= taken;
                    if *left == 0 {
                        self.place = Place::Head([0; FRAME_HEAD], 0);
                    }
                    taken
                }
            };
            bytes = &mut bytes[taken..];
        }
    }
}

/// Looks for the authority in a block of headers (RFC 7541, section 6).
fn mend_headers(body: &mut [u8], flags: u8) -> Option<()> {
    let mut at = usize::from(flags & FLAG_PADDED != 0) + if flags & FLAG_PRIORITY != 0 { PRIORITY_BYTES } else { 0 };
    while let Some(first) = body.get(at).copied() {
        if first & 0x80 != 0 {
            integer(body, &mut at, 7)?;
        } else if first & 0xe0 == 0x20 {
            integer(body, &mut at, 5)?;
        } else {
            let name = integer(body, &mut at, if first & 0x40 != 0 { 6 } else { 4 })?;
            if name == 0 {
                string(body, &mut at)?;
            }
            let (is_coded, start) = string(body, &mut at)?;
            if name == AUTHORITY {
                mend_value(body.get_mut(start..at)?, is_coded);
                return Some(());
            }
        }
    }
    Some(())
}

/// A number with so many bits in its first byte.
fn integer(bytes: &[u8], at: &mut usize, bits: u32) -> Option<usize> {
    let most = (1usize << bits) - 1;
    let mut value = usize::from(*bytes.get(*at)?) & most;
    *at += 1;
    if value < most {
        return Some(value);
    }
    for shift in [0, 7, 14] {
        let byte = usize::from(*bytes.get(*at)?);
        *at += 1;
        value += (byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

/// Whether a string is coded, and where its bytes begin; `at` is then where they end.
fn string(bytes: &[u8], at: &mut usize) -> Option<(bool, usize)> {
    let is_coded = bytes.get(*at)? & 0x80 != 0;
    let length = integer(bytes, at, 7)?;
    let start = *at;
    *at = start.checked_add(length).filter(|end| *end <= bytes.len())?;
    Some((is_coded, start))
}

fn mend_value(value: &mut [u8], is_coded: bool) {
    let Some(text) = (if is_coded { decode(value) } else { Some(value.to_vec()) }) else { return };
    if Authority::try_from(text.as_slice()).is_ok() {
        return;
    }
    let mended: Vec<u8> = text.iter().map(|byte| stand_in(*byte)).collect();
    if is_coded {
        encode(&mended, value);
    } else {
        value.copy_from_slice(&mended);
    }
}

/// A character that a host may have, with as many bits as the one that it may not.
fn stand_in(byte: u8) -> u8 {
    match byte {
        b'/' | b'%' | b' ' => b'-',
        b':' => b'B',
        other => other,
    }
}

/// The characters whose codes have five, six, seven and eight bits, with the first code of each (RFC 7541, appendix B). Others do not
/// come in a URL.
const CODES: [(u32, u32, &[u8]); 4] = [
    (5, 0x00, b"012aceiost"),
    (6, 0x14, b" %-./3456789=A_bdfghlmnpru"),
    (7, 0x5c, b":BCDEFGHIJKLMNOPQRSTUVWYjkqvwxyz"),
    (8, 0xf8, b"&*,;XZ"),
];

/// The text of a Huffman code; `None` if it has other characters.
fn decode(coded: &[u8]) -> Option<Vec<u8>> {
    let bit = |at: usize| u32::from(coded[at / 8] >> (7 - at % 8) & 1);
    let (mut text, mut at) = (Vec::new(), 0);
    'next: while at < coded.len() * 8 {
        let mut code = 0;
        for (length, end) in (at..coded.len() * 8).take(8).enumerate() {
            code = code << 1 | bit(end);
            let of_length = CODES.iter().find(|(bits, ..)| *bits == length as u32 + 1);
            let found = of_length.and_then(|(_, first, all)| all.get(code.checked_sub(*first)? as usize));
            if let Some(byte) = found {
                text.push(*byte);
                at = end + 1;
                continue 'next;
            }
        }
        // Less than a byte of ones fills the last one up.
        let rest = coded.len() * 8 - at;
        return (rest < 8 && (at..at + rest).all(|at| bit(at) == 1)).then_some(text);
    }
    Some(text)
}

/// Writes the code of a text over one of the same length.
fn encode(text: &[u8], coded: &mut [u8]) {
    let mut at = 0;
    for byte in text {
        let place = |(bits, first, all): &(u32, u32, &[u8])| {
            Some((*bits, first + u32::try_from(all.iter().position(|other| other == byte)?).ok()?))
        };
        let Some((bits, code)) = CODES.iter().find_map(place) else { return };
        for bit in (0..bits).rev() {
            let Some(target) = coded.get_mut(at / 8) else { return };
            let mask = 0x80 >> (at % 8);
            *target = if code >> bit & 1 == 1 { *target | mask } else { *target & !mask };
            at += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What etcdctl 3.4.23 sends for `--endpoints=http://127.0.0.1:23999 endpoint status`: preface, settings, headers, an empty message.
    const STATUS: &str = "505249202a20485454502f322e300d0a0d0a534d0d0a0d0a0000000400000000000000000401000000000000770104000000018386\
        459760a924882d9dcb6571afa066a925a87510ac6e48d36a3f41909d29aee30c044eae05c0b86e0997df7f5f8b1d75d0620d263d4c4d65647a8b9acac8b4c76\
        02bb2caecff40027465864d833505b11f40899acac8b24d494f6a7f867dd69a75bb7f408d25062d495875996ee5b1063d5f03332e34000005000100000001\
        0000000000";

    fn bytes(hex: &str) -> Vec<u8> {
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
    }

    /// The authority in what a client sent, and where it is.
    fn authority(sent: &[u8]) -> (Vec<u8>, usize) {
        let at = sent.windows(2).position(|pair| pair == [0x41, 0x90]).unwrap() + 2;
        (decode(&sent[at..at + 16]).unwrap(), at)
    }

    #[test]
    fn a_url_becomes_a_host_of_the_same_length_and_nothing_else_changes() {
        let sent = bytes(STATUS);
        let mut mended = sent.clone();
        AuthorityRepair::new().mend(&mut mended);
        let (text, at) = authority(&mended);
        assert_eq!(authority(&sent).0, b"http://127.0.0.1:23999");
        assert_eq!(text, b"httpB--127.0.0.1B23999");
        assert!(Authority::try_from(text.as_slice()).is_ok());
        assert_eq!((&sent[..at], &sent[at + 16..]), (&mended[..at], &mended[at + 16..]));
    }

    #[test]
    fn only_headers_are_mended_and_only_in_http_2() {
        let mut in_data = bytes(
            "505249202a20485454502f322e300d0a0d0a534d0d0a0d0a00001200000000000141909d29aee30c044eae05c0b86e0997df7f",
        );
        let before = in_data.clone();
        AuthorityRepair::new().mend(&mut in_data);
        assert_eq!(in_data, before);
        let mut http_1 = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n".to_vec();
        http_1.extend(&before[24..]);
        let before = http_1.clone();
        AuthorityRepair::new().mend(&mut http_1);
        assert_eq!(http_1, before);
    }

    #[test]
    fn frames_are_followed_across_reads() {
        let sent = bytes(STATUS);
        let split = sent.windows(5).position(|five| five == [0, 0, 0x77, 1, 4]).unwrap();
        for cut in 0..=split {
            let mut repair = AuthorityRepair::new();
            let (mut one, mut two) = (sent[..cut].to_vec(), sent[cut..].to_vec());
            repair.mend(&mut one);
            repair.mend(&mut two);
            one.extend(two);
            assert_eq!(authority(&one).0, b"httpB--127.0.0.1B23999", "cut at {cut}");
        }
    }

    #[test]
    fn a_socket_path_is_mended_and_a_host_is_left_alone() {
        for (text, mended) in [
            ("/run/flota/store.sock", "-run-flota-store.sock"),
            ("https://node-1.example:2379", "httpsB--node-1.exampleB2379"),
            ("127.0.0.1:2379", "127.0.0.1:2379"),
            ("localhost", "localhost"),
        ] {
            let mut raw = text.as_bytes().to_vec();
            mend_value(&mut raw, false);
            assert_eq!(raw, mended.as_bytes());
            let mut coded = vec![0xff; text.len()];
            encode(text.as_bytes(), &mut coded);
            let bits: u32 =
                text.bytes().map(|byte| CODES.iter().find(|(.., all)| all.contains(&byte)).unwrap().0).sum();
            coded.truncate(bits.div_ceil(8) as usize);
            mend_value(&mut coded, true);
            assert_eq!(decode(&coded).unwrap(), mended.as_bytes());
        }
    }

    #[test]
    fn what_is_no_list_of_headers_is_left_to_the_library() {
        for body in [&[0x41][..], &[0x41, 0x90, 1], &[0x7f, 0xff, 0xff, 0xff, 0xff], &[0x40, 0x7f], &[0x41, 0x81, 0x01]]
        {
            let mut frame = PREFACE.to_vec();
            frame.extend([0, 0, body.len() as u8, 1, 4, 0, 0, 0, 1]);
            frame.extend(body);
            let before = frame.clone();
            AuthorityRepair::new().mend(&mut frame);
            assert_eq!(frame, before);
        }
    }
}
