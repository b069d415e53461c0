//! Spinners on stderr, one per unit that is waited for. Nothing unless stderr is a terminal.

use std::{collections::BTreeMap, time::Duration};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

/// Time between two pictures of a spinner.
const TICK: Duration = Duration::from_millis(100);

/// The spinners of one command.
#[derive(Debug, Default)]
pub struct Progress {
    screen: Option<MultiProgress>,
    bars: BTreeMap<String, ProgressBar>,
}

impl Progress {
    /// Spinners that show if `visible`.
    pub fn new(visible: bool) -> Self {
        Self { screen: visible.then(MultiProgress::new), bars: BTreeMap::new() }
    }

    /// Shows what `unit` waits for.
    pub fn set(&mut self, unit: &str, message: &str) {
        let Some(screen) = &self.screen else { return };
        let bar = self.bars.entry(unit.to_owned()).or_insert_with(|| {
            let bar = screen.add(ProgressBar::new_spinner());
            bar.enable_steady_tick(TICK);
            if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} {elapsed}") {
                bar.set_style(style);
            }
            bar
        });
        bar.set_message(format!("{unit}: {message}"));
    }

    /// Takes the spinner of `unit` away.
    pub fn finish(&mut self, unit: &str) {
        if let Some(bar) = self.bars.remove(unit) {
            bar.finish_and_clear();
        }
    }

    /// Runs `print` with the spinners off the screen.
    pub fn suspend<T>(&self, print: impl FnOnce() -> T) -> T {
        match &self.screen {
            Some(screen) => screen.suspend(print),
            None => print(),
        }
    }
}
