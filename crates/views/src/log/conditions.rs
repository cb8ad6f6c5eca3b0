//! The conditions between the `and`s of a `where`, and what of them the store can answer.

use leftfold_api::{Field, MAX_NAME, Query, Span, Timestamp, Value};

use super::pieces::Piece;
use super::range::Bounds;

/// The most values of one condition that become a part of a query.
const MAX_VALUES: usize = 1_000;

/// A condition that decides what is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Condition {
    Query(Query),
    Position(Bounds),
    Version(Bounds),
    CommitTime(Bounds),
}

/// A condition, and the SQL in its place if it needs another.
pub(super) type Found = (Condition, Option<String>);

/// Splits a `where` at its `and`s. Returns nothing if it has an `or` beside them.
pub(super) fn conjuncts<'p, 's>(pieces: &'p [Piece<'s>]) -> Option<Vec<&'p [Piece<'s>]>> {
    let depth = pieces.first()?.depth;
    let (mut parts, mut start, mut betweens, mut cases) = (Vec::new(), 0, 0_usize, 0_usize);
    for (at, piece) in pieces.iter().enumerate().filter(|(_, piece)| piece.depth == depth) {
        if piece.is("case") {
            cases += 1;
        } else if piece.is("end") {
            cases = cases.saturating_sub(1);
        } else if cases > 0 {
            continue;
        } else if piece.is("or") {
            return None;
        } else if piece.is("between") {
            betweens += 1;
        } else if piece.is("and") && betweens > 0 {
            betweens -= 1;
        } else if piece.is("and") {
            parts.extend(pieces.get(start..at));
            start = at + 1;
        }
    }
    parts.extend(pieces.get(start..));
    Some(parts)
}

/// Returns the condition on a column of the log, if it is one that the store can answer. `is_own` says whether a
/// qualifier, or none, is that of the log.
pub(super) fn condition(
    pieces: &[Piece<'_>],
    is_own: impl Fn(Option<&str>) -> bool,
) -> Option<Found> {
    if let [function, open, rest @ .., comma, tag, close] = pieces
        && function.is_name("has_tag")
        && open.is_sign("(")
        && comma.is_sign(",")
        && close.is_sign(")")
    {
        let (column, rest) = column(rest, &is_own)?;
        let is_tags = column.eq_ignore_ascii_case("tags") && rest.is_empty();
        return is_tags.then(|| values(Field::Tag, vec![tag.literal()?])).flatten();
    }
    let (name, rest) = column(pieces, &is_own)?;
    match name.to_ascii_lowercase().as_str() {
        "stream" => texts(rest).and_then(|texts| values(Field::Stream, texts)),
        "category" => texts(rest).and_then(|texts| values(Field::Category, texts)),
        "type" => texts(rest).and_then(|texts| values(Field::Type, texts)),
        "correlation" => texts(rest).and_then(|texts| values(Field::Correlation, texts)),
        "tag" => {
            let texts = texts(rest)?;
            let column = pieces.get(..pieces.len() - rest.len())?;
            let qualifier = column.first().filter(|_| column.len() > 1);
            let qualifier = qualifier.map(|piece| format!("{}.", piece.text)).unwrap_or_default();
            let tests: Vec<_> = texts
                .iter()
                .map(|text| format!("has_tag({qualifier}tags, '{}')", text.replace('\'', "''")))
                .collect();
            let sql = format!("({})", tests.join(" or "));
            values(Field::Tag, texts).map(|(condition, _)| (condition, Some(sql)))
        }
        "position" => range(rest, integer).map(|range| (Condition::Position(range), None)),
        "version" => range(rest, integer).map(|range| (Condition::Version(range), None)),
        "commit_time" => range(rest, micros).map(|range| (Condition::CommitTime(range), None)),
        "event_time" => {
            let range = range(rest, micros)?;
            let from = (range.from > i64::MIN).then_some(Timestamp(range.from));
            let to = (range.to < i64::MAX).then_some(Timestamp(range.to.saturating_add(1)));
            Some((Condition::Query(Query::During(Span { from, to })), None))
        }
        _ => None,
    }
}

/// Returns the column of the log at the front, and what follows it.
fn column<'p, 's>(
    pieces: &'p [Piece<'s>],
    is_own: impl Fn(Option<&str>) -> bool,
) -> Option<(&'s str, &'p [Piece<'s>])> {
    match pieces {
        [table, dot, column, rest @ ..] if dot.is_sign(".") => {
            is_own(Some(table.name()?)).then_some((column.name()?, rest))
        }
        [column, rest @ ..] => is_own(None).then_some((column.name()?, rest)),
        [] => None,
    }
}

/// Returns the texts that a column is compared with by `=` or `in`.
fn texts(pieces: &[Piece<'_>]) -> Option<Vec<String>> {
    match pieces {
        [equals, text] if equals.is_sign("=") => Some(vec![text.literal()?]),
        [one, two, text] if one.is_sign("=") && two.is_sign("=") => Some(vec![text.literal()?]),
        [within, open, list @ .., close]
            if within.is("in") && open.is_sign("(") && close.is_sign(")") =>
        {
            let mut texts = Vec::new();
            for pair in list.chunks(2) {
                match pair {
                    [text] => texts.push(text.literal()?),
                    [text, comma] if comma.is_sign(",") => texts.push(text.literal()?),
                    _ => return None,
                }
            }
            (list.len() % 2 == 1).then_some(texts)
        }
        _ => None,
    }
}

/// Returns the condition that a field has one of some values, if they can be names.
fn values(field: Field, texts: Vec<String>) -> Option<Found> {
    let can_be =
        |text: &String| (1..=MAX_NAME).contains(&text.len()) && !text.chars().any(char::is_control);
    let is_fit = texts.len() <= MAX_VALUES
        && texts.iter().all(can_be)
        && (field != Field::Tag || texts.iter().all(|text| text.contains('=')));
    let values = || texts.into_iter().map(Value::Exactly).collect();
    is_fit.then(|| (Condition::Query(Query::Is(field, values())), None))
}

/// Returns the range that a column is compared with.
fn range(pieces: &[Piece<'_>], value: impl Fn(&Piece<'_>) -> Option<i64>) -> Option<Bounds> {
    match pieces {
        [between, from, and, to] if between.is("between") && and.is("and") => {
            Some(Bounds { from: value(from)?, to: value(to)? })
        }
        [one, two, number] if one.span.end == two.span.start => {
            Bounds::of(&format!("{}{}", one.text, two.text), value(number)?)
        }
        [sign, number] => Bounds::of(sign.text, value(number)?),
        _ => None,
    }
}

fn integer(piece: &Piece<'_>) -> Option<i64> {
    piece.integer()
}

fn micros(piece: &Piece<'_>) -> Option<i64> {
    piece.literal()?.parse::<Timestamp>().ok().map(Timestamp::micros)
}
