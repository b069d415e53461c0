//! Writes a database from front to back.

use std::io::{self, Write};

use crate::format::{BUCKET_FLAG, BUCKET_HEAD, ELEMENT, FREELIST, META, Meta, PAGE_BYTES, PAGE_HEAD};
use crate::layout::Node;
use crate::tree::{Sink, build};

/// A bucket is part of the page that names it if its own page would be no larger than this (bbolt's bound).
const MAX_INLINE_BYTES: usize = PAGE_BYTES / 4;

/// The pages before the first bucket's: two metas and the freelist.
const FIRST_PAGE: u64 = 3;

/// Why a database cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// An empty key, or one that is too long.
    #[error("a key of {bytes} bytes: the format takes 1 to {}", crate::MAX_KEY_BYTES)]
    KeySize {
        /// Its size.
        bytes: usize,
    },
    /// A key that is not greater than the one before.
    #[error("key {} does not follow the one before it", key.escape_ascii())]
    KeyOrder {
        /// The key.
        key: Vec<u8>,
    },
    /// A value that is not as long as was told before.
    #[error("the value of key {} is not as long as announced", key.escape_ascii())]
    ValueSize {
        /// The key.
        key: Vec<u8>,
    },
    /// The output failed.
    #[error("cannot write the database")]
    Io(#[from] io::Error),
}

/// One key of a bucket with its value, written when it is its turn.
pub trait Entry {
    /// Appends the key.
    fn key(&self, out: &mut Vec<u8>);
    /// The length of the value.
    fn value_bytes(&self) -> usize;
    /// Appends the value.
    fn value(&self, out: &mut Vec<u8>);
    /// What the format's element says of the value: 0, unless it is a bucket.
    fn flags(&self) -> u32 {
        0
    }
}

impl Entry for (&[u8], &[u8]) {
    fn key(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.0);
    }

    fn value_bytes(&self) -> usize {
        self.1.len()
    }

    fn value(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.1);
    }
}

/// The entries of a bucket.
pub type Entries<'a> = Box<dyn Iterator<Item = Box<dyn Entry + 'a>> + 'a>;

/// A top-level bucket, which is all that etcd has.
pub struct Bucket<'a> {
    /// Its name.
    pub name: &'a [u8],
    /// Its entries in the order of their keys; walked once for the sizes and once for the bytes.
    pub entries: Box<dyn Fn() -> Entries<'a> + 'a>,
}

impl Entry for Box<dyn Entry + '_> {
    fn key(&self, out: &mut Vec<u8>) {
        (**self).key(out);
    }

    fn value_bytes(&self) -> usize {
        (**self).value_bytes()
    }

    fn value(&self, out: &mut Vec<u8>) {
        (**self).value(out);
    }

    fn flags(&self) -> u32 {
        (**self).flags()
    }
}

/// The size in bytes of the database that [`write`] would write; a multiple of [`PAGE_BYTES`].
pub fn size(buckets: &[Bucket<'_>]) -> Result<u64, WriteError> {
    Ok(plan(buckets)?.pages * PAGE_BYTES as u64)
}

/// Writes the buckets, which must be in the order of their names; returns the size.
pub fn write(buckets: &[Bucket<'_>], out: &mut dyn Write) -> Result<u64, WriteError> {
    let plan = plan(buckets)?;
    let mut pages = Pages { out, page: Vec::new() };
    for txid in 0..2 {
        let meta = Meta { page_bytes: PAGE_BYTES as u32, root: plan.root, freelist: 2, pages: plan.pages, txid };
        pages.plain(txid, META, &meta.encode())?;
    }
    // Nothing is free in a file that is written whole.
    pages.plain(2, FREELIST, &[])?;
    let mut next = FIRST_PAGE;
    for bucket in buckets.iter().filter(|bucket| !is_inline(bucket)) {
        (_, next) = build((bucket.entries)(), next, &mut pages)?;
    }
    let (_, end) = build(plan.headers.iter(), next, &mut pages)?;
    debug_assert_eq!(end, plan.pages);
    Ok(plan.pages * PAGE_BYTES as u64)
}

/// Where everything will be.
struct Plan {
    headers: Vec<Header>,
    root: u64,
    pages: u64,
}

fn plan(buckets: &[Bucket<'_>]) -> Result<Plan, WriteError> {
    let mut next = FIRST_PAGE;
    let mut headers = Vec::new();
    for bucket in buckets {
        let mut root = 0;
        let mut inline = Vec::new();
        if is_inline(bucket) {
            inline = inline_page(bucket)?;
        } else {
            (root, next) = build((bucket.entries)(), next, &mut Count)?;
        }
        headers.push(Header { name: bucket.name.to_vec(), root, inline });
    }
    let (root, pages) = build(headers.iter(), next, &mut Count)?;
    Ok(Plan { headers, root, pages })
}

/// Looks no further than it has to.
fn is_inline(bucket: &Bucket<'_>) -> bool {
    let mut bytes = PAGE_HEAD;
    let mut key = Vec::new();
    (bucket.entries)().all(|entry| {
        key.clear();
        entry.key(&mut key);
        bytes += ELEMENT + key.len() + entry.value_bytes();
        bytes <= MAX_INLINE_BYTES
    })
}

fn inline_page(bucket: &Bucket<'_>) -> Result<Vec<u8>, WriteError> {
    struct Inline(Vec<u8>);
    impl Sink for Inline {
        fn wants_bodies(&self) -> bool {
            true
        }

        fn node(&mut self, _: u64, node: &Node) -> Result<(), WriteError> {
            node.encode(0, &mut self.0);
            Ok(())
        }
    }
    let mut page = Inline(Vec::new());
    build((bucket.entries)(), 0, &mut page)?;
    Ok(page.0)
}

/// A bucket in the bucket of buckets.
struct Header {
    name: Vec<u8>,
    root: u64,
    /// Its page, if it has none of its own.
    inline: Vec<u8>,
}

impl Entry for &Header {
    fn key(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.name);
    }

    fn value_bytes(&self) -> usize {
        BUCKET_HEAD + self.inline.len()
    }

    fn value(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.root.to_le_bytes());
        out.extend_from_slice(&0u64.to_le_bytes());
        out.extend_from_slice(&self.inline);
    }

    fn flags(&self) -> u32 {
        BUCKET_FLAG
    }
}

/// Counts pages.
struct Count;

impl Sink for Count {
    fn wants_bodies(&self) -> bool {
        false
    }

    fn node(&mut self, _: u64, _: &Node) -> Result<(), WriteError> {
        Ok(())
    }
}

/// Writes pages.
struct Pages<'a> {
    out: &'a mut dyn Write,
    page: Vec<u8>,
}

impl Pages<'_> {
    fn plain(&mut self, id: u64, kind: u16, content: &[u8]) -> Result<(), WriteError> {
        self.page.clear();
        self.page.extend_from_slice(&id.to_le_bytes());
        self.page.extend_from_slice(&kind.to_le_bytes());
        self.page.extend_from_slice(&[0; 6]);
        self.page.extend_from_slice(content);
        self.finish()
    }

    fn finish(&mut self) -> Result<(), WriteError> {
        self.page.resize(self.page.len().next_multiple_of(PAGE_BYTES), 0);
        self.out.write_all(&self.page)?;
        // One large value must not be remembered for ever.
        self.page.shrink_to(1 << 20);
        Ok(())
    }
}

impl Sink for Pages<'_> {
    fn wants_bodies(&self) -> bool {
        true
    }

    fn node(&mut self, id: u64, node: &Node) -> Result<(), WriteError> {
        self.page.clear();
        node.encode(id, &mut self.page);
        self.finish()
    }
}
