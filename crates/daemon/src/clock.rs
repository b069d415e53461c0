//! The machine's clock: milliseconds since its boot, those that it was suspended for included.

use std::time::{SystemTime, UNIX_EPOCH};

use flota_registry::Millis;
use rustix::time::{ClockId, Timespec};

/// Now. Leases end while a machine is suspended, so what depends on them is counted by a clock that goes on.
pub fn boot_time() -> Millis {
    let now = rustix::time::clock_gettime(ClockId::Boottime);
    let [seconds, nanoseconds] = [now.tv_sec, now.tv_nsec].map(|part| u64::try_from(part).unwrap_or(0));
    Millis(seconds * 1_000 + nanoseconds / 1_000_000)
}

/// Sleeps until then; a machine that was suspended meanwhile wakes up late for nothing.
pub fn sleep_until(at: Millis) {
    let whole = |part: u64| i64::try_from(part).unwrap_or(i64::MAX);
    let at = Timespec { tv_sec: whole(at.0 / 1_000), tv_nsec: whole(at.0 % 1_000 * 1_000_000) };
    // A signal that wakes it early makes the caller look once more.
    let _ = rustix::thread::clock_nanosleep_absolute(ClockId::Boottime, &at);
}

/// Now, as people count it: in milliseconds since the Unix epoch. For records, never for deadlines.
pub fn now_unix_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}
