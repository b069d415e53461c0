//! The one way out: data to stdout, talk to stderr, both through here.

use std::io::{self, Write};

use serde::Serialize;

use crate::output::progress::Progress;

/// Writes the output of one command.
pub struct Printer<'a> {
    out: &'a mut dyn Write,
    err: &'a mut dyn Write,
    /// Spinners; taken off the screen while anything is printed.
    pub progress: Progress,
}

impl<'a> Printer<'a> {
    /// A printer to `out` and `err`; `terminal` says that `err` is one.
    pub fn new(out: &'a mut dyn Write, err: &'a mut dyn Write, terminal: bool) -> Self {
        Self { out, err, progress: Progress::new(terminal) }
    }

    /// Text, as it is.
    pub fn data(&mut self, text: &str) -> io::Result<()> {
        self.bytes(text.as_bytes())
    }

    /// Data of any kind, as it is.
    pub fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.progress.suspend(|| {
            self.out.write_all(bytes)?;
            self.out.flush()
        })
    }

    /// One line of data.
    pub fn line(&mut self, text: &str) -> io::Result<()> {
        self.data(&format!("{text}\n"))
    }

    /// A JSON document over several lines.
    pub fn json(&mut self, value: &impl Serialize) -> io::Result<()> {
        self.line(&serde_json::to_string_pretty(value)?)
    }

    /// A JSON document on a line of its own.
    pub fn json_line(&mut self, value: &impl Serialize) -> io::Result<()> {
        self.line(&serde_json::to_string(value)?)
    }

    /// One line for people. Where it cannot be written, nobody is there to be told.
    pub fn say(&mut self, text: &str) {
        self.progress.suspend(|| {
            let _ = writeln!(self.err, "{text}").and_then(|()| self.err.flush());
        });
    }
}

/// What takes minutes (a lab, an image) tells its steps to people.
impl flota_image::Progress for Printer<'_> {
    fn step(&mut self, text: &str) {
        self.say(text);
    }

    fn detail(&mut self, text: &str) {
        self.say(&format!("  {text}"));
    }
}
