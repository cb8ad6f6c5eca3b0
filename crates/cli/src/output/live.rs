//! Prints a live query: its rows, and how they change.

use std::io::Write;

use serde_json::{Value, json};

use super::answer::{cells, distinct, object, print_answer, text};
use super::event::printable;
use super::format;
use crate::args::Format;

/// The rows of a live query that is printed.
#[derive(Default)]
pub(crate) struct LiveRows {
    columns: Vec<String>,
}

impl LiveRows {
    /// Prints an update: `rows`, with an answer, or `changes`.
    pub(crate) fn print(&mut self, kind: &str, update: &Value) -> anyhow::Result<()> {
        let is_whole = kind == "rows";
        if is_whole {
            let columns = update["columns"].as_array().into_iter().flatten();
            let columns: Vec<&str> = columns.filter_map(Value::as_str).collect();
            self.columns = distinct(&columns);
        }
        match format() {
            Format::Json => print_line(update)?,
            Format::Table if is_whole => print_answer(update)?,
            Format::Table => print_signs(update)?,
            _ if is_whole => self.print_whole(update)?,
            _ => self.print_changes(update)?,
        }
        // Who follows sees each update at once.
        Ok(std::io::stdout().flush()?)
    }

    /// Prints a line that a list begins, and one for each of its rows.
    fn print_whole(&self, update: &Value) -> std::io::Result<()> {
        let rows = rows_of(&update["rows"]);
        print_line(&json!({
            "change": "rows", "rows": rows.len(), "columns": self.columns, "cursors": update["cursors"],
        }))?;
        for row in rows {
            print_line(&json!({"change": "row", "row": object(&self.columns, row)}))?;
        }
        Ok(())
    }

    fn print_changes(&self, update: &Value) -> std::io::Result<()> {
        for row in rows_of(&update["removed"]) {
            print_line(&json!({"change": "removed", "row": object(&self.columns, row)}))?;
        }
        for change in rows_of_changes(update) {
            let [before, after] = change.map(|row| object(&self.columns, row));
            print_line(&json!({"change": "changed", "before": before, "after": after}))?;
        }
        for row in rows_of(&update["added"]) {
            print_line(&json!({"change": "added", "row": object(&self.columns, row)}))?;
        }
        Ok(())
    }
}

/// Prints a line for each change, which begins with its sign.
fn print_signs(update: &Value) -> std::io::Result<()> {
    let mut out = anstream::stdout().lock();
    for row in rows_of(&update["removed"]) {
        writeln!(out, "- {}", line(row))?;
    }
    for [before, after] in rows_of_changes(update) {
        writeln!(out, "~ {} -> {}", line(before), line(after))?;
    }
    for row in rows_of(&update["added"]) {
        writeln!(out, "+ {}", line(row))?;
    }
    Ok(())
}

fn line(row: &[Value]) -> String {
    let cells: Vec<_> = row.iter().map(|cell| printable(&text(cell))).collect();
    cells.join(" | ")
}

fn rows_of(rows: &Value) -> Vec<&[Value]> {
    rows.as_array().into_iter().flatten().map(cells).collect()
}

fn rows_of_changes(update: &Value) -> impl Iterator<Item = [&[Value]; 2]> {
    let changes = update["changed"].as_array().into_iter().flatten();
    changes.map(|change| [cells(&change["before"]), cells(&change["after"])])
}

fn print_line(line: &Value) -> std::io::Result<()> {
    writeln!(std::io::stdout(), "{line}")
}
