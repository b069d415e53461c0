//! How long faults last: minutes when there is time, seconds in the default run.

/// Whether every fault shall last as long as the tables of docs/reliability.md say (`cargo xtask test --e2e`).
pub fn full_length() -> bool {
    std::env::var_os("FLOTA_E2E_FULL").is_some()
}

/// The full length, or the short one of the default run.
pub fn in_full_or(full: u64, short: u64) -> u64 {
    if full_length() { full } else { short }
}
