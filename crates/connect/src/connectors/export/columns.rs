//! The columns of CSV and of Parquet.

use serde::Deserialize;

use super::column_type::ColumnType;
use super::row::Cell;
use crate::connectors::template::{EventFields, Template};

/// The most columns.
const MOST: usize = 1_000;

/// Columns and the templates of their values: a table, which is sorted by name, or a list, whose order counts.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "toml::Value")]
pub(super) struct Columns(Vec<Column>);

#[derive(Debug, Clone)]
struct Column {
    name: String,
    template: Template,
    column_type: ColumnType,
    has_type: bool,
}

/// What a definition says of a column besides its name: `["{template}"]` or `["{template}", "type"]`.
type Texts = Vec<toml::Value>;

impl TryFrom<toml::Value> for Columns {
    type Error = String;

    fn try_from(value: toml::Value) -> Result<Self, String> {
        let named: Vec<(String, Texts)> = match value {
            toml::Value::Table(table) => table.into_iter().map(of_table).collect(),
            toml::Value::Array(list) => list.into_iter().map(of_list).collect::<Result<_, _>>()?,
            _ => return Err(expected()),
        };
        if !(1..=MOST).contains(&named.len()) {
            return Err(format!("columns: expected 1 to {MOST}"));
        }
        let mut columns = Vec::<Column>::with_capacity(named.len());
        for (name, texts) in named {
            if columns.iter().any(|other| other.name == name) {
                return Err(format!("columns: {name} is there twice"));
            }
            columns.push(Column::parse(name, &texts)?);
        }
        Ok(Columns(columns))
    }
}

fn expected() -> String {
    "columns: expected { name = \"{template}\", … } or [[\"name\", \"{template}\"], …], with a type behind the template \
     in Parquet: [\"name\", \"{template}\", \"double\"]"
        .to_owned()
}

fn of_table((name, value): (String, toml::Value)) -> (String, Texts) {
    match value {
        toml::Value::Array(texts) => (name, texts),
        template => (name, vec![template]),
    }
}

fn of_list(value: toml::Value) -> Result<(String, Texts), String> {
    let toml::Value::Array(texts) = value else { return Err(expected()) };
    let mut texts = texts.into_iter();
    match texts.next() {
        Some(toml::Value::String(name)) => Ok((name, texts.collect())),
        _ => Err(expected()),
    }
}

impl Column {
    fn parse(name: String, texts: &[toml::Value]) -> Result<Self, String> {
        let (text, type_name) = match texts {
            [toml::Value::String(text)] => (text, None),
            [toml::Value::String(text), toml::Value::String(name)] => (text, Some(name)),
            _ => return Err(expected()),
        };
        let of_column = |error: String| format!("columns: {name}: {error}");
        let template = Template::parse(text).map_err(of_column)?;
        let column_type = match type_name {
            Some(type_name) => ColumnType::parse(type_name).map_err(of_column)?,
            None => ColumnType::of_template(text),
        };
        Ok(Column { name, template, column_type, has_type: type_name.is_some() })
    }

    /// Returns the value of an event: none if it has none of the fields, which are all optional.
    fn cell(&self, fields: &EventFields<'_>) -> Result<Cell, String> {
        let text = self.template.render_if_any(fields)?;
        text.map_or(Ok(Cell::Null), |text| self.column_type.cell(text))
    }
}

impl Columns {
    /// Returns the name of the first column to which the definition gives a type.
    pub(super) fn first_with_type(&self) -> Option<&str> {
        self.0.iter().find(|column| column.has_type).map(|column| column.name.as_str())
    }

    /// Returns the names and types, in their order.
    pub(super) fn types(&self) -> impl Iterator<Item = (&str, ColumnType)> {
        self.0.iter().map(|column| (column.name.as_str(), column.column_type))
    }

    /// Returns the values of an event. The error names the column and what is wrong with its value.
    pub(super) fn cells(&self, fields: &EventFields<'_>) -> Result<Vec<Cell>, String> {
        let cells = self.0.iter().map(|column| {
            column.cell(fields).map_err(|error| format!("column {}: {error}", column.name))
        });
        cells.collect()
    }

    /// Returns the line of CSV with the names.
    pub(super) fn head(&self) -> Vec<u8> {
        let mut line = Vec::new();
        write_line(self.0.iter().map(|column| column.name.as_str()), &mut line);
        line
    }

    /// Writes the line of CSV of an event. The error names the column and the field that the event has not.
    pub(super) fn write(&self, fields: &EventFields<'_>, out: &mut Vec<u8>) -> Result<(), String> {
        let mut values = Vec::with_capacity(self.0.len());
        for Column { name, template, .. } in &self.0 {
            let value = template.render(fields);
            values.push(value.map_err(|error| format!("column {name}: {error}"))?);
        }
        write_line(values.iter().map(String::as_str), out);
        Ok(())
    }
}

/// Writes a line as RFC 4180 says, but with a line feed at its end.
fn write_line<'a>(values: impl Iterator<Item = &'a str>, out: &mut Vec<u8>) {
    let begin = out.len();
    for (at, value) in values.enumerate() {
        if at > 0 {
            out.push(b',');
        }
        // Readers may trim spaces that are not in quotes.
        let is_plain = !value.contains([',', '"', '\r', '\n']) && value.trim() == value;
        if is_plain {
            out.extend_from_slice(value.as_bytes());
            continue;
        }
        out.push(b'"');
        out.extend_from_slice(value.replace('"', "\"\"").as_bytes());
        out.push(b'"');
    }
    if out.len() == begin {
        // A line of one empty value would be an empty line, which readers leave out.
        out.extend_from_slice(b"\"\"");
    }
    out.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_quoted_where_they_must_be() {
        let line = |values: &[&str]| {
            let mut out = Vec::new();
            write_line(values.iter().copied(), &mut out);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(line(&["a", "", "1.5"]), "a,,1.5\n");
        assert_eq!(
            line(&["a,b", "say \"x\"", "two\nlines"]),
            "\"a,b\",\"say \"\"x\"\"\",\"two\nlines\"\n"
        );
        assert_eq!(line(&[" a"]), "\" a\"\n");
        assert_eq!(line(&[""]), "\"\"\n");
    }

    #[test]
    fn a_list_of_columns_keeps_its_order() {
        let parse = |text: &str| {
            let table: toml::Table = toml::from_str(text).unwrap();
            Columns::try_from(table["columns"].clone())
        };
        let columns = parse(r#"columns = [["z", "{id}"], ["a", "{type}"]]"#).unwrap();
        assert_eq!(columns.head(), b"z,a\n");
        let columns = parse(r#"columns = { z = "{id}", a = "{type}" }"#).unwrap();
        assert_eq!(columns.head(), b"a,z\n");
        for wrong in [
            r#"columns = { a = "{nothing}" }"#,
            r#"columns = { a = 1 }"#,
            r#"columns = [["a"]]"#,
            r#"columns = [["a", "{id}", "text"]]"#,
            r#"columns = [["a", "{id}", "string", "string"]]"#,
            r#"columns = { a = [] }"#,
            r#"columns = [["a", "1"], ["a", "2"]]"#,
            r#"columns = []"#,
            r#"columns = "a""#,
        ] {
            assert!(parse(wrong).unwrap_err().starts_with("columns: "), "{wrong}");
        }
    }

    #[test]
    fn columns_have_types_which_fields_of_their_own_know() {
        let types = |text: &str| {
            let table: toml::Table = toml::from_str(text).unwrap();
            let columns = Columns::try_from(table["columns"].clone()).unwrap();
            let first = columns.first_with_type().map(str::to_owned);
            (columns.types().map(|(_, column_type)| column_type).collect::<Vec<_>>(), first)
        };
        use ColumnType::{Double, Int64, String, Timestamp};
        assert_eq!(
            types(r#"columns = [["a", "{position}"], ["b", "{time}"], ["c", "{data.c}"]]"#),
            (vec![Int64, Timestamp, String], None)
        );
        assert_eq!(
            types(r#"columns = { a = ["{position}", "string"], b = ["{data.b?}", "double"] }"#),
            (vec![String, Double], Some("a".to_owned()))
        );
    }
}
