//! What people and programs see: the printer, tables, and progress.

pub mod legend;
pub mod printer;
pub mod progress;
pub mod table;
pub mod tabwriter;
