//! Prints the answer to a question by SQL.

use std::io::{BufWriter, Write};

use comfy_table::CellAlignment;
use serde_json::{Map, Value};

use super::event::printable;
use super::{format, is_quiet, print_table, table};
use crate::args::Format;

/// Prints an answer: `columns`, `rows` and `cursors`.
pub(crate) fn print_answer(answer: &Value) -> std::io::Result<()> {
    let texts = answer["columns"].as_array().into_iter().flatten();
    let columns: Vec<&str> = texts.filter_map(Value::as_str).collect();
    let rows = answer["rows"].as_array().into_iter().flatten();
    let rows: Vec<&[Value]> = rows.map(cells).collect();
    let mut out = BufWriter::new(std::io::stdout().lock());
    match format() {
        Format::Table => {
            drop(out);
            return print_rows(&columns, &rows);
        }
        Format::Json => writeln!(out, "{answer}")?,
        Format::Csv => write_csv(&mut out, &columns, &rows)?,
        Format::Ndjson | Format::Raw => write_objects(&mut out, &columns, &rows)?,
    }
    out.flush()
}

/// Returns the cells of a row.
pub(super) fn cells(row: &Value) -> &[Value] {
    row.as_array().map(Vec::as_slice).unwrap_or_default()
}

/// Prints rows as a table. Columns of numbers are aligned to the right.
fn print_rows(columns: &[&str], rows: &[&[Value]]) -> std::io::Result<()> {
    let heads: Vec<String> = columns.iter().map(|column| printable(column)).collect();
    let heads: Vec<&str> = heads.iter().map(String::as_str).collect();
    let mut shown = table(&heads);
    for row in rows {
        shown.add_row(row.iter().map(|cell| printable(&text(cell))));
    }
    for (number, column) in shown.column_iter_mut().enumerate() {
        if has_numbers(rows, number) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    print_table(&shown)?;
    if !is_quiet() {
        super::print_line(format_args!("{} rows", rows.len()));
    }
    Ok(())
}

/// Whether a column has numbers alone, or texts of decimals, beside null.
fn has_numbers(rows: &[&[Value]], column: usize) -> bool {
    let mut cells = rows.iter().filter_map(|row| row.get(column)).filter(|cell| !cell.is_null());
    let is_number = |cell: &Value| match cell {
        Value::Number(_) => true,
        Value::String(text) => is_decimal(text),
        _ => false,
    };
    cells.next().is_some_and(is_number) && cells.all(is_number)
}

/// Whether a text is a decimal: a sign, digits, and maybe a point with digits behind it.
fn is_decimal(text: &str) -> bool {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let all_digits =
        |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    all_digits(whole) && all_digits(fraction)
}

pub(super) fn text(cell: &Value) -> String {
    match cell {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// Writes one object a row. A name that several columns have is numbered: `n`, `n:1`.
fn write_objects(out: &mut impl Write, columns: &[&str], rows: &[&[Value]]) -> std::io::Result<()> {
    let names = distinct(columns);
    for row in rows {
        writeln!(out, "{}", object(&names, row))?;
    }
    Ok(())
}

/// Returns a row as an object.
pub(super) fn object(names: &[String], row: &[Value]) -> Value {
    let object: Map<String, Value> = names.iter().cloned().zip(row.iter().cloned()).collect();
    Value::Object(object)
}

/// Returns the names of columns, each once.
pub(super) fn distinct(columns: &[&str]) -> Vec<String> {
    let mut names = Vec::<String>::with_capacity(columns.len());
    for column in columns {
        let numbered = (1..).map(|number| format!("{column}:{number}"));
        let mut free = std::iter::once((*column).to_owned()).chain(numbered);
        names.extend(free.find(|name| !names.contains(name)));
    }
    names
}

/// Writes CSV with a header. A null is an empty field, an empty text is in quotes.
fn write_csv(out: &mut impl Write, columns: &[&str], rows: &[&[Value]]) -> std::io::Result<()> {
    write_line(out, columns.iter().map(|column| field(column)))?;
    for row in rows {
        let fields = row.iter().map(|cell| match cell {
            Value::Null => String::new(),
            cell => field(&text(cell)),
        });
        write_line(out, fields)?;
    }
    Ok(())
}

fn write_line(out: &mut impl Write, fields: impl Iterator<Item = String>) -> std::io::Result<()> {
    let fields: Vec<String> = fields.collect();
    writeln!(out, "{}", fields.join(","))
}

fn field(text: &str) -> String {
    match text.is_empty() || text.contains(['"', ',', '\n', '\r']) {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text.to_owned(),
    }
}
