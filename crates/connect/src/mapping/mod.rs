//! The mapping description: how a file's records become events.
//!
//! A mapping is a TOML file; `docs-mapping.md` beside this crate is its reference. Parsing it here
//! resolves every name and compiles every pattern and path, so that a mapping that parses works,
//! and reading a million records looks nothing up by name.
//!
//! ```
//! use leftfold_connect::Mapping;
//!
//! let mapping = Mapping::parse(r#"
//!     name = "orders"
//!     format = "csv"
//!     stream = "order-{number}"
//!     data = ["number", "total"]
//!     event = { type = "OrderImported", time = "day" }
//!     id = { keys = [["number"]] }
//!     [field]
//!     number = { path = "No", required = true }
//!     total = { path = "Total", type = "decimal", max_scale = 2 }
//!     day = { path = "Date", type = "date", required = true }
//! "#)?;
//! assert_eq!(mapping.name(), "orders");
//! # Ok::<(), leftfold_connect::MappingError>(())
//! ```

mod compile;
mod error;
mod field;
mod file;
mod template;

pub use error::MappingError;
pub(crate) use field::{Decimal, Equals, Field, Kind, Pattern, Source};
pub(crate) use template::Template;

use crate::{csv, ndjson, xml};
use encoding_rs::Encoding;
use jiff::tz::TimeZone;
use std::collections::BTreeMap;
use uuid::Uuid;

/// The namespace of all ids made here: UUIDv5 of the mapping's name in it is the namespace of that
/// mapping's records. Frozen; another value would make every file new.
const NAMESPACE: Uuid = Uuid::from_u128(0x8f1c_6d0e_52b7_4a39_9d84_1ef0_7c53_a6b2);

const CAMT_053: &str = include_str!("camt.053.toml");

/// A parsed and validated mapping description.
#[derive(Debug)]
pub struct Mapping {
    pub(crate) name: String,
    pub(crate) namespace: Uuid,
    pub(crate) format: Format,
    pub(crate) zone: TimeZone,
    pub(crate) encoding: Option<&'static Encoding>,
    pub(crate) max_record_bytes: usize,
    pub(crate) fields: Vec<Field>,
    /// The fields, each behind those it depends on.
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
    /// What precedes each value in the payload, such as `,"amount":`, and the field.
    pub(crate) data: Vec<(Vec<u8>, usize)>,
}

#[derive(Debug)]
pub(crate) enum Format {
    Xml(Box<xml::Plan>),
    Csv(csv::Plan),
    Ndjson(ndjson::Plan),
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

impl Mapping {
    /// Parses and validates a mapping file.
    pub fn parse(toml: &str) -> Result<Mapping, MappingError> {
        let file = toml::from_str(toml).map_err(Box::new)?;
        compile::compile(file)
    }

    /// The built-in mapping called `name`, one of [`Mapping::builtin_names`].
    pub fn builtin(name: &str) -> Option<Mapping> {
        match name {
            "camt.053" => Mapping::parse(CAMT_053).ok(),
            _ => None,
        }
    }

    /// The names of the built-in mappings.
    pub fn builtin_names() -> &'static [&'static str] {
        &["camt.053"]
    }

    /// The text of a built-in mapping, as a start for one's own.
    pub fn builtin_source(name: &str) -> Option<&'static str> {
        (name == "camt.053").then_some(CAMT_053)
    }

    /// The mapping's name, which is part of every id made with it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The same mapping for files whose local times are in another zone, such as `Europe/Berlin`.
    pub fn with_zone(mut self, zone: &str) -> Result<Mapping, MappingError> {
        self.zone = compile::zone(zone)?;
        Ok(self)
    }
}
