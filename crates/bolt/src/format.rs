//! Numbers of the format: pages, elements, flags, and the checksum of the two meta pages.
//!
//! ```text
//! page    id u64 | flags u16 | count u16 | overflow u32 | elements | their keys and values
//! branch  pos u32 | key size u32 | child page u64
//! leaf    flags u32 | pos u32 | key size u32 | value size u32        pos counts from the element itself
//! bucket  root page u64 | sequence u64 | (if the root page is 0: a leaf page, inline)
//! meta    magic u32 | version u32 | page size u32 | flags u32 | root bucket | freelist page u64 | pages u64 | txid u64 | FNV-64a u64
//! ```
//! Little endian, as on every machine that Debian's etcd runs on but s390x.

/// Bytes of a page in files that are written; files of other page sizes can be read.
pub const PAGE_BYTES: usize = 4096;

/// The longest key that the format allows.
pub const MAX_KEY_BYTES: usize = 32_768;

pub(crate) const PAGE_HEAD: usize = 16;
pub(crate) const ELEMENT: usize = 16;
pub(crate) const BUCKET_HEAD: usize = 16;
pub(crate) const META_BYTES: usize = 64;

pub(crate) const BRANCH: u16 = 0x01;
pub(crate) const LEAF: u16 = 0x02;
pub(crate) const META: u16 = 0x04;
pub(crate) const FREELIST: u16 = 0x10;

/// The value of a leaf's element is a bucket.
pub(crate) const BUCKET_FLAG: u32 = 0x01;

pub(crate) const MAGIC: u32 = 0xED0C_DAED;
pub(crate) const VERSION: u32 = 2;

/// The freelist is not in the file: it is made anew when the file is opened.
pub(crate) const NO_FREELIST: u64 = u64::MAX;

/// FNV-1a with 64 bits.
pub(crate) fn fnv64a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3))
}

/// A little-endian number at `at`; `None` if it is not there.
pub(crate) fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(at..at.checked_add(2)?)?.try_into().ok()?))
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

pub(crate) fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at.checked_add(8)?)?.try_into().ok()?))
}

/// The root, the size and the age of a database, as a meta page holds them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Meta {
    pub(crate) page_bytes: u32,
    /// The root page of the bucket of buckets.
    pub(crate) root: u64,
    pub(crate) freelist: u64,
    /// One more than the last page in use.
    pub(crate) pages: u64,
    pub(crate) txid: u64,
}

impl Meta {
    /// The 64 bytes after a page's head.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(META_BYTES);
        for number in [MAGIC, VERSION, self.page_bytes, 0] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        for number in [self.root, 0, self.freelist, self.pages, self.txid] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        let checksum = fnv64a(&out);
        out.extend_from_slice(&checksum.to_le_bytes());
        out
    }

    /// Reads what [`Meta::encode`] wrote; says what is wrong otherwise.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Meta, &'static str> {
        let bytes = bytes.get(..META_BYTES).ok_or("it is cut off")?;
        let number = |at| u64_at(bytes, at).unwrap_or(0);
        if u32_at(bytes, 0) != Some(MAGIC) {
            return Err("it is not a meta page of a bolt database");
        }
        if u32_at(bytes, 4) != Some(VERSION) {
            return Err("its version is unknown");
        }
        if number(56) != fnv64a(&bytes[..56]) {
            return Err("its checksum is wrong");
        }
        let page_bytes = u32_at(bytes, 8).unwrap_or(0);
        Ok(Meta { page_bytes, root: number(16), freelist: number(32), pages: number(40), txid: number(48) })
    }
}
