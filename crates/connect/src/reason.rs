//! The reason codes of rejects.

use std::fmt;

/// A stable reason for a refusal.
///
/// The code ([`Reason::code`]) goes into rejects files and never changes its meaning. The sentence
/// beside it is for people and may change. [`Reason::ALL`] lists all reasons.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// The rest of the file cannot be read: not well-formed, cut short, or in an unknown encoding.
    /// Records before this point were delivered.
    MalformedInput,
    /// The record cannot be parsed: wrong number of columns, not JSON, not UTF-8.
    MalformedRecord,
    /// The record is longer than the mapping's `max_record_bytes`.
    RecordTooLarge,
    /// The record's elements are nested more than 128 deep.
    NestedTooDeep,
    /// A value uses an entity other than XML's own five. Entities are never expanded.
    UnknownEntity,
    /// A required field is absent or empty.
    MissingField,
    /// The field holds a JSON object or array where one value is needed.
    NotAScalar,
    /// The field is not a decimal number.
    BadDecimal,
    /// The decimal has more places than the field's `max_scale`.
    TooManyDecimals,
    /// The decimal is below zero where the field has `not_negative`.
    Negative,
    /// The field is not a whole number between -2^63 and 2^63-1.
    BadInteger,
    /// The field is not `true`, `false`, `1` or `0`.
    BadBoolean,
    /// The field is not JSON that can be read.
    BadJson,
    /// The field is not a date, or not a date and time, in the expected form.
    BadDate,
    /// The field does not match its `pattern`.
    PatternMismatch,
    /// The field is not one of the values in its `one_of` or `map`.
    NotAllowed,
    /// The field is shorter than `min_length` or longer than `max_length`.
    BadLength,
    /// The mapping has no event type for the value of its type field.
    UnknownEventType,
    /// None of the fields that may give the event time is present.
    MissingEventTime,
    /// The event time lies outside the years that can be represented.
    EventTimeOutOfRange,
    /// No natural key has all its fields, so a repeat could not be recognised.
    MissingKey,
    /// A statement's opening balance plus its entries differs from its closing balance. The reader
    /// finds this at the end of the statement, after it delivered the entries.
    BalanceMismatch,
    /// The file holds nothing of what the mapping looks for: it is of another kind, or empty.
    NothingFound,
    /// A statement has more different records than can be told apart in memory.
    StatementTooLarge,
    /// The store holds an event with the record's key and other content.
    IdReused,
    /// The store refuses the event: a name or a size exceeds its limits.
    Refused,
}

impl Reason {
    /// Every reason, in the order of the reference.
    pub const ALL: &'static [Reason] = &[
        Reason::MalformedInput,
        Reason::MalformedRecord,
        Reason::RecordTooLarge,
        Reason::NestedTooDeep,
        Reason::UnknownEntity,
        Reason::MissingField,
        Reason::NotAScalar,
        Reason::BadDecimal,
        Reason::TooManyDecimals,
        Reason::Negative,
        Reason::BadInteger,
        Reason::BadBoolean,
        Reason::BadJson,
        Reason::BadDate,
        Reason::PatternMismatch,
        Reason::NotAllowed,
        Reason::BadLength,
        Reason::UnknownEventType,
        Reason::MissingEventTime,
        Reason::EventTimeOutOfRange,
        Reason::MissingKey,
        Reason::BalanceMismatch,
        Reason::NothingFound,
        Reason::StatementTooLarge,
        Reason::IdReused,
        Reason::Refused,
    ];

    /// Returns the stable code, in snake case.
    pub const fn code(self) -> &'static str {
        match self {
            Reason::MalformedInput => "malformed_input",
            Reason::MalformedRecord => "malformed_record",
            Reason::RecordTooLarge => "record_too_large",
            Reason::NestedTooDeep => "nested_too_deep",
            Reason::UnknownEntity => "unknown_entity",
            Reason::MissingField => "missing_field",
            Reason::NotAScalar => "not_a_scalar",
            Reason::BadDecimal => "bad_decimal",
            Reason::TooManyDecimals => "too_many_decimals",
            Reason::Negative => "negative",
            Reason::BadInteger => "bad_integer",
            Reason::BadBoolean => "bad_boolean",
            Reason::BadJson => "bad_json",
            Reason::BadDate => "bad_date",
            Reason::PatternMismatch => "pattern_mismatch",
            Reason::NotAllowed => "not_allowed",
            Reason::BadLength => "bad_length",
            Reason::UnknownEventType => "unknown_event_type",
            Reason::MissingEventTime => "missing_event_time",
            Reason::EventTimeOutOfRange => "event_time_out_of_range",
            Reason::MissingKey => "missing_key",
            Reason::BalanceMismatch => "balance_mismatch",
            Reason::NothingFound => "nothing_found",
            Reason::StatementTooLarge => "statement_too_large",
            Reason::IdReused => "id_reused",
            Reason::Refused => "refused",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

/// What a record that was kept leaves open. The code never changes its meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Doubt {
    /// An equal record is known from a statement, and nothing tells whether they are one or two.
    AmbiguousRepeat,
    /// The order of equal records showed that two statements overlap; nothing else did.
    AssumedOverlap,
    /// A value could not be read and was left out.
    UnreadableField,
    /// The parts of a batched record do not add up to the record, which was kept whole.
    PartsDiffer,
}

impl Doubt {
    /// Returns the stable code, in snake case.
    pub const fn code(self) -> &'static str {
        match self {
            Doubt::AmbiguousRepeat => "ambiguous_repeat",
            Doubt::AssumedOverlap => "assumed_overlap",
            Doubt::PartsDiffer => "parts_differ",
            Doubt::UnreadableField => "unreadable_field",
        }
    }
}

/// A warning about a record that was kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// The line of the file where the record begins.
    pub line: u64,
    /// What is in doubt.
    pub doubt: Doubt,
    /// A sentence about it.
    pub message: String,
}

/// Why a record becomes no event: a reason and its sentence, or a rule of the mapping that skips it.
#[derive(Debug, PartialEq)]
pub(crate) struct Problem {
    pub(crate) reason: Reason,
    pub(crate) message: String,
    skip: bool,
}

impl Problem {
    pub(crate) fn new(reason: Reason, message: impl Into<String>) -> Problem {
        Problem { reason, message: message.into(), skip: false }
    }

    /// Returns what a rule of `skip` says; the output counts the record and makes no reject.
    pub(crate) fn skip() -> Problem {
        Problem { reason: Reason::Refused, message: String::new(), skip: true }
    }

    pub(crate) fn is_skip(&self) -> bool {
        self.skip
    }
}

/// Returns the problem of a record that exceeds the limit, the same in every format.
pub(crate) fn too_large(limit: usize) -> Problem {
    let message = format!(
        "The record is longer than {limit} bytes; if that is intended, raise max_record_bytes in \
         the mapping."
    );
    Problem::new(Reason::RecordTooLarge, message)
}
