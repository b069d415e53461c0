//! How a lab tells what it does while it does it.

use std::io::Write;

/// Receives the steps of a long operation.
pub trait Progress {
    /// A new step begins (or a whole result is told), such as "boot m1, m2, m3".
    fn step(&mut self, text: &str);
    /// Something within the present step, worth showing for a moment.
    fn detail(&mut self, text: &str);
}

/// Says nothing.
#[derive(Debug, Default, Clone, Copy)]
pub struct Silent;

impl Progress for Silent {
    fn step(&mut self, _text: &str) {}
    fn detail(&mut self, _text: &str) {}
}

/// Plain lines to a writer, such as standard error. A writer that fails is ignored: progress is not the work.
#[derive(Debug)]
pub struct Plain<W: Write>(pub W);

impl<W: Write> Progress for Plain<W> {
    fn step(&mut self, text: &str) {
        let _ = writeln!(self.0, "{text}");
    }

    fn detail(&mut self, text: &str) {
        let _ = writeln!(self.0, "  {text}");
    }
}
