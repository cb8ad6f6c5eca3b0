//! The text of an answer: JSON, a JSON object a row, or CSV.

use std::fmt::Write;

use axum::http::HeaderMap;
use leftfold_views::{Answer, Cell};

use crate::http::Problem;
use crate::http::extract::accepts;

/// The form of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Json,
    /// One object a row.
    Lines,
    Csv,
}

impl Format {
    /// Returns the first form that the client accepts.
    ///
    /// # Errors
    /// `not_acceptable`.
    pub(super) fn of(headers: &HeaderMap) -> Result<Self, Problem> {
        let all = [Format::Json, Format::Lines, Format::Csv];
        let found = all.into_iter().find(|format| accepts(headers, format.media_type()));
        found.ok_or_else(|| {
            let message =
                "an answer of views is application/json, application/x-ndjson or text/csv";
            Problem::new("not_acceptable", message)
        })
    }

    pub(super) fn media_type(self) -> &'static str {
        match self {
            Format::Json => "application/json",
            Format::Lines => "application/x-ndjson",
            Format::Csv => "text/csv",
        }
    }

    /// Returns the text of an answer.
    pub(super) fn text(self, answer: &Answer) -> String {
        match self {
            Format::Json => serde_json::to_string(answer).unwrap_or_default(),
            Format::Lines => lines(answer),
            Format::Csv => csv(answer),
        }
    }
}

/// Returns names for the members of an object: a name that several columns have gets a number.
fn distinct(columns: &[String]) -> Vec<String> {
    let mut names = Vec::<String>::with_capacity(columns.len());
    for column in columns {
        let numbered = (2..).map(|number| format!("{column}_{number}"));
        let mut candidates = std::iter::once(column.clone()).chain(numbered);
        names.extend(candidates.find(|name| !names.contains(name)));
    }
    names
}

fn lines(answer: &Answer) -> String {
    let quoted = |name: &String| serde_json::to_string(name).unwrap_or_default();
    let names: Vec<_> = distinct(&answer.columns).iter().map(quoted).collect();
    let mut text = String::new();
    for row in &answer.rows {
        for (at, (name, cell)) in names.iter().zip(row).enumerate() {
            let before = if at == 0 { '{' } else { ',' };
            let value = serde_json::to_string(cell).unwrap_or_default();
            // Writing to a string does not fail.
            _ = write!(text, "{before}{name}:{value}");
        }
        text.push_str("}\n");
    }
    text
}

/// As RFC 4180 says. No value is an empty field, and an empty text is quoted.
fn csv(answer: &Answer) -> String {
    let mut text = String::new();
    let mut line = |fields: &mut dyn Iterator<Item = String>| {
        let fields: Vec<_> = fields.collect();
        text.push_str(&fields.join(","));
        text.push_str("\r\n");
    };
    line(&mut answer.columns.iter().map(|name| field(name)));
    for row in &answer.rows {
        line(&mut row.iter().map(|cell| match cell {
            Cell::Null => String::new(),
            cell => field(&cell.to_string()),
        }));
    }
    text
}

fn field(text: &str) -> String {
    match text.is_empty() || text.contains(['"', ',', '\r', '\n']) {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer() -> Answer {
        let mut answer = Answer::default();
        answer.columns = ["id", "id", "note"].map(str::to_owned).to_vec();
        let text = |text: &str| Cell::Text(text.to_owned());
        answer.rows = vec![
            vec![Cell::Integer(1), Cell::Null, text("a, \"b\"\nc")],
            vec![Cell::Real(0.5), text(""), Cell::Bytes(vec![1, 255])],
        ];
        answer
    }

    #[test]
    fn writes_an_object_a_row_with_distinct_names() {
        let expected = "{\"id\":1,\"id_2\":null,\"note\":\"a, \\\"b\\\"\\nc\"}\n\
                        {\"id\":0.5,\"id_2\":\"\",\"note\":\"01ff\"}\n";
        assert_eq!(Format::Lines.text(&answer()), expected);
    }

    #[test]
    fn writes_csv_with_quotes_where_they_are_needed() {
        let expected = "id,id,note\r\n1,,\"a, \"\"b\"\"\nc\"\r\n0.5,\"\",01ff\r\n";
        assert_eq!(Format::Csv.text(&answer()), expected);
    }
}
