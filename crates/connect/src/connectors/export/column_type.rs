//! The types of columns.

use leftfold_api::Timestamp;

use super::row::Cell;

/// The type of a column's values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ColumnType {
    String,
    Int64,
    Double,
    Bool,
    /// A time in UTC with microseconds.
    Timestamp,
    /// Text that is JSON. Only the event's own fields have this type and those below.
    Json,
    Bytes,
    Strings,
}

/// The names of the types that a definition can give to a column.
const NAMES: [(&str, ColumnType); 5] = [
    ("string", ColumnType::String),
    ("int64", ColumnType::Int64),
    ("double", ColumnType::Double),
    ("bool", ColumnType::Bool),
    ("timestamp", ColumnType::Timestamp),
];

impl ColumnType {
    /// Returns the type of a name; the error lists the names.
    pub(super) fn parse(name: &str) -> Result<Self, String> {
        let found = NAMES.iter().find(|(known, _)| *known == name);
        found.map(|(_, column_type)| *column_type).ok_or_else(|| {
            format!("{name:?} is no type: expected string, int64, double, bool or timestamp")
        })
    }

    /// Returns the type of a template's text, if the definition does not say.
    pub(super) fn of_template(text: &str) -> Self {
        match text {
            "{position}" | "{version}" => ColumnType::Int64,
            "{time}" | "{commit_time}" => ColumnType::Timestamp,
            _ => ColumnType::String,
        }
    }

    /// Returns the value of a text. The error does not have the text, which may be personal.
    pub(super) fn cell(self, text: String) -> Result<Cell, String> {
        let (cell, expected) = match self {
            ColumnType::Int64 => (text.parse().ok().map(Cell::Int64), "a whole number of 64 bits"),
            ColumnType::Double => {
                // NaN and infinities are no numbers of JSON.
                let number = text.parse().ok().filter(|number: &f64| number.is_finite());
                (number.map(Cell::Double), "a number")
            }
            ColumnType::Bool => (text.parse().ok().map(Cell::Bool), "true or false"),
            ColumnType::Timestamp => {
                let time = text.parse::<Timestamp>().ok();
                (time.map(|time| Cell::Int64(time.0)), "a time such as 2026-03-01T12:00:00Z")
            }
            ColumnType::String | ColumnType::Json | ColumnType::Bytes | ColumnType::Strings => {
                return Ok(Cell::Bytes(text.into_bytes()));
            }
        };
        cell.ok_or_else(|| format!("expected {expected}, found another text"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_become_values_of_the_type_or_are_refused() {
        let cell = |name: &str, text: &str| ColumnType::parse(name).unwrap().cell(text.to_owned());
        for (name, text, wanted) in [
            ("string", "", Cell::Bytes(Vec::new())),
            ("int64", "-9223372036854775808", Cell::Int64(i64::MIN)),
            ("double", "1e-3", Cell::Double(0.001)),
            ("double", "7", Cell::Double(7.0)),
            ("bool", "true", Cell::Bool(true)),
            ("timestamp", "1970-01-01T01:00:01+01:00", Cell::Int64(1_000_000)),
            ("timestamp", "1970-01-02", Cell::Int64(86_400_000_000)),
        ] {
            assert_eq!(cell(name, text), Ok(wanted), "{name} {text}");
        }
        for (name, text) in [
            ("int64", "7.0"),
            ("int64", "9223372036854775808"),
            ("int64", ""),
            ("double", "NaN"),
            ("double", "1e999"),
            ("bool", "yes"),
            ("timestamp", "yesterday"),
        ] {
            assert!(cell(name, text).unwrap_err().starts_with("expected "), "{name} {text}");
        }
        assert!(ColumnType::parse("json").unwrap_err().contains("no type"));
    }
}
