//! Names of locks and elections: prefixes of the keys that the store writes for them.

use super::{Beside, Refusal, beside, is_reserved};

/// Refuses the name of a lock or an election whose keys would be among the reserved ones, or that would wait for them.
///
/// The store's keys are `NAME/LEASE`, and whose turn it is is read from everything that begins with `NAME/`.
pub fn check_name(name: &[u8]) -> Result<(), Refusal> {
    let mut first = name.to_vec();
    first.push(b'/');
    let mut behind = name.to_vec();
    behind.push(b'/' + 1);
    match beside(&first, &behind) {
        Beside::Whole => Ok(()),
        Beside::Part(_) | Beside::Two(..) | Beside::Nothing => Err(Refusal::Reserved),
    }
}

/// Refuses a key of Flota's own as the key that a lock or an election is held by.
pub fn check_key(key: &[u8]) -> Result<(), Refusal> {
    if is_reserved(key) { Err(Refusal::Reserved) } else { Ok(()) }
}
