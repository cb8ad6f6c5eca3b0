//! Questions that need only the first or the last events: `select .. from events .. limit 10`.

use std::fmt;

use leftfold_api::Direction;

use super::pieces::Piece;

/// Functions that make one value of one row.
const OF_A_ROW: [&str; 10] = [
    "json_extract",
    "json_text",
    "coalesce",
    "ifnull",
    "length",
    "lower",
    "upper",
    "substr",
    "has_tag",
    "cast",
];

/// How many events are enough, and from which end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct First {
    pub(super) count: usize,
    pub(super) direction: Direction,
}

impl fmt::Display for First {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let from = match self.direction {
            Direction::Forward => "FIRST",
            Direction::Backward => "LAST",
        };
        write!(f, "THE {from} {} ARE FOUND", self.count)
    }
}

/// Returns how few events are enough for a question whose conditions are all those of the read. The log is the
/// table at a place.
pub(super) fn first(pieces: &[Piece<'_>], at: usize) -> Option<First> {
    let pieces = match pieces.split_last() {
        Some((last, rest)) if last.is_sign(";") => rest,
        _ => pieces,
    };
    let start = pieces.iter().position(|piece| piece.is("select"))?;
    let is_plain =
        pieces.get(..start)?.iter().all(|piece| piece.is_any(&["explain", "query", "plan"]));
    let from = at.checked_sub(1).filter(|at| pieces.get(*at).is_some_and(|it| it.is("from")))?;
    let list = pieces.get(start + 1..from)?;
    let is_of_rows = list.iter().enumerate().all(|(at, piece)| {
        let is_call = piece.is_sign("(");
        let function = at.checked_sub(1).and_then(|at| list.get(at));
        let is_known = function.is_some_and(|function| function.is_any(&OF_A_ROW));
        !piece.is_any(&["distinct", "select", "from", "over"]) && (!is_call || is_known)
    });
    let rest = pieces.get(at + 1..)?;
    let tail_at = rest.iter().position(|piece| piece.is("order") || piece.is("limit"))?;
    let (table, tail) = rest.split_at_checked(tail_at)?;
    let is_alone = match table {
        [] => true,
        [other, ..] if other.is("where") => true,
        [alias] => alias.name().is_some(),
        [alias, next, ..] if next.is("where") => alias.name().is_some(),
        [word, alias] if word.is("as") => alias.name().is_some(),
        [word, _, next, ..] => word.is("as") && next.is("where"),
        _ => false,
    };
    let is_grouped = table.iter().any(|piece| {
        piece.is_any(&["group", "having", "union", "except", "intersect", "window", "select"])
    });
    if !is_plain || !is_of_rows || !is_alone || is_grouped {
        return None;
    }
    let (order, limit) = tail.split_at_checked(tail.len().checked_sub(2)?)?;
    let direction = direction(order, list)?;
    match limit {
        [word, count] if word.is("limit") => {
            Some(First { count: usize::try_from(count.integer()?).ok()?, direction })
        }
        _ => None,
    }
}

/// Returns the direction of the order by position.
fn direction(order: &[Piece<'_>], list: &[Piece<'_>]) -> Option<Direction> {
    let (column, direction) = match order {
        [] => return Some(Direction::Forward),
        [order, by, column] if order.is("order") && by.is("by") => (column, Direction::Forward),
        [order, by, column, way] if order.is("order") && by.is("by") => match way {
            way if way.is("desc") => (column, Direction::Backward),
            way if way.is("asc") => (column, Direction::Forward),
            _ => return None,
        },
        _ => return None,
    };
    // Another column may be called position.
    let is_renamed = list.iter().enumerate().any(|(at, piece)| {
        let before = at.checked_sub(1).and_then(|at| list.get(at));
        let is_name = piece.is_name("position")
            || piece.literal().is_some_and(|text| text.eq_ignore_ascii_case("position"));
        is_name && before.is_some_and(|before| !before.is_sign(","))
    });
    (column.is_name("position") && !is_renamed).then_some(direction)
}
