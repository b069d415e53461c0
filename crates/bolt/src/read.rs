//! Reads a database: checks what it reads, and panics at nothing.

use std::io;

use crate::format::{
    BRANCH, BUCKET_FLAG, BUCKET_HEAD, ELEMENT, FREELIST, LEAF, META, Meta, NO_FREELIST, PAGE_HEAD, u16_at, u32_at,
    u64_at,
};

/// Page sizes that there are.
const PAGE_SIZES: std::ops::RangeInclusive<u32> = 512..=65_536;

/// Deepest tree that is followed; a tree of the largest file that there can be is less deep.
const MAX_DEPTH: usize = 32;

/// Bytes that can be read anywhere, such as a file or a slice.
pub trait ReadAt {
    /// How many there are.
    fn bytes(&self) -> io::Result<u64>;
    /// Fills the buffer from `offset` on; an error if there is not as much.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()>;
}

impl ReadAt for &[u8] {
    fn bytes(&self) -> io::Result<u64> {
        Ok(self.len() as u64)
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let start = usize::try_from(offset).ok();
        let found = start.and_then(|start| self.get(start..start.checked_add(buffer.len())?));
        buffer.copy_from_slice(found.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }
}

/// Why a file cannot be read as a database, or a visitor wanted no more of it.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file is something else.
    #[error("not a bolt database: the first meta page cannot be used, {first}, nor the second, {second}")]
    NotADatabase {
        /// What is wrong with the first meta page.
        first: &'static str,
        /// What is wrong with the second.
        second: &'static str,
    },
    /// The file is shorter than its meta page says.
    #[error("the file is cut off: it has {bytes} bytes of {pages} pages of {page_bytes} bytes")]
    CutOff {
        /// Its size.
        bytes: u64,
        /// Pages that it should have.
        pages: u64,
        /// Their size.
        page_bytes: u32,
    },
    /// A page makes no sense.
    #[error("page {page} is damaged: {reason}")]
    Page {
        /// Which page.
        page: u64,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The file cannot be read.
    #[error("cannot read the database")]
    Io(#[from] io::Error),
    /// The visitor has found something wrong with a key or value.
    #[error("{0}")]
    Content(String),
}

/// Called for each key and value; keys are in order.
pub type Visitor<'v> = dyn FnMut(&[u8], &[u8]) -> Result<(), ReadError> + 'v;

/// An open database.
pub struct Database<R> {
    input: R,
    meta: Meta,
}

/// A bucket: where its tree begins, or its only page.
enum Root {
    Page(u64),
    Inline(Vec<u8>, u64),
}

impl<R: ReadAt> Database<R> {
    /// Finds the newest valid meta page.
    pub fn open(input: R) -> Result<Database<R>, ReadError> {
        let bytes = input.bytes()?;
        let first = meta_at(&input, bytes, 0);
        let mut candidates = Vec::from_iter(first.ok());
        // The second meta page is the second page, whatever the size of pages is.
        let sizes = std::iter::successors(Some(*PAGE_SIZES.start()), |size| Some(size * 2));
        let mut second = Err("it is not there");
        for size in sizes.take_while(|size| size <= PAGE_SIZES.end()) {
            let found = meta_at(&input, bytes, u64::from(size)).and_then(|meta| {
                if meta.page_bytes == size { Ok(meta) } else { Err("its page size is not its place") }
            });
            if found.is_ok() || first.is_ok_and(|first| first.page_bytes == size) {
                second = found;
                break;
            }
        }
        candidates.extend(second.ok());
        let newest = candidates.into_iter().max_by_key(|meta| meta.txid);
        let Some(meta) = newest else {
            let reason = |found: Result<Meta, &'static str>| found.err().unwrap_or_default();
            return Err(ReadError::NotADatabase { first: reason(first), second: reason(second) });
        };
        let needed = meta.pages.checked_mul(u64::from(meta.page_bytes));
        if needed.is_none_or(|needed| needed > bytes) {
            return Err(ReadError::CutOff { bytes, pages: meta.pages, page_bytes: meta.page_bytes });
        }
        Ok(Database { input, meta })
    }

    /// Bytes in use; what is behind them is not part of the database.
    pub fn bytes(&self) -> u64 {
        self.meta.pages * u64::from(self.meta.page_bytes)
    }

    /// The names of the top-level buckets, in order.
    pub fn buckets(&self) -> Result<Vec<Vec<u8>>, ReadError> {
        let mut names = Vec::new();
        self.walk_tree(&Root::Page(self.meta.root), &mut |flags, name, _, _| {
            if flags & BUCKET_FLAG != 0 {
                names.push(name.to_vec());
            }
            Ok(())
        })?;
        Ok(names)
    }

    /// Visits the entries of the bucket that the path of names leads to, in order; false if there is none. Nested buckets are left out.
    pub fn for_each(&self, path: &[&[u8]], visit: &mut Visitor<'_>) -> Result<bool, ReadError> {
        let mut root = Root::Page(self.meta.root);
        for name in path {
            match self.bucket(&root, name)? {
                Some(found) => root = found,
                None => return Ok(false),
            }
        }
        self.walk_tree(&root, &mut |flags, key, value, _| {
            if flags & BUCKET_FLAG == 0 { visit(key, value) } else { Ok(()) }
        })?;
        Ok(true)
    }

    /// Visits the whole file: no page may be used twice, and none be lost.
    pub fn check(&self) -> Result<(), ReadError> {
        let mut seen = Seen::new(self.meta.pages);
        for page in [0, 1] {
            seen.mark(page)?;
        }
        // etcd writes none: what no tree holds is free then.
        let has_freelist = self.meta.freelist != NO_FREELIST;
        if has_freelist {
            self.check_freelist(&mut seen)?;
        }
        let mut roots = vec![Root::Page(self.meta.root)];
        while let Some(root) = roots.pop() {
            self.walk(&root, &mut seen, &mut |flags, _, value, page| {
                if flags & BUCKET_FLAG != 0 {
                    roots.push(bucket_root(value, page)?);
                }
                Ok(())
            })?;
        }
        match seen.first_missing() {
            Some(page) if has_freelist => Err(damaged(page, "it is neither used nor free")),
            _ => Ok(()),
        }
    }

    fn check_freelist(&self, seen: &mut Seen) -> Result<(), ReadError> {
        let id = self.meta.freelist;
        let page = self.node(id, seen)?;
        let count = usize::from(u16_at(&page, 10).unwrap_or(0));
        if u16_at(&page, 8) != Some(FREELIST) {
            return Err(damaged(id, "it is not the freelist"));
        }
        // So many that they do not fit into the head's number are counted in the first place.
        let (start, count) = match count {
            0xffff => (PAGE_HEAD + 8, u64_at(&page, PAGE_HEAD).unwrap_or(u64::MAX)),
            count => (PAGE_HEAD, count as u64),
        };
        for place in 0..usize::try_from(count).unwrap_or(usize::MAX) {
            let at = place.checked_mul(8).and_then(|at| at.checked_add(start));
            let free = at.and_then(|at| u64_at(&page, at)).ok_or(damaged(id, "the freelist is cut off"))?;
            seen.mark(free)?;
        }
        Ok(())
    }

    fn bucket(&self, root: &Root, name: &[u8]) -> Result<Option<Root>, ReadError> {
        let mut found = None;
        self.walk_tree(root, &mut |flags, key, value, page| {
            if flags & BUCKET_FLAG != 0 && key == name {
                found = Some(bucket_root(value, page)?);
            }
            Ok(())
        })?;
        Ok(found)
    }

    fn walk_tree(&self, root: &Root, visit: &mut Elements<'_>) -> Result<(), ReadError> {
        self.walk(root, &mut Seen::new(self.meta.pages), visit)
    }

    /// Visits the leaves' elements from left to right. No page is visited twice, so this ends.
    fn walk(&self, root: &Root, seen: &mut Seen, visit: &mut Elements<'_>) -> Result<(), ReadError> {
        let first = match root {
            Root::Page(page) => *page,
            Root::Inline(page, owner) => return leaf(page, *owner, &mut None, visit),
        };
        let mut last_key = None;
        // Children still to be visited, of each node on the way down.
        let mut ways = vec![vec![first]];
        while let Some(children) = ways.last_mut() {
            let Some(id) = children.pop() else {
                ways.pop();
                continue;
            };
            let node = self.node(id, seen)?;
            match u16_at(&node, 8) {
                Some(LEAF) => leaf(&node, id, &mut last_key, visit)?,
                Some(BRANCH) if ways.len() < MAX_DEPTH => ways.push(branch(&node, id)?),
                Some(BRANCH) => return Err(damaged(id, "the tree is too deep")),
                _ => return Err(damaged(id, "it is neither a branch nor a leaf")),
            }
        }
        Ok(())
    }

    /// Reads a page with its overflow.
    fn node(&self, id: u64, seen: &mut Seen) -> Result<Vec<u8>, ReadError> {
        let size = u64::from(self.meta.page_bytes);
        if id >= self.meta.pages {
            return Err(damaged(id, "it is beyond the end of the database"));
        }
        let mut head = [0; PAGE_HEAD];
        self.input.read_at(id * size, &mut head)?;
        if u64_at(&head, 0) != Some(id) {
            return Err(damaged(id, "it has another page's number"));
        }
        let end = id + 1 + u64::from(u32_at(&head, 12).unwrap_or(0));
        if end > self.meta.pages {
            return Err(damaged(id, "its overflow goes beyond the end of the database"));
        }
        for page in id..end {
            seen.mark(page)?;
        }
        // Bounded by the size of the file.
        let bytes = usize::try_from((end - id) * size).map_err(|_| damaged(id, "it is too large for this machine"))?;
        let mut page = vec![0; bytes];
        self.input.read_at(id * size, &mut page)?;
        Ok(page)
    }
}

/// Flags, key, value, and the page of an element.
type Elements<'v> = dyn FnMut(u32, &[u8], &[u8], u64) -> Result<(), ReadError> + 'v;

fn damaged(page: u64, reason: &'static str) -> ReadError {
    ReadError::Page { page, reason }
}

fn meta_at(input: &impl ReadAt, bytes: u64, offset: u64) -> Result<Meta, &'static str> {
    let mut page = [0; PAGE_HEAD + crate::format::META_BYTES];
    if offset + page.len() as u64 > bytes {
        return Err("the file is too short");
    }
    input.read_at(offset, &mut page).map_err(|_| "it cannot be read")?;
    let meta = Meta::decode(&page[PAGE_HEAD..])?;
    if u16_at(&page, 8) != Some(META) {
        return Err("it is another kind of page");
    }
    if !PAGE_SIZES.contains(&meta.page_bytes) || !meta.page_bytes.is_power_of_two() {
        return Err("its page size is impossible");
    }
    Ok(meta)
}

/// Reads a bucket's header; `page` is the one it is in.
fn bucket_root(value: &[u8], page: u64) -> Result<Root, ReadError> {
    match u64_at(value, 0) {
        Some(0) => match value.get(BUCKET_HEAD..) {
            Some(inline) if u16_at(inline, 8) == Some(LEAF) => Ok(Root::Inline(inline.to_vec(), page)),
            _ => Err(damaged(page, "a bucket inside of it is not a leaf")),
        },
        Some(root) if value.len() >= BUCKET_HEAD => Ok(Root::Page(root)),
        _ => Err(damaged(page, "the header of a bucket is cut off")),
    }
}

/// Visits the elements of a leaf; their keys must go on from `last_key`.
fn leaf(node: &[u8], id: u64, last_key: &mut Option<Vec<u8>>, visit: &mut Elements<'_>) -> Result<(), ReadError> {
    let count = usize::from(u16_at(node, 10).unwrap_or(0));
    for place in 0..count {
        let at = PAGE_HEAD + place * ELEMENT;
        let number = |field: usize| u32_at(node, at + 4 * field).map(|number| number as usize);
        let element = (|| {
            let (flags, key_at, key_bytes, value_bytes) = (number(0)?, number(1)?, number(2)?, number(3)?);
            let start = at.checked_add(key_at)?;
            let middle = start.checked_add(key_bytes)?;
            let end = middle.checked_add(value_bytes)?;
            Some((flags as u32, node.get(start..middle)?, node.get(middle..end)?))
        })();
        let (flags, key, value) = element.ok_or(damaged(id, "an element points out of it"))?;
        if last_key.as_deref().is_some_and(|last| last >= key) {
            return Err(damaged(id, "its keys are not in order"));
        }
        visit(flags, key, value, id)?;
        let last = last_key.get_or_insert_with(Vec::new);
        last.clear();
        last.extend_from_slice(key);
    }
    Ok(())
}

/// The children of a branch, last one first.
fn branch(node: &[u8], id: u64) -> Result<Vec<u64>, ReadError> {
    let count = usize::from(u16_at(node, 10).unwrap_or(0));
    let children = (0..count).rev().map(|place| u64_at(node, PAGE_HEAD + place * ELEMENT + 8));
    let children: Option<Vec<u64>> = children.collect();
    match children {
        Some(children) if !children.is_empty() => Ok(children),
        _ => Err(damaged(id, "it is a branch without children")),
    }
}

/// The pages that have been visited.
struct Seen {
    bits: Vec<u64>,
    pages: u64,
}

impl Seen {
    /// `pages` is bounded by the size of the file.
    fn new(pages: u64) -> Seen {
        Seen { bits: vec![0; usize::try_from(pages.div_ceil(64)).unwrap_or(0)], pages }
    }

    fn mark(&mut self, page: u64) -> Result<(), ReadError> {
        let word =
            usize::try_from(page / 64).ok().filter(|_| page < self.pages).and_then(|word| self.bits.get_mut(word));
        let Some(word) = word else { return Err(damaged(page, "it is beyond the end of the database")) };
        let bit = 1 << (page % 64);
        if *word & bit != 0 {
            return Err(damaged(page, "it is used twice"));
        }
        *word |= bit;
        Ok(())
    }

    fn first_missing(&self) -> Option<u64> {
        (0..self.pages).find(|page| self.bits[(page / 64) as usize] & (1 << (page % 64)) == 0)
    }
}
