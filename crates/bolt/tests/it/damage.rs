//! Files that are not as they were written: an error with the page, never a panic.

use flota_bolt::{Database, PAGE_BYTES, ReadError};

use crate::support::{read, shapes, written};

/// A small generator of numbers; the same ones in each run.
fn numbers(mut seed: u64) -> impl FnMut(usize) -> usize {
    move |below| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        (seed % below as u64) as usize
    }
}

#[test]
fn changed_bytes_never_panic_and_never_go_on_for_ever() {
    let good = written(&shapes(300));
    let mut number = numbers(7);
    let mut errors = 0;
    for _ in 0..1_500 {
        let mut bytes = good.clone();
        for _ in 0..=number(3) {
            // Most of what the reader decides on is in the first bytes of a page.
            let page = number(bytes.len() / PAGE_BYTES) * PAGE_BYTES;
            let at = page + if number(4) > 0 { number(64) } else { number(PAGE_BYTES) };
            bytes[at] ^= 1 << number(8);
        }
        errors += usize::from(read(&bytes).is_err());
    }
    // The rest are flips in values, and in one of the two meta pages.
    assert!(errors > 300, "{errors}");
}

#[test]
fn every_shorter_file_is_refused() {
    let good = written(&shapes(300));
    for length in (0..good.len()).step_by(509).chain([0, 1, 79, 80, PAGE_BYTES, good.len() - 1]) {
        let error = read(&good[..length]).unwrap_err();
        assert!(matches!(error, ReadError::NotADatabase { .. } | ReadError::CutOff { .. }), "{length}: {error}");
    }
}

#[test]
fn a_foreign_file_is_told_from_a_database() {
    let error = read(&[b'x'; 10_000]).unwrap_err().to_string();
    assert!(error.starts_with("not a bolt database"), "{error}");
}

#[test]
fn one_good_meta_page_is_enough() {
    let content = shapes(10);
    for page in 0..2 {
        let mut bytes = written(&content);
        bytes[page * PAGE_BYTES + 20] ^= 1;
        assert!(read(&bytes).unwrap() == content);
    }
}

#[test]
fn a_damaged_page_is_named() {
    let mut bytes = written(&shapes(300));
    // The first page after the freelist is a leaf; its number is now another one.
    bytes[3 * PAGE_BYTES] = 9;
    let error = read(&bytes).unwrap_err();
    assert_eq!(error.to_string(), "page 3 is damaged: it has another page's number");
}

#[test]
fn a_visitor_can_end_the_visit() {
    let bytes = written(&shapes(300));
    let database = Database::open(bytes.as_slice()).unwrap();
    let ended = database.for_each(&[b"many"], &mut |_, _| Err(ReadError::Content("enough".to_owned())));
    assert_eq!(ended.unwrap_err().to_string(), "enough");
    assert!(!database.for_each(&[b"missing"], &mut |_, _| Ok(())).unwrap());
}
