//! The columns of CSV.

use serde::Deserialize;

use crate::connectors::template::{EventFields, Template};

/// The most columns.
const MOST: usize = 1_000;

/// Columns and the templates of their values: a table, which is sorted by name, or a list of pairs, whose order counts.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "toml::Value")]
pub(super) struct Columns(Vec<(String, Template)>);

impl TryFrom<toml::Value> for Columns {
    type Error = String;

    fn try_from(value: toml::Value) -> Result<Self, String> {
        let pairs: Vec<(String, toml::Value)> = match value {
            toml::Value::Table(table) => table.into_iter().collect(),
            toml::Value::Array(pairs) => {
                pairs.into_iter().map(pair_of).collect::<Result<_, _>>()?
            }
            _ => return Err(expected()),
        };
        if !(1..=MOST).contains(&pairs.len()) {
            return Err(format!("columns: expected 1 to {MOST}"));
        }
        let mut columns = Vec::<(String, Template)>::with_capacity(pairs.len());
        for (name, template) in pairs {
            let Some(text) = template.as_str() else { return Err(expected()) };
            if columns.iter().any(|(other, _)| *other == name) {
                return Err(format!("columns: {name} is there twice"));
            }
            let template =
                Template::parse(text).map_err(|error| format!("columns: {name}: {error}"))?;
            columns.push((name, template));
        }
        Ok(Columns(columns))
    }
}

fn expected() -> String {
    "columns: expected { name = \"{template}\", … } or [[\"name\", \"{template}\"], …]".to_owned()
}

fn pair_of(value: toml::Value) -> Result<(String, toml::Value), String> {
    let toml::Value::Array(pair) = value else { return Err(expected()) };
    match <[toml::Value; 2]>::try_from(pair) {
        Ok([toml::Value::String(name), template]) => Ok((name, template)),
        _ => Err(expected()),
    }
}

impl Columns {
    /// Returns the line with the names.
    pub(super) fn head(&self) -> Vec<u8> {
        let mut line = Vec::new();
        write_line(self.0.iter().map(|(name, _)| name.as_str()), &mut line);
        line
    }

    /// Writes the line of an event. The error names the column and the field that the event has not.
    pub(super) fn write(&self, fields: &EventFields<'_>, out: &mut Vec<u8>) -> Result<(), String> {
        let mut values = Vec::with_capacity(self.0.len());
        for (name, template) in &self.0 {
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
            r#"columns = [["a", "1"], ["a", "2"]]"#,
            r#"columns = []"#,
            r#"columns = "a""#,
        ] {
            assert!(parse(wrong).unwrap_err().starts_with("columns: "), "{wrong}");
        }
    }
}
