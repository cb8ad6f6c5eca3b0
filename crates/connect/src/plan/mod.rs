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
    pub(crate) keys: Vec<Vec<KeyPart>>,
    pub(crate) tags: Vec<(String, Template)>,
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
    Always(String),
    By(usize, BTreeMap<String, String>),
}

#[derive(Debug)]
pub(crate) struct KeyPart {
    pub(crate) field: usize,
    pub(crate) optional: bool,
}
