//! A compiled mapping, with every name resolved and every path compiled.
//!
//! Module `mapping` makes a plan from a mapping file; the readers and the assembler follow it. A
//! plan knows neither of them.

pub(crate) mod csv;
mod field;
pub(crate) mod ndjson;
pub(crate) mod template;
pub(crate) mod xml;

pub(crate) use field::{Decimal, Equals, Field, Kind, Pattern, Source};

use crate::changes::Changes;
use crate::record::Values;
use csv::CsvPlan;
use encoding_rs::Encoding;
use jiff::tz::TimeZone;
use ndjson::NdjsonPlan;
use std::collections::BTreeMap;
use template::Template;
use uuid::Uuid;
use xml::XmlPlan;

/// The rules that turn the records of a file into events.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) namespace: Uuid,
    pub(crate) format: Format,
    pub(crate) zone: TimeZone,
    pub(crate) encoding: Option<&'static Encoding>,
    pub(crate) max_record_bytes: usize,
    pub(crate) fields: Vec<Field>,
    /// The fields in the order of evaluation: each comes after the fields it depends on.
    pub(crate) order: Vec<usize>,
    /// The field that holds the record's number in its group.
    pub(crate) index: usize,
    /// The field that holds the part's number in its record.
    pub(crate) part: usize,
    pub(crate) stream: Template,
    pub(crate) event_type: EventType,
    pub(crate) time: Vec<usize>,
    pub(crate) identity: Identity,
    pub(crate) changes: Changes,
    pub(crate) statement: StatementFields,
    /// What links the records of one matter: the first template whose fields are all present.
    pub(crate) correlation: Vec<Template>,
    pub(crate) tags: Vec<(String, Template)>,
    /// The names and fields of the metadata.
    pub(crate) metadata: Vec<(String, usize)>,
    pub(crate) skip: SkipRules,
    /// The field that is the payload, if the payload is the whole record.
    pub(crate) whole: Option<usize>,
    /// The bytes before each value in the payload, such as `,"amount":`, and the field.
    pub(crate) data: Vec<(Vec<u8>, usize)>,
}

#[derive(Debug)]
pub(crate) enum Format {
    Xml(Box<XmlPlan>),
    Csv(CsvPlan),
    Ndjson(NdjsonPlan),
}

#[derive(Debug)]
pub(crate) enum EventType {
    Always(Template),
    /// By the value of a field; other values, and its absence, give the second type, if there is one.
    By(usize, BTreeMap<String, Template>, Option<Template>),
}

/// How a record is told from others. The first key whose fields are all present counts.
#[derive(Debug)]
pub(crate) enum Identity {
    /// A key belongs to one record.
    Keys(Vec<Vec<KeyPart>>),
    /// Several records may have a key: the n-th of a statement is the n-th of an overlapping one.
    Kinds(Vec<Vec<KeyPart>>, Kinds),
}

/// The rules for equal records.
#[derive(Debug)]
pub(crate) struct Kinds {
    /// Whether only statements that overlap have records in common; else all files have.
    pub(crate) by_statement: bool,
}

/// The fields in which a statement says what it is.
#[derive(Debug, Default)]
pub(crate) struct StatementFields {
    pub(crate) id: Option<usize>,
    pub(crate) message: Option<usize>,
    pub(crate) sequence: Option<usize>,
    pub(crate) page: Option<usize>,
    pub(crate) from: Option<usize>,
    pub(crate) to: Option<usize>,
}

/// The rules for records that become no events.
#[derive(Debug, Default)]
pub(crate) struct SkipRules {
    pub(crate) rules: Vec<SkipRule>,
    /// How many fields of the order of evaluation the rules need; they come first.
    pub(crate) fields: usize,
}

/// A rule that skips a record by the value of one field.
#[derive(Debug)]
pub(crate) struct SkipRule {
    pub(crate) field: usize,
    pub(crate) is: Vec<String>,
    pub(crate) absent: bool,
}

impl SkipRules {
    /// Returns whether a record with these values is skipped.
    pub(crate) fn apply(&self, values: &Values) -> bool {
        self.rules.iter().any(|rule| match values.get(rule.field) {
            Some(value) => rule.is.iter().any(|is| is == value),
            None => rule.absent,
        })
    }
}

#[derive(Debug)]
pub(crate) struct KeyPart {
    pub(crate) field: usize,
    pub(crate) optional: bool,
}
