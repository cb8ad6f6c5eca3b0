//! Parses a mapping: the rules that turn a file's records into events.
//!
//! A mapping is a TOML file; `docs-mapping.md` beside this crate is its reference. Parsing resolves
//! every name and compiles every pattern and path. So a mapping that parses works, and the readers
//! look up no names.
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
mod paths;

pub use error::MappingError;

use crate::plan::{Format, Kind, Plan};
use sha2::{Digest, Sha256};
use std::io::BufRead;

/// The built-in mappings by name.
const BUILTIN: [(&str, &str); 9] = [
    ("camt.052", include_str!("camt.052.toml")),
    ("camt.053", include_str!("camt.053.toml")),
    ("camt.053-by-reference", include_str!("camt.053-by-reference.toml")),
    ("camt.054", include_str!("camt.054.toml")),
    ("mt940", include_str!("mt940.toml")),
    ("mt942", include_str!("mt942.toml")),
    ("ofx", include_str!("ofx.toml")),
    ("pain.001", include_str!("pain.001.toml")),
    ("pain.008", include_str!("pain.008.toml")),
];

const fn names() -> [&'static str; BUILTIN.len()] {
    let mut names = [""; BUILTIN.len()];
    let mut at = 0;
    while at < names.len() {
        names[at] = BUILTIN[at].0;
        at += 1;
    }
    names
}

/// A parsed and validated mapping description.
#[derive(Debug)]
pub struct Mapping {
    name: String,
    /// The SHA-256 of its text.
    sha256: [u8; 32],
    plan: Plan,
}

impl Mapping {
    /// Parses and validates a mapping file.
    pub fn parse(toml: &str) -> Result<Mapping, MappingError> {
        let file: file::File =
            toml::from_str(toml).map_err(|error| MappingError::Syntax(Box::new(error)))?;
        let name = file.name.clone();
        let sha256 = Sha256::digest(toml.as_bytes()).into();
        Ok(Mapping { name, sha256, plan: compile::compile(file)? })
    }

    /// Returns the built-in mapping called `name`, one of [`Mapping::builtin_names`].
    pub fn builtin(name: &str) -> Option<Mapping> {
        Mapping::parse(Mapping::builtin_source(name)?).ok()
    }

    /// Returns the names of the built-in mappings.
    pub fn builtin_names() -> &'static [&'static str] {
        const NAMES: [&str; BUILTIN.len()] = names();
        &NAMES
    }

    /// Returns the text of a built-in mapping, as a template for a new one.
    pub fn builtin_source(name: &str) -> Option<&'static str> {
        BUILTIN.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
    }

    /// Returns the mapping's name, which is part of every id made with it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the mapping's version, which is part of no id.
    pub fn version(&self) -> u32 {
        self.plan.changes.version
    }

    /// Returns the SHA-256 of the mapping's text.
    pub fn sha256(&self) -> [u8; 32] {
        self.sha256
    }

    /// Returns the mapping with another zone for local times, such as `Europe/Berlin`.
    pub fn with_zone(mut self, zone: &str) -> Result<Mapping, MappingError> {
        self.plan.zone = compile::zone(zone)?;
        Ok(self)
    }

    /// Returns the mapping for records that stand alone, one after the other, such as those of a rejects file.
    ///
    /// `file` is the file that they come from; a CSV mapping reads the columns' names from it. The records of
    /// XML need what is around them, so there is no such mapping for them.
    pub fn for_single_records(mut self, file: impl BufRead) -> Result<Mapping, MappingError> {
        let columns = match &mut self.plan.format {
            Format::Ndjson(ndjson) => {
                ndjson.array = Some(false);
                None
            }
            Format::Csv(csv) if csv.columns.is_some() => None,
            Format::Csv(_) => {
                let columns = crate::read::columns(&self.plan, file);
                Some(columns.map_err(|problem| MappingError::at("csv", problem))?)
            }
            Format::Xml(_) => {
                let problem = "records of XML need what is around them; repair their file and ingest \
                               it again, no record is added twice";
                return Err(MappingError::at("format", problem));
            }
        };
        if let Format::Csv(csv) = &mut self.plan.format {
            csv.columns = columns.or(csv.columns.take());
            (csv.skip_lines, csv.find_header, csv.footer) = (0, false, None);
        }
        self.plan.encoding = None;
        Ok(self)
    }

    /// Returns the names of the payload's decimals, whose values are strings such as `-12.50`.
    pub fn decimals(&self) -> Vec<String> {
        let decimals = self.plan.data.iter().filter(|(_, field)| {
            self.plan.fields.get(*field).is_some_and(|field| matches!(field.kind, Kind::Decimal(_)))
        });
        // The bytes before a value are `,"name":`.
        let name = |lead: &[u8]| serde_json::from_slice(lead.get(1..lead.len() - 1)?).ok();
        decimals.filter_map(|(lead, _)| name(lead)).collect()
    }

    /// Returns the compiled form, which the readers follow.
    pub(crate) fn plan(&self) -> &Plan {
        &self.plan
    }
}
