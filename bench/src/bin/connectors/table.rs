//! The lines of the tables, in Markdown.

use std::time::Duration;

use leftfold_bench::spread;

use crate::row::Way;

/// The rates of a row by round.
pub(crate) struct Rates {
    name: &'static str,
    rates: Vec<(Way, f64)>,
}

impl Rates {
    /// Begins a row.
    pub(crate) fn new(name: &'static str) -> Self {
        Rates { name, rates: Vec::new() }
    }

    /// Takes the rate of a round.
    pub(crate) fn push(&mut self, way: Way, rate: f64) {
        self.rates.push((way, rate));
    }

    /// Prints the row. The ratios are those of the same round.
    pub(crate) fn print(&self) {
        let of = |way| of_way(&self.rates, way).copied().collect::<Vec<f64>>();
        let (ours, by_hand, apache) = (of(Way::Connector), of(Way::ByHand), of(Way::Apache));
        let ratios = ours.iter().zip(&by_hand).map(|(ours, by_hand)| ours / by_hand).collect();
        let (ours, by_hand, ratios) = (cell(ours, 0), cell(by_hand, 0), cell(ratios, 2));
        println!("| {} | {ours} | {by_hand} | {ratios} | {} |", self.name, cell(apache, 0));
    }
}

/// The times of single events.
pub(crate) struct Latencies {
    name: &'static str,
    times: Vec<(Way, Vec<f64>)>,
}

impl Latencies {
    /// Begins a row.
    pub(crate) fn new(name: &'static str) -> Self {
        Latencies { name, times: Vec::new() }
    }

    /// Takes the times of a round.
    pub(crate) fn push(&mut self, way: Way, times: Vec<Duration>) {
        let mut millis: Vec<f64> = times.iter().map(|time| time.as_secs_f64() * 1e3).collect();
        millis.sort_by(f64::total_cmp);
        self.times.push((way, millis));
    }

    /// Prints the row, if there is something: of each round p50 and p99, and how much more p50 is with the connector than
    /// by hand.
    pub(crate) fn print(&self) {
        if self.times.is_empty() {
            return;
        }
        let of = |way, share| {
            let rounds = of_way(&self.times, way).map(|sorted| percentile(sorted, share));
            rounds.collect::<Vec<f64>>()
        };
        let (ours, by_hand) = (of(Way::Connector, 0.5), of(Way::ByHand, 0.5));
        let added = ours.iter().zip(&by_hand).map(|(ours, by_hand)| ours - by_hand).collect();
        let columns = [ours, of(Way::Connector, 0.99), by_hand, of(Way::ByHand, 0.99), added];
        let cells = columns.map(|values| cell(values, 2));
        println!("| {} | {} |", self.name, cells.join(" | "));
    }
}

fn of_way<T>(values: &[(Way, T)], way: Way) -> impl Iterator<Item = &T> {
    values.iter().filter(move |(of, _)| *of == way).map(|(_, value)| value)
}

fn percentile(sorted: &[f64], share: f64) -> f64 {
    let last = sorted.len().saturating_sub(1) as f64;
    sorted.get((last * share) as usize).copied().unwrap_or(f64::NAN)
}

/// Prints the rates of the bare loop.
pub(crate) fn print_control(rates: Vec<f64>) {
    println!("| bare write+fdatasync meanwhile, /s | {} | | | |", cell(rates, 0));
}

fn cell(values: Vec<f64>, digits: usize) -> String {
    let count = values.len();
    let [median, least, greatest] = spread(values);
    match count {
        0 => String::new(),
        1 => format!("{median:.digits$}"),
        _ => format!("{median:.digits$} ({least:.digits$} to {greatest:.digits$})"),
    }
}
