//! Waiting that ends, and says what it waited for.

use std::thread::sleep;
use std::time::{Duration, Instant};

pub(crate) const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Looks until `look` finds what it is looking for; panics after `seconds` with the last answer of `look`.
#[track_caller]
pub fn eventually<T>(what: &str, seconds: u64, mut look: impl FnMut() -> Result<T, String>) -> T {
    let deadline = Instant::now() + Duration::from_secs(seconds);
    loop {
        match look() {
            Ok(found) => return found,
            Err(last) if Instant::now() >= deadline => panic!("not within {seconds} s: {what}\nat last: {last}"),
            Err(_) => sleep(LOOK_EVERY),
        }
    }
}

/// Looks again and again for `seconds`, for what must not happen; `look` panics if it does.
pub fn holds_for(seconds: u64, mut look: impl FnMut()) {
    let deadline = Instant::now() + Duration::from_secs(seconds);
    while Instant::now() < deadline {
        look();
        sleep(LOOK_EVERY);
    }
}
