//! The mapping file as deserialized from TOML. Unknown keys are errors everywhere.

use crate::plan::xml::Markup;
use serde::Deserialize;
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use std::collections::BTreeMap;
use std::fmt;

use crate::changes::{FIRST_VERSION, OnChange};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct File {
    pub(super) name: String,
    #[serde(default = "first_version")]
    pub(super) version: u32,
    pub(super) format: FormatName,
    #[serde(default = "utc")]
    pub(super) zone: String,
    pub(super) encoding: Option<String>,
    pub(super) max_record_bytes: Option<usize>,
    pub(super) stream: String,
    pub(super) data: Data,
    #[serde(default)]
    pub(super) skip: Rules,
    #[serde(default)]
    pub(super) metadata: Vec<String>,
    pub(super) event: Event,
    pub(super) id: Id,
    #[serde(default)]
    pub(super) changed: Changed,
    #[serde(default)]
    pub(super) tags: BTreeMap<String, String>,
    #[serde(default)]
    pub(super) field: BTreeMap<String, Field>,
    pub(super) xml: Option<Xml>,
    pub(super) csv: Option<Csv>,
    pub(super) ndjson: Option<Ndjson>,
    pub(super) balance: Option<Balance>,
    pub(super) statement: Option<Statement>,
}

fn first_version() -> u32 {
    FIRST_VERSION
}

fn utc() -> String {
    "UTC".to_owned()
}

#[derive(Clone, Copy, Deserialize, PartialEq)]
#[serde(rename_all = "lowercase")]
pub(super) enum FormatName {
    Xml,
    Ofx,
    Mt,
    Csv,
    Ndjson,
}

impl FormatName {
    /// Returns how the file writes its elements, if it has some.
    pub(super) fn markup(self) -> Option<Markup> {
        match self {
            FormatName::Xml => Some(Markup::Xml),
            FormatName::Ofx => Some(Markup::Ofx),
            FormatName::Mt => Some(Markup::Mt),
            FormatName::Csv | FormatName::Ndjson => None,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Event {
    #[serde(rename = "type")]
    pub(super) constant: Option<String>,
    pub(super) type_field: Option<String>,
    #[serde(default)]
    pub(super) types: BTreeMap<String, String>,
    /// The type for other values of `type_field`.
    pub(super) other: Option<String>,
    pub(super) correlation: Option<OneOrMany>,
    pub(super) time: OneOrMany,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Id {
    #[serde(default)]
    pub(super) keys: Vec<Vec<String>>,
    #[serde(default)]
    pub(super) kinds: Vec<Vec<String>>,
    pub(super) corrected: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Changed {
    pub(super) records: Option<OnChange>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Statement {
    pub(super) id: Option<String>,
    pub(super) message: Option<String>,
    pub(super) sequence: Option<String>,
    pub(super) page: Option<String>,
    pub(super) from: Option<String>,
    pub(super) to: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Xml {
    pub(super) record: String,
    pub(super) group: Option<String>,
    pub(super) split: Option<Split>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Split {
    pub(super) path: String,
    pub(super) sum: Option<[String; 2]>,
    #[serde(default)]
    pub(super) same: Vec<[String; 2]>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Csv {
    #[serde(default = "comma")]
    pub(super) delimiter: char,
    #[serde(default = "double_quote")]
    pub(super) quote: char,
    pub(super) columns: Option<Vec<String>>,
    #[serde(default)]
    pub(super) skip_lines: usize,
    #[serde(default)]
    pub(super) find_header: bool,
    pub(super) footer: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Ndjson {
    pub(super) array: Option<bool>,
    pub(super) split: Option<String>,
}

fn comma() -> char {
    ','
}

fn double_quote() -> char {
    '"'
}

impl Default for Csv {
    fn default() -> Self {
        Csv {
            delimiter: comma(),
            quote: double_quote(),
            columns: None,
            skip_lines: 0,
            find_header: false,
            footer: None,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Balance {
    pub(super) element: String,
    pub(super) kind: String,
    pub(super) amount: String,
    pub(super) direction: String,
    pub(super) negative: String,
    pub(super) currency: Option<String>,
    pub(super) opening: OneOrMany,
    pub(super) closing: OneOrMany,
    pub(super) entry: String,
    pub(super) entry_currency: Option<String>,
    pub(super) when: Option<Equals>,
    pub(super) subject: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Equals {
    pub(super) field: String,
    pub(super) is: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Field {
    pub(super) path: Option<OneOrMany>,
    pub(super) value: Option<OneOrMany>,
    pub(super) by: Option<String>,
    pub(super) values: Option<BTreeMap<String, String>>,
    pub(super) join: Option<String>,
    #[serde(rename = "type", default)]
    pub(super) kind: KindName,
    #[serde(default)]
    pub(super) required: bool,
    pub(super) absent: Option<String>,
    pub(super) extract: Option<String>,
    #[serde(default)]
    pub(super) lenient: bool,
    pub(super) default: Option<String>,
    pub(super) map: Option<BTreeMap<String, String>>,
    pub(super) one_of: Option<Vec<String>>,
    pub(super) pattern: Option<String>,
    pub(super) min_length: Option<usize>,
    pub(super) max_length: Option<usize>,
    pub(super) max_scale: Option<usize>,
    #[serde(default)]
    pub(super) not_negative: bool,
    pub(super) decimal_separator: Option<char>,
    pub(super) group_separator: Option<char>,
    pub(super) negative_when: Option<Equals>,
    pub(super) format: Option<OneOrMany>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq)]
#[serde(rename_all = "snake_case")]
pub(super) enum KindName {
    #[default]
    Text,
    Decimal,
    Integer,
    Boolean,
    Date,
    Datetime,
    DateOrDatetime,
    Json,
}

/// The payload: the record as it is, or a list of fields.
pub(super) enum Data {
    Record,
    Fields(Vec<String>),
}

impl<'de> Deserialize<'de> for Data {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = Data;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of fields, or \"record\" for the whole record")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Data, E> {
                match text {
                    "record" => Ok(Data::Record),
                    _ => Err(E::invalid_value(serde::de::Unexpected::Str(text), &self)),
                }
            }

            fn visit_seq<A: SeqAccess<'de>>(self, many: A) -> Result<Data, A::Error> {
                Vec::deserialize(SeqAccessDeserializer::new(many)).map(Data::Fields)
            }
        }
        deserializer.deserialize_any(Either)
    }
}

/// A rule of `skip`: the values of a field whose records are skipped.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Skip {
    pub(super) field: String,
    pub(super) is: Option<OneOrMany>,
    #[serde(default)]
    pub(super) absent: bool,
}

/// One rule or a list of rules.
#[derive(Default)]
pub(super) struct Rules(pub(super) Vec<Skip>);

impl<'de> Deserialize<'de> for Rules {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = Rules;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a rule such as { field = \"kind\", is = \"X\" }, or a list of rules")
            }

            fn visit_map<A: MapAccess<'de>>(self, one: A) -> Result<Rules, A::Error> {
                Skip::deserialize(MapAccessDeserializer::new(one)).map(|rule| Rules(vec![rule]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, many: A) -> Result<Rules, A::Error> {
                Vec::deserialize(SeqAccessDeserializer::new(many)).map(Rules)
            }
        }
        deserializer.deserialize_any(Either)
    }
}

/// A string or a list of strings. The hand-written `Deserialize` names both in its error.
pub(super) struct OneOrMany(pub(super) Vec<String>);

impl<'de> Deserialize<'de> for OneOrMany {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = OneOrMany;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string or a list of strings")
            }

            fn visit_str<E>(self, one: &str) -> Result<OneOrMany, E> {
                Ok(OneOrMany(vec![one.to_owned()]))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, many: A) -> Result<OneOrMany, A::Error> {
                Vec::deserialize(SeqAccessDeserializer::new(many)).map(OneOrMany)
            }
        }
        deserializer.deserialize_any(Either)
    }
}
