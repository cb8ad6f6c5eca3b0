//! The document of an event.

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::connectors::template::{EventFields, Template};

/// The most fields of a definition.
const MOST_FIELDS: usize = 1_000;

/// What a document is made of.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(try_from = "toml::Value")]
pub(super) enum Document {
    /// The data of the event.
    #[default]
    Data,
    /// A text that is a JSON object.
    Text(Template),
    /// Fields and their values.
    Fields(Vec<(String, Template)>),
}

impl TryFrom<toml::Value> for Document {
    type Error = String;

    fn try_from(value: toml::Value) -> Result<Self, String> {
        let expected = || {
            format!(
                "document: expected \"{{data}}\" or 1 to {MOST_FIELDS} fields {{ name = \"{{template}}\", … }}"
            )
        };
        let table = match value {
            toml::Value::String(text) => return Ok(Document::Text(Template::parse(&text)?)),
            toml::Value::Table(table) if (1..=MOST_FIELDS).contains(&table.len()) => table,
            _ => return Err(expected()),
        };
        let mut fields = Vec::with_capacity(table.len());
        for (name, template) in table {
            let text = template.as_str().ok_or_else(expected)?;
            let template =
                Template::parse(text).map_err(|error| format!("document: {name}: {error}"))?;
            fields.push((name, template));
        }
        Ok(Document::Fields(fields))
    }
}

impl Document {
    /// Returns the document as JSON in one line. The error says what the event has not.
    pub(super) fn render(&self, fields: &EventFields<'_>) -> Result<String, String> {
        let templates = match self {
            Document::Data => {
                let data = fields.event.data();
                return one_line(std::str::from_utf8(&data).map_err(|_| no_object())?);
            }
            Document::Text(template) => return one_line(&template.render(fields)?),
            Document::Fields(templates) => templates,
        };
        let mut document = Map::with_capacity(templates.len());
        for (name, template) in templates {
            let value = template.value(fields).map_err(|error| format!("document: {error}"))?;
            document.insert(name.clone(), value);
        }
        Ok(Value::Object(document).to_string())
    }
}

/// Returns a JSON object in one line, and otherwise as it is: parsed, its numbers could lose digits.
fn one_line(text: &str) -> Result<String, String> {
    let value: &RawValue = serde_json::from_str(text).map_err(|_| no_object())?;
    match value.get().starts_with('{') {
        // A line break is between values alone: in a text it is escaped.
        true => Ok(value.get().replace(['\n', '\r'], " ")),
        false => Err(no_object()),
    }
}

fn no_object() -> String {
    "the document is no JSON object".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_one_line_with_all_its_digits() {
        let one = |text: &str| one_line(text);
        let number = r#"{"n":123456789012345678901234567890.10}"#;
        assert_eq!(one(number).as_deref(), Ok(number));
        assert_eq!(one(" {\r\n\"a\": \"\\n\"\n} ").as_deref(), Ok("{  \"a\": \"\\n\" }"));
        for wrong in ["", "[]", "1", "null", "{", "{} {}", "{\"a\":\"\n\"}"] {
            assert_eq!(one(wrong), Err(no_object()), "{wrong}");
        }
    }
}
