//! Databases to write.

use std::collections::BTreeMap;

use flota_bolt::{Bucket, Database, Entries, Entry, ReadError, write};

/// Buckets by name, entries by key.
pub type Content = BTreeMap<Vec<u8>, BTreeMap<Vec<u8>, Vec<u8>>>;

pub fn written(content: &Content) -> Vec<u8> {
    let buckets = content.iter().map(|(name, bucket)| {
        let entries = move || -> Entries<'_> {
            let entries = bucket.iter().map(|(key, value)| (key.as_slice(), value.as_slice()));
            Box::new(entries.map(|entry| Box::new(entry) as Box<dyn Entry>))
        };
        Bucket { name, entries: Box::new(entries) }
    });
    let buckets: Vec<Bucket<'_>> = buckets.collect();
    let mut out = Vec::new();
    let bytes = write(&buckets, &mut out).unwrap();
    assert_eq!((bytes, flota_bolt::size(&buckets).unwrap()), (out.len() as u64, out.len() as u64));
    out
}

pub fn read(bytes: &[u8]) -> Result<Content, ReadError> {
    let database = Database::open(bytes)?;
    let mut content = Content::new();
    for name in database.buckets()? {
        let mut bucket = BTreeMap::new();
        database.for_each(&[&name], &mut |key, value| {
            bucket.insert(key.to_vec(), value.to_vec());
            Ok(())
        })?;
        content.insert(name, bucket);
    }
    database.check()?;
    Ok(content)
}

/// Buckets of every shape: none, inline, one page, several levels, values larger than a page.
pub fn shapes(keys: u32) -> Content {
    let bucket = |count: u32, bytes: usize| -> BTreeMap<Vec<u8>, Vec<u8>> {
        (0..count).map(|n| (n.to_be_bytes().to_vec(), vec![n as u8; (n as usize * 7 + bytes) % 1500])).collect()
    };
    Content::from([
        (b"empty".to_vec(), BTreeMap::new()),
        (b"inline".to_vec(), bucket(5, 20)),
        (b"many".to_vec(), bucket(keys, 40)),
        (b"overflow".to_vec(), (1..6u8).map(|n| (vec![n], vec![n; 5000 * usize::from(n)])).collect()),
        (b"page".to_vec(), bucket(3, 700)),
    ])
}
