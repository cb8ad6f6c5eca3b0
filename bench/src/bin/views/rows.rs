//! Rows of several rounds, as they are printed.

use leftfold_bench::spread;

/// The seconds of a row by round.
pub(crate) struct Durations {
    name: &'static str,
    seconds: Vec<f64>,
}

impl Durations {
    pub(crate) fn new(name: &'static str) -> Self {
        Durations { name, seconds: Vec::new() }
    }

    pub(crate) fn push(&mut self, seconds: f64) {
        self.seconds.push(seconds);
    }

    /// Prints the row, and returns its median.
    pub(crate) fn print(&self, events: u64) -> f64 {
        let [median, least, greatest] = spread(self.seconds.clone());
        let rate = events as f64 / median;
        let range = format!("({least:.2} to {greatest:.2})");
        println!("{:<36}{median:>8.2} s {range:<20}{rate:>9.0} events/s", self.name);
        median
    }
}

/// The p50 and p99 of a row by round, in microseconds.
pub(crate) struct Latencies {
    name: &'static str,
    p50: Vec<f64>,
    p99: Vec<f64>,
}

impl Latencies {
    pub(crate) fn new(name: &'static str) -> Self {
        Latencies { name, p50: Vec::new(), p99: Vec::new() }
    }

    /// Takes the times of a round.
    pub(crate) fn push(&mut self, mut micros: Vec<f64>) {
        micros.sort_by(f64::total_cmp);
        let last = micros.len().saturating_sub(1) as f64;
        let at = |share: f64| micros.get((last * share) as usize).copied().unwrap_or(f64::NAN);
        self.p50.push(at(0.5));
        self.p99.push(at(0.99));
    }

    /// Prints the row, and returns the median of its p99.
    pub(crate) fn print(&self) -> f64 {
        let column = |values: &[f64]| {
            let [median, least, greatest] = spread(values.to_vec());
            let range = format!("({least:.0} to {greatest:.0})");
            (median, format!("{median:>8.0} us {range:<18}"))
        };
        let ((_, p50), (median, p99)) = (column(&self.p50), column(&self.p99));
        println!("{:<44}{p50} {p99}", self.name);
        median
    }
}

/// Prints the rates of the bare loop.
pub(crate) fn print_control(rates: Vec<f64>) {
    let [median, least, greatest] = spread(rates);
    println!(
        "control: a bare write+fdatasync loop, {median:.0} a second ({least:.0} to {greatest:.0})"
    );
}
