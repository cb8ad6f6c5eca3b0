//! Cursors of the store, and what they mean in each partition.

use leftfold_api::{Cursor, Direction, Invalid, Point, Start};

use super::{Part, Shared};

/// Marks the positions of a backward page's cursor: the next page begins with the event there. It
/// is not a position of any event, so such a cursor resumes nothing but backward pages.
const BACKWARD: u64 = 1 << 63;

/// Where a merged read begins.
pub(super) enum Places {
    /// In each partition at the same point.
    Same(Start),
    /// In each partition at a point of its own.
    Each(Vec<Start>),
}

impl Places {
    pub(super) fn of(&self, partition: usize) -> Start {
        match self {
            Places::Same(from) => from.clone(),
            Places::Each(all) => all.get(partition).cloned().unwrap_or_default(),
        }
    }
}

impl<S: Part> Shared<S> {
    /// Returns the position in each partition that a cursor of this store stands for.
    ///
    /// # Errors
    /// `cursor_foreign`, `cursor_ahead`; `crosses_partitions` for the cursor of a backward page.
    pub(super) async fn positions(&self, cursor: &Cursor) -> Result<Vec<u64>, Invalid> {
        if cursor.is_start() {
            return Ok(vec![0; self.count()]);
        }
        let positions = self.own_positions(cursor)?;
        if positions.len() > 1 && positions.iter().all(|position| position & BACKWARD != 0) {
            return Err(Invalid::crosses_partitions("a read from the cursor of a backward page"));
        }
        let known = self.known_positions();
        for (partition, (position, known)) in positions.iter().zip(known).enumerate() {
            if *position > known && self.is_ahead(partition, *position).await {
                let message = format!(
                    "cursor {cursor} lies ahead of the store: was the store restored from an older \
                     backup? Rebuild whatever keeps this cursor"
                );
                return Err(Invalid::new("cursor_ahead", message));
            }
        }
        Ok(positions.to_vec())
    }

    /// Whether a position lies ahead of its partition. One that does not answer is not asked again: a call that
    /// needs it fails there.
    async fn is_ahead(&self, partition: usize, position: u64) -> bool {
        let Ok(head) = self.partition(partition).head().await else { return false };
        let head = head.position().unwrap_or_default();
        self.note(partition, head);
        position > head
    }

    fn own_positions<'c>(&self, cursor: &'c Cursor) -> Result<&'c [u64], Invalid> {
        let positions = cursor.positions();
        let is_own = cursor.origin().store == self.origin.store;
        if !is_own || positions.len() != self.count() {
            let message = format!("cursor {cursor} was given by another store");
            return Err(Invalid::new("cursor_foreign", message));
        }
        Ok(positions)
    }

    /// Returns the cursor of a partition at one of its positions.
    pub(super) fn cursor_in(&self, partition: usize, position: u64) -> Cursor {
        let origin = self.partitions.get(partition).map(|partition| partition.origin);
        origin.map_or(Cursor::START, |origin| Cursor::at(origin, position))
    }

    /// Returns where a read of one partition begins.
    pub(super) async fn start_in(&self, partition: usize, from: Start) -> Result<Start, Invalid> {
        let (Start::Including(Point::Cursor(cursor)) | Start::Excluding(Point::Cursor(cursor))) =
            &from
        else {
            return Ok(from);
        };
        let position = self.positions(cursor).await?[partition];
        let point = Point::Cursor(self.cursor_in(partition, position));
        Ok(match from {
            Start::Including(_) => Start::Including(point),
            Start::Excluding(_) | Start::Outermost => Start::Excluding(point),
        })
    }

    /// Returns where a merged read begins in each partition.
    ///
    /// # Errors
    /// Those of [`Shared::positions`]; `crosses_partitions` for a position, and for a cursor at which
    /// the read would turn around.
    pub(super) async fn start(
        &self,
        from: &Start,
        direction: Direction,
    ) -> Result<Places, Invalid> {
        let turned = || Invalid::crosses_partitions("a read that turns around at a cursor");
        let at = |position: u64| Point::Position(position);
        Ok(match (from, direction) {
            (Start::Including(Point::Position(_)) | Start::Excluding(Point::Position(_)), _) => {
                return Err(Invalid::crosses_partitions("a read from a position"));
            }
            (Start::Excluding(Point::Cursor(cursor)), Direction::Forward) => {
                let positions = self.positions(cursor).await?;
                Places::Each(positions.into_iter().map(|p| Start::Excluding(at(p))).collect())
            }
            (Start::Excluding(Point::Cursor(cursor)), Direction::Backward) if cursor.is_start() => {
                Places::Same(Start::Excluding(at(0)))
            }
            (Start::Excluding(Point::Cursor(cursor)), Direction::Backward) => {
                let marked = self.own_positions(cursor)?;
                let positions: Option<Vec<u64>> =
                    marked.iter().map(|position| position.checked_sub(BACKWARD)).collect();
                let positions = positions.ok_or_else(turned)?;
                Places::Each(positions.into_iter().map(|p| Start::Including(at(p))).collect())
            }
            (Start::Including(Point::Cursor(cursor)), Direction::Backward) => {
                let positions = self.positions(cursor).await?;
                Places::Each(positions.into_iter().map(|p| Start::Including(at(p))).collect())
            }
            (Start::Including(Point::Cursor(cursor)), Direction::Forward) => {
                self.positions(cursor).await?;
                return Err(turned());
            }
            (from, _) => Places::Same(from.clone()),
        })
    }

    /// Returns the cursor of a backward page that goes on with these positions.
    pub(super) fn backward_cursor(&self, next: &[u64]) -> Cursor {
        let marked: Vec<_> = next.iter().map(|position| position | BACKWARD).collect();
        self.cursor(&marked)
    }

    /// Whether a partition's stream of definitions is a copy, which reads do not show.
    pub(super) fn is_copy(&self, partition: usize, stream: &str) -> bool {
        let is_definition = stream.starts_with("$index-") || stream.starts_with("$retention-");
        partition > 0 && is_definition
    }
}
