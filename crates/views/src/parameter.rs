//! The parameters of statements: what of an event each of them takes.

use std::borrow::Cow;
use std::fmt;

use leftfold_api::Recorded;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// What a parameter takes of an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Parameter {
    /// A value of the payload, by its path.
    Data(Vec<String>),
    /// A value of the metadata, by its path.
    Metadata(Vec<String>),
    /// The first tag with a key.
    Tag(String),
    Stream,
    /// What stands behind the category in the stream's name.
    StreamId,
    Type,
    Version,
    Position,
    EventTime,
    CommitTime,
    Correlation,
    Causation,
    Id,
    /// The start of its window, if that is the only one.
    Window,
    /// The starts of its open windows, as a JSON list.
    Windows,
    /// The key that its windows belong to.
    WindowKey,
}

/// The most steps of a path.
const MAX_STEPS: usize = 64;

/// The names of parameters, for messages.
const NAMES: &str = ":data.PATH, :meta.PATH, :tags.KEY, :stream, :stream_id, :type, :version, :position, \
                     :event_time, :commit_time, :correlation, :causation and :id; \
                     and with @window :window, :windows and :window_key";

impl Parameter {
    /// Whether it takes something of the windows of an event, and nothing of the event itself.
    pub(crate) fn is_of_windows(&self) -> bool {
        matches!(self, Parameter::Window | Parameter::Windows | Parameter::WindowKey)
    }

    /// Returns the parameter of a path; the error is a sentence.
    pub(crate) fn of(path: &[String]) -> Result<Self, String> {
        if path.len() > MAX_STEPS {
            return Err(format!("a path has at most {MAX_STEPS} steps"));
        }
        let (first, rest) = path.split_first().ok_or("a parameter has no name")?;
        let parameter = match (first.as_str(), rest) {
            ("data", path) => Parameter::Data(path.to_vec()),
            ("meta", path) => Parameter::Metadata(path.to_vec()),
            ("tags", [key]) => Parameter::Tag(key.clone()),
            ("stream", []) => Parameter::Stream,
            ("stream_id", []) => Parameter::StreamId,
            ("type", []) => Parameter::Type,
            ("version", []) => Parameter::Version,
            ("position", []) => Parameter::Position,
            ("event_time", []) => Parameter::EventTime,
            ("commit_time", []) => Parameter::CommitTime,
            ("correlation", []) => Parameter::Correlation,
            ("causation", []) => Parameter::Causation,
            ("id", []) => Parameter::Id,
            ("window", []) => Parameter::Window,
            ("windows", []) => Parameter::Windows,
            ("window_key", []) => Parameter::WindowKey,
            _ => return Err(format!(":{} is no parameter; there are {NAMES}", path.join("."))),
        };
        Ok(parameter)
    }
}

impl fmt::Display for Parameter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = |f: &mut fmt::Formatter<'_>, of: &str, path: &[String]| {
            write!(f, ":{of}")?;
            path.iter().try_for_each(|step| write!(f, ".{step}"))
        };
        match self {
            Parameter::Data(steps) => path(f, "data", steps),
            Parameter::Metadata(steps) => path(f, "meta", steps),
            Parameter::Tag(key) => write!(f, ":tags.{key}"),
            Parameter::Stream => f.write_str(":stream"),
            Parameter::StreamId => f.write_str(":stream_id"),
            Parameter::Type => f.write_str(":type"),
            Parameter::Version => f.write_str(":version"),
            Parameter::Position => f.write_str(":position"),
            Parameter::EventTime => f.write_str(":event_time"),
            Parameter::CommitTime => f.write_str(":commit_time"),
            Parameter::Correlation => f.write_str(":correlation"),
            Parameter::Causation => f.write_str(":causation"),
            Parameter::Id => f.write_str(":id"),
            Parameter::Window => f.write_str(":window"),
            Parameter::Windows => f.write_str(":windows"),
            Parameter::WindowKey => f.write_str(":window_key"),
        }
    }
}

/// A value of an event, as SQL gets it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Value<'e> {
    Null,
    Integer(i64),
    /// A text, a decimal that is no small integer, or a list or object as JSON.
    Text(Cow<'e, str>),
}

impl From<String> for Value<'_> {
    fn from(text: String) -> Self {
        Value::Text(Cow::Owned(text))
    }
}

impl<'e> From<Option<&'e str>> for Value<'e> {
    fn from(text: Option<&'e str>) -> Self {
        text.map_or(Value::Null, |text| Value::Text(Cow::Borrowed(text)))
    }
}

impl<'e> Value<'e> {
    /// Returns the value without its event.
    pub(crate) fn into_owned(self) -> Value<'static> {
        match self {
            Value::Null => Value::Null,
            Value::Integer(integer) => Value::Integer(integer),
            Value::Text(text) => Value::Text(Cow::Owned(text.into_owned())),
        }
    }

    /// Returns the value of a piece of JSON. No number becomes a float: what is no integer stays the text that
    /// it is.
    pub(crate) fn of_json(raw: &'e str) -> Self {
        match raw.as_bytes().first() {
            Some(b'"') => serde_json::from_str::<Text<'_>>(raw)
                .map_or(Value::Null, |text| Value::Text(text.0)),
            Some(b't') => Value::Integer(1),
            Some(b'f') => Value::Integer(0),
            Some(b'n') | None => Value::Null,
            Some(b'-' | b'0'..=b'9') => match raw.parse() {
                Ok(integer) => Value::Integer(integer),
                Err(_) => Value::Text(Cow::Borrowed(raw)),
            },
            Some(_) => Value::Text(Cow::Borrowed(raw)),
        }
    }
}

/// A text that is borrowed where it has no escapes.
#[derive(serde::Deserialize)]
struct Text<'e>(#[serde(borrow)] Cow<'e, str>);

/// The paths into a JSON document, as a tree.
#[derive(Debug, Clone, Default)]
pub(crate) struct PathTree {
    root: Node,
    slots: usize,
}

#[derive(Debug, Clone, Default)]
struct Node {
    slot: Option<usize>,
    children: Vec<(String, Node)>,
}

impl PathTree {
    /// Returns the slot of a path, and adds it if it is new.
    pub(crate) fn slot(&mut self, path: &[String]) -> usize {
        let node = path.iter().fold(&mut self.root, |node, step| {
            let found = node.children.iter().position(|(name, _)| name == step);
            let at = found.unwrap_or_else(|| {
                node.children.push((step.clone(), Node::default()));
                node.children.len() - 1
            });
            &mut node.children[at].1
        });
        *node.slot.get_or_insert_with(|| {
            self.slots += 1;
            self.slots - 1
        })
    }

    /// Finds the values of all paths in a document; the error is that of the JSON.
    pub(crate) fn find<'e>(
        &self,
        json: &'e [u8],
    ) -> Result<Vec<Option<&'e str>>, serde_json::Error> {
        let mut found = vec![None; self.slots];
        if self.slots > 0 {
            self.root.find(json, &mut found)?;
        }
        Ok(found)
    }
}

impl Node {
    fn find<'e>(
        &self,
        json: &'e [u8],
        found: &mut [Option<&'e str>],
    ) -> Result<(), serde_json::Error> {
        let mut deserializer = serde_json::Deserializer::from_slice(json);
        Seed { node: self, found }.deserialize(&mut deserializer)?;
        deserializer.end()
    }

    fn child(&self, name: &str) -> Option<&Node> {
        self.children.iter().find(|(child, _)| child == name).map(|(_, node)| node)
    }
}

/// Finds the values of a node's paths.
struct Seed<'p, 'f, 'e> {
    node: &'p Node,
    found: &'f mut [Option<&'e str>],
}

impl<'e> DeserializeSeed<'e> for Seed<'_, '_, 'e> {
    type Value = ();

    fn deserialize<D: Deserializer<'e>>(self, deserializer: D) -> Result<(), D::Error> {
        let Some(slot) = self.node.slot else { return deserializer.deserialize_any(self) };
        let raw: &'e RawValue = serde::Deserialize::deserialize(deserializer)?;
        if let Some(found) = self.found.get_mut(slot) {
            *found = Some(raw.get());
        }
        if self.node.children.is_empty() {
            return Ok(());
        }
        let below = Node { slot: None, children: self.node.children.clone() };
        below.find(raw.get().as_bytes(), self.found).map_err(serde::de::Error::custom)
    }
}

impl<'e> Visitor<'e> for Seed<'_, '_, 'e> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'e>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key::<Text<'e>>()? {
            match self.node.child(&name.0) {
                Some(node) => map.next_value_seed(Seed { node, found: self.found })?,
                None => _ = map.next_value::<IgnoredAny>()?,
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'e>>(self, mut list: A) -> Result<(), A::Error> {
        for at in 0usize.. {
            let more = match self.node.child(&at.to_string()) {
                Some(node) => list.next_element_seed(Seed { node, found: self.found })?.is_some(),
                None => list.next_element::<IgnoredAny>()?.is_some(),
            };
            if !more {
                break;
            }
        }
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}

/// What the statements of a handler take of an event, each value once.
#[derive(Debug, Clone, Default)]
pub(crate) struct Inputs {
    data: PathTree,
    metadata: PathTree,
    places: Vec<(Parameter, Place)>,
}

/// Where the value of a parameter is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Data(usize),
    Metadata(usize),
    Field,
}

impl Inputs {
    /// Adds a parameter; returns its number.
    pub(crate) fn add(&mut self, parameter: &Parameter) -> usize {
        if let Some(known) = self.places.iter().position(|(known, _)| known == parameter) {
            return known;
        }
        let place = match parameter {
            Parameter::Data(path) => Place::Data(self.data.slot(path)),
            Parameter::Metadata(path) => Place::Metadata(self.metadata.slot(path)),
            _ => Place::Field,
        };
        self.places.push((parameter.clone(), place));
        self.places.len() - 1
    }

    /// Returns the parameters.
    pub(crate) fn parameters(&self) -> impl Iterator<Item = &Parameter> {
        self.places.iter().map(|(parameter, _)| parameter)
    }

    /// Returns the value of each parameter. `data` and `metadata` are the event's.
    pub(crate) fn values<'e>(
        &self,
        event: &'e Recorded,
        data: &'e [u8],
        metadata: &'e [u8],
    ) -> Result<Vec<Value<'e>>, String> {
        let data =
            self.data.find(data).map_err(|error| format!("its payload is no JSON: {error}"))?;
        // Metadata may be anything; what is no JSON has no paths.
        let metadata = self.metadata.find(metadata).unwrap_or_default();
        let json = |raw: Option<&Option<&'e str>>| {
            raw.copied().flatten().map_or(Value::Null, Value::of_json)
        };
        Ok(self
            .places
            .iter()
            .map(|(parameter, place)| match place {
                Place::Data(slot) => json(data.get(*slot)),
                Place::Metadata(slot) => json(metadata.get(*slot)),
                Place::Field => field(parameter, event),
            })
            .collect())
    }
}

/// Returns a value that is no part of a document.
fn field<'e>(parameter: &Parameter, event: &'e Recorded) -> Value<'e> {
    let integer = |number: u64| Value::Integer(i64::try_from(number).unwrap_or(i64::MAX));
    match parameter {
        Parameter::Tag(key) => event.tags().find(|tag| tag.0 == key).map(|tag| tag.1).into(),
        Parameter::Stream => Some(event.stream()).into(),
        Parameter::StreamId => Some(stream_id(event.stream())).into(),
        Parameter::Type => Some(event.event_type()).into(),
        Parameter::Version => integer(event.version()),
        Parameter::Position => integer(event.position()),
        Parameter::EventTime => event.event_time().to_string().into(),
        Parameter::CommitTime => event.commit_time().to_string().into(),
        Parameter::Correlation => event.correlation().into(),
        Parameter::Causation => event.causation().into(),
        Parameter::Id => event.id().to_string().into(),
        // These are no part of the event: the runner of a view with windows sets them.
        Parameter::Window | Parameter::Windows | Parameter::WindowKey => Value::Null,
        Parameter::Data(_) | Parameter::Metadata(_) => Value::Null,
    }
}

/// Returns what stands behind the category in a stream's name; the whole name if it has none.
pub(crate) fn stream_id(stream: &str) -> &str {
    stream.split_once('-').map_or(stream, |(_, id)| id)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(paths: &[&str], json: &str) -> Vec<Option<String>> {
        let mut tree = PathTree::default();
        let steps = |path: &str| -> Vec<String> {
            path.split('.').filter(|step| !step.is_empty()).map(str::to_owned).collect()
        };
        let slots: Vec<_> = paths.iter().map(|path| tree.slot(&steps(path))).collect();
        let found = tree.find(json.as_bytes()).unwrap();
        slots.into_iter().map(|slot| found[slot].map(str::to_owned)).collect()
    }

    #[test]
    fn paths_lead_to_values_of_objects_and_lists() {
        let json = r#"{"a":{"b":[1,{"c":9.90}],"d":"x"},"e":null}"#;
        let found = find(&["a.b.1.c", "a.d", "e", "f.g", "a.b", "", "a.d.z"], json);
        let texts: Vec<_> = found.iter().map(|one| one.as_deref().unwrap_or("-")).collect();
        assert_eq!(texts, ["9.90", "\"x\"", "null", "-", r#"[1,{"c":9.90}]"#, json, "-"]);
    }

    #[test]
    fn no_number_becomes_a_float() {
        for (json, value) in [
            ("12", Value::Integer(12)),
            ("-1", Value::Integer(-1)),
            ("0.1000000000000000055", Value::Text("0.1000000000000000055".into())),
            ("1e3", Value::Text("1e3".into())),
            ("92233720368547758070", Value::Text("92233720368547758070".into())),
            ("true", Value::Integer(1)),
            ("null", Value::Null),
            (r#""a\"b""#, Value::Text("a\"b".into())),
            (r#"["x"]"#, Value::Text(r#"["x"]"#.into())),
        ] {
            assert_eq!(Value::of_json(json), value, "{json}");
        }
    }
}
