//! Template resources: which template becomes which file, from which keys, and what happens then.

mod load;
mod mode;
mod owner;
mod read;
mod reload;

pub use load::{Loaded, find, load};
pub use mode::parse_mode;
pub use owner::OwnerError;
pub use read::{ACTIONS, DEFAULT_CHECK_TIMEOUT, DEFAULT_RELOAD_TIMEOUT, Output, Resource, from_text};
pub use reload::{Reload, UnitAction, parse_signal};
