//! Steps with a header each, their times, and a summary: what people watch and build logs keep.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};

/// A run of several steps.
#[derive(Debug)]
pub struct Steps {
    began: Instant,
    done: Vec<(String, Duration)>,
}

impl Steps {
    /// The clock starts here.
    pub fn new() -> Self {
        Self { began: Instant::now(), done: Vec::new() }
    }

    /// Does one step under a header that tells the time since the start. Its error names the step.
    pub fn run<T>(&mut self, name: &str, work: impl FnOnce() -> Result<T>) -> Result<T> {
        println!("\n=== {name} [{}]", pretty(self.began.elapsed()));
        let began = Instant::now();
        let result = work();
        let took = began.elapsed();
        self.done.push((name.to_owned(), took));
        match &result {
            Ok(_) => println!("    {name}: {}", pretty(took)),
            Err(_) => println!("    {name}: FAILED after {}", pretty(took)),
        }
        result.with_context(|| format!("step `{name}`"))
    }

    /// The time of each step, and of all.
    pub fn summary(&self, title: &str) {
        let width = self.done.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
        println!("\n=== {title} in {}", pretty(self.began.elapsed()));
        for (name, took) in &self.done {
            println!("    {name:width$}  {:>8}", pretty(*took));
        }
    }
}

/// `0.4 s`, `12.3 s`, `2 m 05 s`.
pub fn pretty(time: Duration) -> String {
    let seconds = time.as_secs();
    if seconds < 60 {
        format!("{:.1} s", time.as_secs_f32())
    } else {
        format!("{} m {:02} s", seconds / 60, seconds % 60)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_for_people() {
        assert_eq!(pretty(Duration::from_millis(440)), "0.4 s");
        assert_eq!(pretty(Duration::from_secs(59)), "59.0 s");
        assert_eq!(pretty(Duration::from_secs(125)), "2 m 05 s");
    }

    #[test]
    fn a_failed_step_is_named() {
        let error = Steps::new().run("boot", || -> Result<()> { anyhow::bail!("no power") }).unwrap_err();
        assert_eq!(format!("{error:#}"), "step `boot`: no power");
    }
}
