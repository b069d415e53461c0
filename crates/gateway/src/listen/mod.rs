//! Where the gateway listens: at the configured addresses, and at those of container bridges, as they come and go.

mod changes;
mod keeper;
mod wanted;

pub use keeper::keep;
pub use wanted::{DEFAULT_PORT, Listen};
