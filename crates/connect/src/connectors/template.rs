//! Templates of text with fields of an event, such as `orders-{key}` and `{data.customer.email}`.

use std::borrow::Cow;
use std::cell::OnceCell;

use leftfold_api::{Recorded, names};
use serde::Deserialize;
use serde_json::Value;

/// The deepest path into the data of an event.
const DEEPEST: usize = 16;
/// The most bytes of a text; a template can have the whole data of an event thousands of times.
const MOST_BYTES: usize = 64 << 20;

/// Text with fields in braces; `{{` and `}}` are braces.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Template {
    pieces: Vec<Piece>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    /// A field; what is optional is empty if the event has it not.
    Field {
        field: Field,
        is_optional: bool,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Field {
    Id,
    Stream,
    Category,
    Key,
    Type,
    Version,
    Position,
    Time,
    CommitTime,
    Correlation,
    Causation,
    Tag(String),
    /// The whole data, as text.
    Data,
    DataAt(Vec<String>),
    MetadataAt(Vec<String>),
}

/// An event, whose JSON is parsed once for all templates.
pub(crate) struct EventFields<'a> {
    pub(crate) event: &'a Recorded,
    data: OnceCell<Option<Value>>,
    metadata: OnceCell<Option<Value>>,
}

impl<'a> EventFields<'a> {
    pub(crate) fn new(event: &'a Recorded) -> Self {
        EventFields { event, data: OnceCell::new(), metadata: OnceCell::new() }
    }

    /// Returns the data, if it is JSON.
    pub(crate) fn data(&self) -> Option<&Value> {
        let parse = || serde_json::from_slice(&self.event.data()).ok();
        self.data.get_or_init(parse).as_ref()
    }

    /// Returns the metadata, if it is JSON.
    pub(crate) fn metadata(&self) -> Option<&Value> {
        let parse = || serde_json::from_slice(&self.event.metadata()).ok();
        self.metadata.get_or_init(parse).as_ref()
    }
}

impl Template {
    /// Parses a template; the error is a sentence about what is wrong.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let unbalanced =
            || format!("{text:?} has a brace without its other; write {{{{ or }}}} for one");
        let (mut pieces, mut literal, mut rest) = (Vec::new(), String::new(), text);
        while let Some(at) = rest.find(['{', '}']) {
            let (before, from) = rest.split_at(at);
            literal.push_str(before);
            let (brace, behind) = from.split_at(1);
            if let Some(behind) = behind.strip_prefix(brace) {
                literal.push_str(brace);
                rest = behind;
                continue;
            }
            let (name, behind) = match brace {
                "{" => behind.split_once('}').ok_or_else(unbalanced)?,
                _ => return Err(unbalanced()),
            };
            if !literal.is_empty() {
                pieces.push(Piece::Text(std::mem::take(&mut literal)));
            }
            let (name, is_optional) = match name.strip_suffix('?') {
                Some(name) => (name, true),
                None => (name, false),
            };
            pieces.push(Piece::Field { field: Field::parse(name)?, is_optional });
            rest = behind;
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            pieces.push(Piece::Text(literal));
        }
        Ok(Template { pieces })
    }

    /// Returns the text if it is the same for all events.
    pub(crate) fn fixed(&self) -> Option<&str> {
        match self.pieces.as_slice() {
            [] => Some(""),
            [Piece::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// Returns the text with the names of fields in place of their values: what an event's text looks like.
    pub(crate) fn sample(&self) -> String {
        let text = |piece: &Piece| match piece {
            Piece::Text(literal) => literal.clone(),
            Piece::Field { field, .. } => field.sample(),
        };
        self.pieces.iter().map(text).collect()
    }

    /// Returns the text for an event; the error says which field it has not.
    pub(crate) fn render(&self, event: &EventFields<'_>) -> Result<String, String> {
        Ok(self.render_if_any(event)?.unwrap_or_default())
    }

    /// Returns the text for an event as [`Template::render`] does; `None` if it consists of optional fields only, and the
    /// event has none of them.
    pub(crate) fn render_if_any(&self, event: &EventFields<'_>) -> Result<Option<String>, String> {
        self.render_with(event, |text, value| text.push_str(value))
    }

    /// Returns the text for an event as HTML: the values of its fields are text in it, and no markup.
    pub(crate) fn render_html(&self, event: &EventFields<'_>) -> Result<String, String> {
        let rendered = self.render_with(event, |text, value| {
            for letter in value.chars() {
                match letter {
                    '&' => text.push_str("&amp;"),
                    '<' => text.push_str("&lt;"),
                    '>' => text.push_str("&gt;"),
                    '"' => text.push_str("&quot;"),
                    '\'' => text.push_str("&#39;"),
                    letter => text.push(letter),
                }
            }
        });
        Ok(rendered?.unwrap_or_default())
    }

    fn render_with(
        &self,
        event: &EventFields<'_>,
        push_value: impl Fn(&mut String, &str),
    ) -> Result<Option<String>, String> {
        let mut text = None::<String>;
        for piece in &self.pieces {
            match piece {
                Piece::Text(literal) => text.get_or_insert_default().push_str(literal),
                Piece::Field { field, is_optional } => match field.of(event) {
                    Some(found) => push_value(text.get_or_insert_default(), &found),
                    None if *is_optional => {}
                    None => return Err(format!("the event has no {}", field.name())),
                },
            }
            if text.as_ref().is_some_and(|text| text.len() > MOST_BYTES) {
                return Err(format!("the text would have more than {MOST_BYTES} bytes"));
            }
        }
        Ok(text)
    }

    /// Returns the value for an event: that of one field alone as the JSON that it is, and text otherwise. An optional
    /// field that the event has not is null.
    pub(crate) fn value(&self, event: &EventFields<'_>) -> Result<Value, String> {
        let [Piece::Field { field, is_optional }] = self.pieces.as_slice() else {
            return self.render(event).map(Value::String);
        };
        match field.value_of(event) {
            Some(value) => Ok(value),
            None if *is_optional => Ok(Value::Null),
            None => Err(format!("the event has no {}", field.name())),
        }
    }

    /// Whether events with the same text are of one stream: as far as keys are of one category.
    pub(crate) fn names_stream(&self) -> bool {
        let names = |piece: &Piece| match piece {
            Piece::Field { field, .. } => matches!(field, Field::Id | Field::Stream | Field::Key),
            Piece::Text(_) => false,
        };
        self.pieces.iter().any(names)
    }
}

impl TryFrom<String> for Template {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Template::parse(&text)
    }
}

impl Field {
    fn parse(name: &str) -> Result<Self, String> {
        let path = |path: &str| {
            let path: Vec<_> = path.split('.').map(str::to_owned).collect();
            match path.iter().all(|step| !step.is_empty()) && path.len() <= DEEPEST {
                true => Ok(path),
                false => Err(format!("{{{name}}} is no path of at most {DEEPEST} names")),
            }
        };
        Ok(match name {
            "id" => Field::Id,
            "stream" => Field::Stream,
            "category" => Field::Category,
            "key" => Field::Key,
            "type" => Field::Type,
            "version" => Field::Version,
            "position" => Field::Position,
            "time" => Field::Time,
            "commit_time" => Field::CommitTime,
            "correlation" => Field::Correlation,
            "causation" => Field::Causation,
            "data" => Field::Data,
            _ => match name.split_once('.') {
                Some(("data", at)) => Field::DataAt(path(at)?),
                Some(("metadata", at)) => Field::MetadataAt(path(at)?),
                Some(("tag", key)) if !key.is_empty() => Field::Tag(key.to_owned()),
                _ => return Err(format!("{{{name}}} is no field of an event: {FIELDS}")),
            },
        })
    }

    fn sample(&self) -> String {
        match self {
            Field::Tag(key) => key.clone(),
            Field::DataAt(path) | Field::MetadataAt(path) => path.join("."),
            field => format!("{field:?}").to_lowercase(),
        }
    }

    fn name(&self) -> String {
        match self {
            Field::Correlation => "correlation id".to_owned(),
            Field::Causation => "causation id".to_owned(),
            Field::Tag(key) => format!("tag {key}"),
            Field::DataAt(path) => format!("data.{}", path.join(".")),
            Field::MetadataAt(path) => format!("metadata.{}", path.join(".")),
            _ => "text as its data".to_owned(),
        }
    }

    fn of<'e>(&self, fields: &'e EventFields<'_>) -> Option<Cow<'e, str>> {
        let event = fields.event;
        Some(match self {
            Field::Id => event.id().to_string().into(),
            Field::Stream => event.stream().into(),
            Field::Category => names::category_of(event.stream()).into(),
            Field::Key => names::id_of(event.stream()).into(),
            Field::Type => event.event_type().into(),
            Field::Version => event.version().to_string().into(),
            Field::Position => event.position().to_string().into(),
            Field::Time => event.event_time().to_string().into(),
            Field::CommitTime => event.commit_time().to_string().into(),
            Field::Correlation => event.correlation()?.into(),
            Field::Causation => event.causation()?.into(),
            Field::Tag(key) => event.tags().find(|(found, _)| found == key)?.1.into(),
            Field::Data => String::from_utf8(event.data().to_vec()).ok()?.into(),
            Field::DataAt(path) => text_at(fields.data()?, path)?,
            Field::MetadataAt(path) => text_at(fields.metadata()?, path)?,
        })
    }
}

impl Field {
    fn value_of(&self, fields: &EventFields<'_>) -> Option<Value> {
        let event = fields.event;
        match self {
            Field::Version => Some(event.version().into()),
            Field::Position => Some(event.position().into()),
            Field::Data => fields.data().cloned(),
            Field::DataAt(path) => value_at(fields.data()?, path).cloned(),
            Field::MetadataAt(path) => value_at(fields.metadata()?, path).cloned(),
            text => Some(Value::String(text.of(fields)?.into_owned())),
        }
    }
}

const FIELDS: &str = "id, stream, category, key, type, version, position, time, commit_time, correlation, causation, \
     tag.KEY, data, data.NAME or metadata.NAME";

/// Returns the text of a value behind a path: a text as it is, another value as JSON; `None` if it is missing or null.
fn text_at<'v>(value: &'v Value, path: &[String]) -> Option<Cow<'v, str>> {
    match value_at(value, path)? {
        Value::String(text) => Some(text.into()),
        other => Some(other.to_string().into()),
    }
}

/// Returns the value behind a path; `None` if it is missing or null.
fn value_at<'v>(value: &'v Value, path: &[String]) -> Option<&'v Value> {
    let found = path.iter().try_fold(value, |value, step| match value {
        Value::Array(items) => items.get(step.parse::<usize>().ok()?),
        value => value.get(step),
    })?;
    (!found.is_null()).then_some(found)
}

#[cfg(test)]
mod tests {
    use leftfold_api::NewEvent;
    use leftfold_fold::react::Cause;

    use super::*;

    fn render(template: &str) -> Result<String, String> {
        let data = r#"{"who":{"mail":"a@b"},"lines":[{"sku":7}],"note":null,"paid":true}"#;
        let event = Cause::of_new("order-1-2", NewEvent::json("Paid", data.to_owned())).event;
        Template::parse(template)?.render(&EventFields::new(&event))
    }

    #[test]
    fn fields_stand_in_braces() {
        for (template, text) in [
            ("", ""),
            ("{category}/{key}@{version}", "order/1-2@0"),
            ("{{{type}}}", "{Paid}"),
            ("{data.who.mail}", "a@b"),
            ("{data.lines.0.sku}{data.paid}", "7true"),
            ("{data.lines}", r#"[{"sku":7}]"#),
            ("<{data.note?}{tag.x?}{correlation?}>", "<>"),
        ] {
            assert_eq!(render(template).as_deref(), Ok(text), "{template}");
        }
    }

    #[test]
    fn a_field_alone_keeps_its_type() {
        let data = r#"{"who":{"mail":"a@b"},"note":null,"n":17}"#;
        let event = Cause::of_new("order-1", NewEvent::json("Paid", data.to_owned())).event;
        let value = |template: &str| {
            let value = Template::parse(template)?.value(&EventFields::new(&event))?;
            Ok::<_, String>(value.to_string())
        };
        for (template, json) in [
            ("{data.n}", "17"),
            ("{version}", "0"),
            ("{data.who}", r#"{"mail":"a@b"}"#),
            ("{data}", data),
            ("{data.note?}", "null"),
            ("{stream}", r#""order-1""#),
            ("n{data.n}", r#""n17""#),
        ] {
            assert_eq!(value(template).as_deref(), Ok(json), "{template}");
        }
        assert!(value("{data.note}").unwrap_err().contains("no data.note"));
    }

    #[test]
    fn what_is_missing_or_wrong_is_named() {
        for (template, part) in [
            ("{data.none.x}", "no data.none.x"),
            ("{data.note}", "no data.note"),
            ("{tag.shop}", "no tag shop"),
            ("{metadata.user}", "no metadata.user"),
            ("{nothing}", "no field of an event: id, stream"),
            ("{id", "without its other"),
            ("}", "without its other"),
            ("{data..x}", "no path"),
        ] {
            let refused = render(template).unwrap_err();
            assert!(refused.contains(part), "{template}: {refused}");
        }
    }
}
