//! The lines of the table, in Markdown.

use leftfold_bench::spread;

use crate::systems::Kind;

/// Prints a line: for each system the values of its rounds, and the last system beside each other one, in ratios of the
/// same round. Prints nothing if there are no values.
pub(crate) fn print(name: &str, values: &[Vec<f64>], digits: usize) {
    let Some((ours, others)) = values.split_last().filter(|(ours, _)| !ours.is_empty()) else {
        return;
    };
    let cells = values.iter().map(|values| cell(values.clone(), digits));
    let ratios = others.iter().map(|others| {
        let rounds = ours.iter().zip(others);
        cell(rounds.map(|(ours, other)| ours / other).collect(), 2)
    });
    let cells: Vec<String> = cells.chain(ratios).collect();
    println!("| {name} | {} |", cells.join(" | "));
}

/// Prints the head of the table of these systems.
pub(crate) fn head(kinds: &[Kind]) {
    let mut cells: Vec<String> = kinds.iter().map(|kind| kind.name().to_owned()).collect();
    if let Some((ours, others)) = kinds.split_last() {
        cells.extend(others.iter().map(|other| format!("{} / {}", ours.name(), other.name())));
    }
    println!("| | {} |", cells.join(" | "));
    println!("|---{}|", "|---".repeat(cells.len()));
}

fn cell(values: Vec<f64>, digits: usize) -> String {
    let count = values.len();
    let [median, least, greatest] = spread(values);
    match count {
        1 => format!("{median:.digits$}"),
        _ => format!("{median:.digits$} ({least:.digits$} to {greatest:.digits$})"),
    }
}
