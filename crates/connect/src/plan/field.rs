//! One field of a record: its source, its type and its checks.

use super::template::Template;
use crate::value::decimal::Exponent;
use crate::value::time::Shape;
use regex::Regex;
use std::collections::BTreeMap;

#[derive(Debug)]
pub(crate) struct Field {
    pub(crate) name: String,
    pub(crate) source: Source,
    /// Between repeated elements; without it the first one counts.
    pub(crate) join: Option<String>,
    pub(crate) kind: Kind,
    pub(crate) required: bool,
    pub(crate) default: Option<String>,
    pub(crate) map: Option<BTreeMap<String, String>>,
    pub(crate) one_of: Option<Vec<String>>,
    pub(crate) pattern: Option<Pattern>,
    pub(crate) lengths: Option<(usize, usize)>,
}

#[derive(Debug)]
pub(crate) enum Source {
    /// The reader puts it: paths, columns or pointers, the first that is present.
    Input(Vec<String>),
    /// Other fields: the first template whose fields are all present.
    Value(Vec<Template>),
    /// Another field decides which template it is.
    By(usize, BTreeMap<String, Template>),
    /// The reader counts it.
    Counted,
}

#[derive(Debug)]
pub(crate) enum Kind {
    Text,
    Decimal(Decimal),
    Integer,
    Boolean,
    Time(Shape, Option<String>),
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
    /// A field that the reader counts, such as the index of the record.
    pub(crate) fn counted(name: &str) -> Field {
        Field {
            name: name.to_owned(),
            source: Source::Counted,
            join: None,
            kind: Kind::Text,
            required: false,
            default: None,
            map: None,
            one_of: None,
            pattern: None,
            lengths: None,
        }
    }

    /// Whether a text that passed once may pass again without being checked: it needs a check worth
    /// saving, and must be kept as it is.
    pub(crate) fn is_remembered(&self) -> bool {
        let checked = self.pattern.is_some() || self.one_of.is_some() || self.lengths.is_some();
        match &self.kind {
            Kind::Text => checked && self.map.is_none(),
            Kind::Time(_, format) => format.is_none() && self.map.is_none(),
            Kind::Decimal(_) | Kind::Integer | Kind::Boolean => false,
        }
    }

    /// The fields that must be known before this one.
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
