//! How two answers to one question differ.

use std::cmp::Ordering;

use serde::Serialize;

use crate::ask::{Cell, Cursors, as_texts};

type Row = Vec<Cell>;

/// A row that has other values, and the same key.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct RowChange {
    /// The row as it was.
    pub before: Row,
    /// The row as it is.
    pub after: Row,
}

/// How the rows of an answer differ from those of the answer before. Equal rows are counted: of two that become
/// one, one is removed. The order of rows does not matter.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
#[non_exhaustive]
pub struct RowChanges {
    /// The rows that are new.
    pub added: Vec<Row>,
    /// The rows that are gone.
    pub removed: Vec<Row>,
    /// The rows with other values; none without key columns.
    pub changed: Vec<RowChange>,
    /// Up to where each view was brought for the answer.
    #[serde(serialize_with = "as_texts")]
    pub cursors: Cursors,
}

impl RowChanges {
    /// Compares sorted rows.
    pub(crate) fn between(before: &[Row], after: &[Row]) -> Self {
        let (mut added, mut removed) = (Vec::new(), Vec::new());
        let (mut old, mut new) = (before.iter().peekable(), after.iter().peekable());
        loop {
            let order = match (old.peek(), new.peek()) {
                (None, None) => break,
                (Some(_), None) => Ordering::Less,
                (None, Some(_)) => Ordering::Greater,
                (Some(old), Some(new)) => order_rows(old, new),
            };
            match order {
                Ordering::Less => removed.extend(old.next().cloned()),
                Ordering::Greater => added.extend(new.next().cloned()),
                Ordering::Equal => _ = (old.next(), new.next()),
            }
        }
        RowChanges { added, removed, ..RowChanges::default() }
    }

    /// Makes pairs of the removed and added rows that are equal in the key columns.
    pub(crate) fn pair_by(mut self, key: &[usize]) -> Self {
        let of = |one: &Row, two: &Row| {
            let cells = key.iter().map(|at| match (one.get(*at), two.get(*at)) {
                (Some(one), Some(two)) => order_cells(one, two),
                (one, two) => one.is_some().cmp(&two.is_some()),
            });
            cells.fold(Ordering::Equal, Ordering::then)
        };
        self.added.sort_by(of);
        self.removed.sort_by(of);
        let mut added = std::mem::take(&mut self.added).into_iter().peekable();
        for before in std::mem::take(&mut self.removed) {
            while let Some(new) = added.next_if(|new| of(new, &before) == Ordering::Less) {
                self.added.push(new);
            }
            match added.next_if(|new| of(new, &before) == Ordering::Equal) {
                Some(after) => self.changed.push(RowChange { before, after }),
                None => self.removed.push(before),
            }
        }
        self.added.extend(added);
        self
    }

    /// Whether there is no difference.
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty() && self.changed.is_empty()
    }
}

/// Compares two rows, for sorting alone.
pub(crate) fn order_rows(one: &Row, two: &Row) -> Ordering {
    let cells = one.iter().zip(two).map(|(one, two)| order_cells(one, two));
    let first = cells.into_iter().find(|order| order.is_ne()).unwrap_or(Ordering::Equal);
    first.then(one.len().cmp(&two.len()))
}

fn order_cells(one: &Cell, two: &Cell) -> Ordering {
    let rank = |cell: &Cell| match cell {
        Cell::Null => 0,
        Cell::Integer(_) => 1,
        Cell::Real(_) => 2,
        Cell::Text(_) => 3,
        Cell::Bytes(_) => 4,
    };
    match (one, two) {
        (Cell::Integer(one), Cell::Integer(two)) => one.cmp(two),
        (Cell::Real(one), Cell::Real(two)) => one.total_cmp(two),
        (Cell::Text(one), Cell::Text(two)) => one.cmp(two),
        (Cell::Bytes(one), Cell::Bytes(two)) => one.cmp(two),
        _ => rank(one).cmp(&rank(two)),
    }
}
