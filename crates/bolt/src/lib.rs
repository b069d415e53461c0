//! PURE. The file format of etcd's database (bbolt): written whole, read whole.
//!
//! In: buckets as sorted entries, or the bytes of a file. Out: the bytes of a file, or its entries.
//!
//! Invariant: a file is written in one pass from front to back, with memory for one page and the first keys of the pages before it.
//!
//! Invariant: no file makes the reader panic, recurse without end or reserve more than the file's own size.

mod format;
mod layout;
mod read;
mod tree;
mod write;

pub use format::{MAX_KEY_BYTES, PAGE_BYTES};
pub use read::{Database, ReadAt, ReadError, Visitor};
pub use write::{Bucket, Entries, Entry, WriteError, size, write};
