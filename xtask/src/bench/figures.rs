//! Measured figures, and how they are printed: the median as `name value unit`, below a comment with the budget.

/// Unit of a figure.
#[derive(Debug, Clone, Copy)]
pub enum Unit {
    /// Of 1,000,000 bytes.
    Megabytes,
    Microseconds,
    Milliseconds,
    Seconds,
    /// How often something happened.
    Times,
}

impl Unit {
    fn as_str(self) -> &'static str {
        match self {
            Self::Megabytes => "MB",
            Self::Microseconds => "us",
            Self::Milliseconds => "ms",
            Self::Seconds => "s",
            Self::Times => "times",
        }
    }
}

/// Several runs of one measurement.
#[derive(Debug, Clone, Default)]
pub struct Figures {
    runs: Vec<f64>,
}

impl Figures {
    /// A measurement that was made once.
    pub fn one(value: f64) -> Self {
        Self { runs: vec![value] }
    }

    /// Adds a run.
    pub fn push(&mut self, value: f64) {
        self.runs.push(value);
        self.runs.sort_by(f64::total_cmp);
    }

    /// The run in the middle.
    pub fn median(&self) -> f64 {
        self.quantile(0.5)
    }

    /// Prints the median; the comment tells the budget (at most that much) and the spread.
    pub fn print(&self, name: &str, unit: Unit, budget: Option<f64>) {
        print!("{}", self.lines(name, unit, budget));
    }

    /// Prints the value that nine of ten runs do not exceed.
    pub fn print_p90(&self, name: &str, unit: Unit) {
        println!("{name} {:.1} {}", self.quantile(0.9), unit.as_str());
    }

    fn lines(&self, name: &str, unit: Unit, budget: Option<f64>) -> String {
        let (median, unit) = (self.median(), unit.as_str());
        let judged = match budget {
            None => "no budget".to_owned(),
            Some(most) if median <= most => format!("budget: at most {most} {unit}, kept"),
            Some(most) => format!("budget: at most {most} {unit}, MISSED"),
        };
        let spread = match self.runs.as_slice() {
            [least, .., most] => format!("; {} runs from {least:.1} to {most:.1}", self.runs.len()),
            _ => String::new(),
        };
        format!("# {judged}{spread}\n{name} {median:.1} {unit}\n")
    }

    /// The smallest run that `share` of all runs do not exceed; not a number without any runs.
    fn quantile(&self, share: f64) -> f64 {
        let rank = (self.runs.len() as f64 * share).ceil() as usize;
        self.runs.get(rank.saturating_sub(1)).copied().unwrap_or(f64::NAN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(runs: &[f64], budget: Option<f64>, expect: &str) {
        let mut figures = Figures::default();
        for run in runs {
            figures.push(*run);
        }
        assert_eq!(figures.lines("start", Unit::Milliseconds, budget), expect);
    }

    #[test]
    fn the_median_is_judged() {
        check(&[9.0, 1.0, 2.0], Some(2.0), "# budget: at most 2 ms, kept; 3 runs from 1.0 to 9.0\nstart 2.0 ms\n");
        check(&[9.0, 3.0, 2.0], Some(2.5), "# budget: at most 2.5 ms, MISSED; 3 runs from 2.0 to 9.0\nstart 3.0 ms\n");
        check(&[4.0], None, "# no budget\nstart 4.0 ms\n");
    }

    #[test]
    fn quantiles_are_runs() {
        let mut figures = Figures::default();
        for run in 1..=20 {
            figures.push(f64::from(run));
        }
        assert!((figures.quantile(0.9) - 18.0).abs() < f64::EPSILON);
        assert!((figures.quantile(0.5) - 10.0).abs() < f64::EPSILON);
        assert!(Figures::default().quantile(0.5).is_nan());
    }
}
