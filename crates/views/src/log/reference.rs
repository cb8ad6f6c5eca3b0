//! What a question reads of the log, found from its text.
//!
//! Each place where the question names the log has conditions of its own; all that any of them wants is read, and
//! SQLite tests every condition again. So a condition that is not understood costs time, and changes no answer.

use leftfold_api::{Query, Recorded};

use super::TABLE;
use super::conditions::{Condition, condition, conjuncts};
use super::first::{First, first};
use super::pieces::Piece;
use super::range::Bounds;

/// What ends the clause that a word stands in.
const ENDS: [&str; 8] =
    ["group", "having", "order", "limit", "union", "intersect", "except", "select"];

/// What may stand behind a table and is not its alias.
const NO_ALIAS: [&str; 20] = [
    "where",
    "join",
    "left",
    "right",
    "full",
    "inner",
    "outer",
    "cross",
    "natural",
    "on",
    "using",
    "group",
    "having",
    "order",
    "limit",
    "union",
    "intersect",
    "except",
    "indexed",
    "not",
];

/// What a question reads of the log.
#[derive(Debug, Clone)]
pub(crate) struct LogRead {
    pub(super) references: Vec<Reference>,
    /// The question as SQLite gets it.
    pub(super) sql: String,
    /// Whether it only asks what would be read.
    pub(super) is_explained: bool,
    /// How few of the events are enough.
    pub(super) first: Option<First>,
}

/// A place where a question names the log.
#[derive(Debug, Clone)]
pub(super) struct Reference {
    pub(super) query: Query,
    pub(super) position: Bounds,
    pub(super) version: Bounds,
    pub(super) commit_time: Bounds,
    /// The conditions that decide what is read, as they are written.
    read: Vec<String>,
    /// Those that SQLite alone tests.
    filtered: Vec<String>,
}

impl LogRead {
    /// Returns what a question reads of the log, or `None` if it does not name it.
    pub(crate) fn of(sql: &str) -> Option<Self> {
        let pieces = Piece::all(sql);
        let places: Vec<_> = (0..pieces.len()).filter(|at| is_table(&pieces, *at)).collect();
        let mut changes = Vec::new();
        let references: Vec<_> = places
            .iter()
            .map(|at| Reference::at(&pieces, sql, *at, &places, &mut changes))
            .collect();
        let only = match references.as_slice() {
            [] => return None,
            [only] if only.filtered.is_empty() => places.first().copied(),
            _ => None,
        };
        let is_explained = pieces.first().is_some_and(|piece| piece.is("explain"));
        let first = only.and_then(|at| first(&pieces, at));
        let mut changed = sql.to_owned();
        changes.sort_by_key(|(span, _): &(std::ops::Range<usize>, String)| span.start);
        for (span, text) in changes.into_iter().rev() {
            changed.replace_range(span, &text);
        }
        Some(LogRead { references, sql: changed, is_explained, first })
    }

    /// Returns the query of the events that are read.
    pub(crate) fn query(&self) -> Query {
        let queries = self.references.iter().map(|reference| reference.query.clone());
        let mut queries: Vec<_> = queries.collect();
        queries.dedup();
        match queries.len() {
            _ if queries.contains(&Query::All) => Query::All,
            1 => queries.pop().unwrap_or_default(),
            _ => Query::Or(queries),
        }
    }

    /// Whether the question may want an event that its query yields.
    pub(super) fn wants(&self, event: &Recorded) -> bool {
        self.references.iter().any(|reference| reference.wants(event))
    }

    /// Returns a range that holds those of all places.
    pub(super) fn hull(&self, of: impl Fn(&Reference) -> Bounds) -> Bounds {
        self.references.iter().map(of).reduce(Bounds::hull).unwrap_or(Bounds::ALL)
    }

    /// Says what is read, and which conditions SQLite tests.
    pub(super) fn explain(&self) -> Vec<String> {
        let text = |reference: &Reference| {
            let list = |conditions: &[String]| match conditions {
                [] => "nothing".to_owned(),
                some => some.join(" and "),
            };
            format!(
                "READ {TABLE} WITH QUERY {}; READ BY: {}; FILTERED BY SQLITE: {}",
                reference.query,
                list(&reference.read),
                list(&reference.filtered)
            )
        };
        let first = self.first.map(|first| format!("READ {TABLE} UNTIL {first}"));
        self.references.iter().map(text).chain(first).collect()
    }
}

impl Reference {
    fn at(
        pieces: &[Piece<'_>],
        sql: &str,
        at: usize,
        places: &[usize],
        changes: &mut Vec<(std::ops::Range<usize>, String)>,
    ) -> Self {
        let mut reference = Reference {
            query: Query::All,
            position: Bounds::ALL,
            version: Bounds::ALL,
            commit_time: Bounds::ALL,
            read: Vec::new(),
            filtered: Vec::new(),
        };
        let Some((from, filter)) = pieces.get(at).and_then(|piece| clause(pieces, at, piece.depth))
        else {
            return reference;
        };
        let text = |parts: &[Piece<'_>]| -> String {
            let ends = parts.first().zip(parts.last());
            ends.and_then(|(first, last)| sql.get(first.span.start..last.span.end))
                .unwrap_or_default()
                .to_owned()
        };
        let Some(parts) = conjuncts(filter) else {
            reference.filtered.push(text(filter));
            return reference;
        };
        let alias = alias(pieces, at);
        let is_alone = places.iter().filter(|place| from.contains(place)).count() == 1;
        let is_own = |qualifier: Option<&str>| match (qualifier, alias) {
            (None, _) => is_alone,
            (Some(qualifier), Some(alias)) => qualifier.eq_ignore_ascii_case(alias),
            (Some(_), None) => false,
        };
        let mut queries = Vec::new();
        for part in parts {
            let Some((condition, other)) = condition(part, is_own) else {
                reference.filtered.push(text(part));
                continue;
            };
            reference.read.push(text(part));
            if let (Some(other), Some((first, last))) = (other, part.first().zip(part.last())) {
                changes.push((first.span.start..last.span.end, other));
            }
            match condition {
                Condition::Query(query) => queries.push(query),
                Condition::Position(range) => reference.position = reference.position.and(range),
                Condition::Version(range) => reference.version = reference.version.and(range),
                Condition::CommitTime(range) => {
                    reference.commit_time = reference.commit_time.and(range);
                }
            }
        }
        reference.query = match queries.len() {
            0 => Query::All,
            1 => queries.pop().unwrap_or_default(),
            _ => Query::And(queries),
        };
        reference
    }

    fn wants(&self, event: &Recorded) -> bool {
        let integer = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        self.position.holds(integer(event.position()))
            && self.version.holds(integer(event.version()))
            && self.commit_time.holds(event.commit_time().micros())
            && self.query.matches(event)
    }

    /// Whether no event can match.
    pub(super) fn is_empty(&self) -> bool {
        [self.position, self.version, self.commit_time].into_iter().any(Bounds::is_empty)
    }
}

/// Whether the log is named as a table at a place. If that is not sure, it counts as one.
fn is_table(pieces: &[Piece<'_>], at: usize) -> bool {
    let piece = |at: Option<usize>| at.and_then(|at| pieces.get(at));
    let Some(own) = pieces.get(at).filter(|own| {
        // SQLite takes a text for a table's name.
        own.is_name(TABLE) || own.literal().is_some_and(|text| text.eq_ignore_ascii_case(TABLE))
    }) else {
        return false;
    };
    let is_qualifier =
        piece(Some(at + 1)).is_some_and(|next| next.is_sign(".") || next.is_sign("("));
    let Some(mut before) = at.checked_sub(1) else { return false };
    if piece(Some(before)).is_some_and(|dot| dot.is_sign(".")) {
        let schema = before.checked_sub(1);
        if !piece(schema).is_some_and(|schema| schema.is_name("main")) {
            return false;
        }
        let Some(at) = schema.and_then(|at| at.checked_sub(1)) else { return false };
        before = at;
    }
    if is_qualifier {
        return false;
    }
    let mut depth = own.depth;
    // A table in parentheses is behind what is before them.
    while piece(Some(before)).is_some_and(|open| open.is_sign("(")) {
        depth = depth.saturating_sub(1);
        let Some(at) = before.checked_sub(1) else { return false };
        before = at;
    }
    match piece(Some(before)) {
        Some(before) if before.is_any(&["from", "join"]) => true,
        Some(before) if before.is("in") => own.literal().is_none(),
        Some(comma) if comma.is_sign(",") => !is_in_list(pieces, before, depth),
        _ => false,
    }
}

/// Whether a comma stands in a list of values and not of tables.
fn is_in_list(pieces: &[Piece<'_>], comma: usize, mut depth: usize) -> bool {
    let lists = ["select", "where", "by", "having", "limit", "values", "set", "distinct"];
    for piece in pieces.get(..comma).unwrap_or_default().iter().rev() {
        if piece.depth < depth && piece.is_sign("(") {
            depth = piece.depth;
        } else if piece.depth > depth {
            continue;
        } else if piece.is("from") {
            return false;
        } else if piece.is_any(&lists) {
            return true;
        }
    }
    false
}

/// Returns the places of the tables that the one at a place is listed with, and the condition behind them.
fn clause<'p, 's>(
    pieces: &'p [Piece<'s>],
    at: usize,
    depth: usize,
) -> Option<(std::ops::Range<usize>, &'p [Piece<'s>])> {
    let of_group = |at: &usize| pieces.get(*at).is_some_and(|piece| piece.depth >= depth);
    let here = |at: &usize| pieces.get(*at).filter(|piece| piece.depth == depth);
    let start = (0..at)
        .rev()
        .take_while(of_group)
        .find(|at| here(at).is_some_and(|piece| piece.is("from") || piece.is_any(&ENDS)));
    let start = start.filter(|at| here(at).is_some_and(|piece| piece.is("from")))?;
    let is_end = |at: &usize| match here(at) {
        Some(piece) => piece.is_any(&ENDS) || piece.is_sign(";"),
        None => !of_group(at),
    };
    // The parenthesis that closes a group stands outside.
    let end = (at..pieces.len()).find(is_end).unwrap_or(pieces.len());
    let filter = (at..end).find(|at| here(at).is_some_and(|piece| piece.is("where")))?;
    Some((start..filter, pieces.get(filter + 1..end)?))
}

/// Returns the name that the columns of a table have in front, or `None` if that is not sure.
fn alias<'s>(pieces: &[Piece<'s>], at: usize) -> Option<&'s str> {
    let next = pieces.get(at + 1);
    match next {
        Some(word) if word.is("as") => pieces.get(at + 2)?.name(),
        Some(word) if word.is("window") || word.literal().is_some() => None,
        Some(word) if !word.is_any(&NO_ALIAS) && word.name().is_some() => word.name(),
        _ => pieces.get(at)?.name(),
    }
}
