use std::io::Write;

use comfy_table::{ContentArrangement, Table, presets};

use super::event::printable;

/// The style of a table's head: bold.
const HEAD: (&str, &str) = ("\u{1b}[1m", "\u{1b}[0m");

/// Makes a table without lines, as wide as the terminal.
pub(crate) fn table(columns: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    if let Some(width) = width() {
        table.set_width(width);
    }
    table.set_header(columns.iter().copied());
    table
}

/// Prints a table.
pub(crate) fn print_table(table: &Table) -> std::io::Result<()> {
    let mut out = anstream::stdout().lock();
    for (number, line) in table.lines().enumerate() {
        match number {
            0 => write_head(&mut out, &line)?,
            _ => writeln!(out, "{}", printable(line.trim_end()))?,
        }
    }
    out.flush()
}

/// Writes the head of a table, in bold where the output has colours.
pub(super) fn write_head(out: &mut impl Write, line: &str) -> std::io::Result<()> {
    let (bold, plain) = HEAD;
    writeln!(out, "{bold}{}{plain}", printable(line.trim_end()))
}

/// Returns the columns of the terminal: those of `COLUMNS`, or of the terminal itself. `None` if
/// neither is known.
pub(super) fn width() -> Option<u16> {
    let named = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    let named = named.filter(|columns| *columns > 0);
    named.or_else(|| Some(terminal_size::terminal_size()?.0.0))
}

/// Formats a number with commas between thousands.
pub(crate) fn thousands(n: u64) -> String {
    let digits = n.to_string();
    let groups: Vec<_> = digits.as_bytes().rchunks(3).rev().map(String::from_utf8_lossy).collect();
    groups.join(",")
}
