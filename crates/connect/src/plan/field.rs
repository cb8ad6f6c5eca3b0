//! One field of a record: its source, its type and its checks.

use super::template::Template;
use crate::value::decimal::Exponent;
use crate::value::format::TimeFormat;
use crate::value::time::Shape;
use regex::Regex;
use std::collections::BTreeMap;

#[derive(Debug)]
pub(crate) struct Field {
    pub(crate) name: String,
    pub(crate) source: Source,
    /// The separator between repeated elements; without it the first element counts.
    pub(crate) join: Option<String>,
    pub(crate) kind: Kind,
    /// Values that stand for none.
    pub(crate) absent: Option<Regex>,
    /// Its first group is the value; a text that does not match is none.
    pub(crate) extract: Option<Regex>,
    /// Whether a value that can't be read is left out, with a warning, instead of refusing the record.
    pub(crate) lenient: bool,
    pub(crate) required: bool,
    pub(crate) default: Option<String>,
    pub(crate) map: Option<BTreeMap<String, String>>,
    pub(crate) one_of: Option<Vec<String>>,
    pub(crate) pattern: Option<Pattern>,
    pub(crate) lengths: Option<(usize, usize)>,
}

#[derive(Debug)]
pub(crate) enum Source {
    /// The input: paths, columns or pointers, of which the first that is present counts.
    Input(Vec<String>),
    /// Other fields: the first template whose fields are all present.
    Value(Vec<Template>),
    /// The template that the value of another field selects.
    By(usize, BTreeMap<String, Template>),
    /// A counter of the reader.
    Counted,
}

#[derive(Debug)]
pub(crate) enum Kind {
    Text,
    Decimal(Decimal),
    Integer,
    Boolean,
    /// Any JSON value, kept as written without white space.
    Json,
    /// A date or time in one of these formats; none is ISO 8601.
    Time(Shape, Vec<TimeFormat>),
}

#[derive(Debug)]
pub(crate) struct Decimal {
    pub(crate) max_scale: usize,
    pub(crate) exponent: Exponent,
    pub(crate) not_negative: bool,
    pub(crate) separators: Option<(char, Option<char>)>,
    pub(crate) negative_when: Option<Equals>,
}

/// A condition: the field has this value.
#[derive(Debug)]
pub(crate) struct Equals {
    pub(crate) field: usize,
    pub(crate) is: String,
}

#[derive(Debug)]
pub(crate) struct Pattern {
    pub(crate) written: String,
    pub(crate) regex: Regex,
}

impl Field {
    /// Returns a field that the reader counts, such as the index of the record.
    pub(crate) fn counted(name: &str) -> Field {
        Field {
            name: name.to_owned(),
            source: Source::Counted,
            join: None,
            kind: Kind::Text,
            absent: None,
            extract: None,
            lenient: false,
            required: false,
            default: None,
            map: None,
            one_of: None,
            pattern: None,
            lengths: None,
        }
    }

    /// Returns the field that is the whole record, as JSON.
    pub(crate) fn whole_record() -> Field {
        Field {
            source: Source::Input(Vec::new()),
            kind: Kind::Json,
            required: true,
            ..Field::counted("record")
        }
    }

    /// Returns whether a text that passed once may pass again without a check.
    ///
    /// The check must be worth saving, and the value must stay as written.
    pub(crate) fn is_worth_caching(&self) -> bool {
        let checked = self.pattern.is_some() || self.one_of.is_some() || self.lengths.is_some();
        match &self.kind {
            Kind::Text => checked && self.map.is_none(),
            Kind::Time(_, formats) => formats.is_empty() && self.map.is_none(),
            Kind::Decimal(_) | Kind::Integer | Kind::Boolean | Kind::Json => false,
        }
    }

    /// Returns the fields that must be computed before this one.
    pub(crate) fn depends_on(&self) -> Vec<usize> {
        let mut fields: Vec<usize> = match &self.source {
            Source::Value(templates) => templates.iter().flat_map(Template::fields).collect(),
            Source::By(field, templates) => {
                templates.values().flat_map(Template::fields).chain([*field]).collect()
            }
            Source::Input(_) | Source::Counted => Vec::new(),
        };
        if let Kind::Decimal(Decimal { negative_when: Some(when), .. }) = &self.kind {
            fields.push(when.field);
        }
        fields
    }
}
