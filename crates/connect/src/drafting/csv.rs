//! Drafts a mapping of a CSV file.

use super::guess::Values;
use super::page::Page;
use super::{DraftingError, SAMPLES};
use crate::csv::Records;
use crate::plan::csv::CsvPlan;
use std::collections::BTreeMap;

/// The longest record of a draft: the text is in memory anyway.
const LIMIT: usize = 1 << 20;

pub(super) fn draft(text: &str) -> Result<Page, DraftingError> {
    let rows = |delimiter| rows(text, delimiter);
    let best = [b',', b';', b'\t', b'|'].into_iter().map(|delimiter| (delimiter, rows(delimiter)));
    // The delimiter with the most columns in the most rows.
    let best = best.max_by_key(|(_, rows)| {
        let (width, count) = usual_width(rows);
        if width > 1 { width * count } else { 0 }
    });
    let Some((delimiter, rows)) = best.filter(|(_, rows)| usual_width(rows).0 > 1) else {
        return Err(DraftingError(
            "it is not XML or JSON, and no delimiter makes columns of its lines".to_owned(),
        ));
    };
    let (width, _) = usual_width(&rows);
    let at = rows.iter().position(|row| row.len() == width).unwrap_or(0);
    let mut rows = rows.into_iter().skip(at);
    let header = rows.next().unwrap_or_default();
    let mut fields: Vec<(String, Values)> =
        header.iter().map(|name| (name.trim().to_owned(), Values::default())).collect();
    for row in rows.filter(|row| row.len() == width) {
        for ((_, values), value) in fields.iter_mut().zip(&row) {
            values.records += 1;
            values.add(value);
        }
    }
    let mut section = String::from("\n[csv]\n");
    let sign =
        if delimiter == b'\t' { "\\t".to_owned() } else { char::from(delimiter).to_string() };
    section.push_str(&format!("delimiter = \"{sign}\"\n"));
    if at > 0 {
        section.push_str("find_header = true       # lines stand before the header\n");
    }
    fields.retain(|(name, _)| !name.is_empty());
    Ok(Page { format: "csv", section, fields })
}

/// Returns the number of columns that most rows have, and how many rows have it.
fn usual_width(rows: &[Vec<String>]) -> (usize, usize) {
    let mut widths: BTreeMap<usize, usize> = BTreeMap::new();
    for row in rows {
        *widths.entry(row.len()).or_default() += 1;
    }
    widths.into_iter().max_by_key(|(width, count)| (*count, *width)).unwrap_or_default()
}

fn rows(text: &str, delimiter: u8) -> Vec<Vec<String>> {
    let plan = CsvPlan {
        delimiter,
        quote: b'"',
        columns: None,
        skip_lines: 0,
        find_header: false,
        footer: None,
    };
    let mut records = Records::new(&plan, text.as_bytes(), LIMIT);
    let mut rows = Vec::new();
    while rows.len() <= SAMPLES && records.next().unwrap_or(false) {
        // The last row may be cut.
        if (!records.is_cut() || rows.len() < 2)
            && let Ok(fields) = records.fields(records.width())
        {
            rows.push(fields.into_iter().map(str::to_owned).collect());
        }
    }
    rows
}
