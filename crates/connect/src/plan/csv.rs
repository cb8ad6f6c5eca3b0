//! The plan of a CSV file: delimiter, quote and columns.

use super::field::{Field, Source};
use regex::Regex;

#[derive(Debug)]
pub(crate) struct CsvPlan {
    pub(crate) delimiter: u8,
    pub(crate) quote: u8,
    /// The columns' names; if absent, the first record holds them.
    pub(crate) columns: Option<Vec<String>>,
    /// Lines before the header, or before the first record if there is none.
    pub(crate) skip_lines: usize,
    /// Whether the header is the first record that has the mapping's columns.
    pub(crate) find_header: bool,
    /// A record that begins with it ends the records of the file.
    pub(crate) footer: Option<Regex>,
}

/// For each field, the columns to try.
pub(crate) type Binding = Vec<Vec<usize>>;

impl CsvPlan {
    /// Finds the columns of each field; the error is the field's name and a sentence.
    pub(crate) fn bind(
        &self,
        fields: &[Field],
        columns: &[String],
    ) -> Result<Binding, (String, String)> {
        let mut binding = vec![Vec::new(); fields.len()];
        for (at, field) in fields.iter().enumerate() {
            let Source::Input(names) = &field.source else { continue };
            // The whole record needs no column.
            if names.is_empty() {
                continue;
            }
            let places: Vec<usize> = names
                .iter()
                .filter_map(|name| columns.iter().position(|column| column == name))
                .collect();
            if places.is_empty() && field.default.is_none() {
                let problem = format!(
                    "there is no column {}; the columns are {}",
                    names.join(" or "),
                    columns.join(", ")
                );
                return Err((field.name.clone(), problem));
            }
            binding[at] = places;
        }
        Ok(binding)
    }
}
