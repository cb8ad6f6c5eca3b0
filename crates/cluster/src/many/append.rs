//! Appends: each goes to one partition as a whole, or is refused.

use leftfold_api::{Append, AppendError, Appended, Engine, EventStore, Invalid, Query, names};

use super::{Part, PartitionedStore, Shared, Span};

/// An append, as its partition gets it.
pub(super) struct Routed {
    pub(super) partition: usize,
    pub(super) append: Append,
}

impl<S: Part> PartitionedStore<S> {
    pub(super) async fn append_to_partition(
        &self,
        append: Append,
    ) -> Result<Appended, AppendError> {
        let Routed { partition, append } = self.shared.route(append).await?;
        let appended = EventStore::append(self.shared.partition(partition), append).await?;
        Ok(self.shared.answer(partition, appended))
    }

    pub(super) async fn append_by_caller(&self, append: Append) -> Result<Appended, AppendError> {
        let Routed { partition, append } = self.shared.route(append).await?;
        let appended = self.shared.partition(partition).append_here(append).await?;
        Ok(self.shared.answer(partition, appended))
    }

    pub(super) async fn append_of_system(&self, append: Append) -> Result<Appended, AppendError> {
        let Routed { partition, append } = self.shared.route(append).await?;
        let appended = Engine::append_system(self.shared.partition(partition), append).await?;
        Ok(self.shared.answer(partition, appended))
    }
}

impl<S: Part> Shared<S> {
    /// Finds the partition of an append.
    ///
    /// # Errors
    /// `name_invalid`, those of cursors and named indexes, and `crosses_partitions`.
    async fn route(&self, append: Append) -> Result<Routed, AppendError> {
        let partition = self.partition_of(&append).await?;
        let parts = append.into_parts();
        let mut routed = Append::new();
        for (stream, event) in parts.events {
            routed = routed.event(stream, event);
        }
        for (stream, expected) in parts.expected {
            routed = routed.expect(stream, expected);
        }
        for (query, cursor) in parts.none_after {
            let position = self.positions(&cursor).await?[partition];
            routed = routed.none_after(query, self.cursor_in(partition, position));
        }
        for checkpoint in parts.checkpoints {
            routed = routed.checkpoint(checkpoint);
        }
        if parts.repeats_whole {
            routed = routed.repeats_whole();
        }
        if let Some(index) = parts.ordinals_in {
            routed = routed.ordinals_in(index);
        }
        Ok(Routed { partition, append: routed })
    }

    async fn partition_of(&self, append: &Append) -> Result<usize, AppendError> {
        let streams = append.events().iter().map(|(stream, _)| stream);
        let streams = streams.chain(append.expectations().iter().map(|(stream, _)| stream));
        let names: Vec<_> = append.moves().iter().map(|to| &to.name).collect();
        streams.clone().try_for_each(|stream| names::check_system("stream", stream))?;
        names.iter().try_for_each(|name| names::check("checkpoint", name))?;
        // Bad input comes before what this store can't do.
        let cursors = append.conditions().iter().map(|(_, cursor)| cursor);
        for cursor in cursors.chain(append.moves().iter().map(|to| &to.to)) {
            self.positions(cursor).await?;
        }
        let mut homes: Vec<_> = streams.chain(names).map(|name| self.home(name)).collect();
        let crosses = |what| AppendError::from(Invalid::crosses_partitions(what));
        for (query, _) in append.conditions() {
            match self.span(query)? {
                Span::One(partition) => homes.push(partition),
                Span::All => return Err(crosses("the query of a condition")),
            }
        }
        if let Some(index) = append.index_of_ordinals()
            && !self.has_ordinals(index)?
        {
            return Err(crosses("a list with ordinals"));
        }
        let first = homes.first().copied().unwrap_or_default();
        match homes.iter().all(|home| *home == first) {
            true => Ok(first),
            false => Err(crosses("an append with its conditions")),
        }
    }

    /// Whether each event of an index has its ordinal from the partition in which it lies.
    ///
    /// # Errors
    /// `index_unknown` or `index_building`.
    fn has_ordinals(&self, index: &str) -> Result<bool, Invalid> {
        if matches!(self.span(&Query::index(index))?, Span::One(_)) {
            return Ok(true);
        }
        // An index with partitions has a first one; if that lies in one partition of the store, all do.
        match self.span(&Query::partition(index, 0)) {
            Ok(span) => Ok(matches!(span, Span::One(_))),
            Err(invalid) if invalid.code == "partition_unknown" => Ok(false),
            Err(invalid) => Err(invalid),
        }
    }

    /// Makes a partition's answer the store's. The cursor has a position in that partition alone: the
    /// append says nothing of the others, and a repeat is answered as the first time.
    fn answer(&self, partition: usize, appended: Appended) -> Appended {
        let mut positions = vec![0; self.count()];
        positions[partition] = appended.cursor.position().unwrap_or_default();
        self.note(partition, positions[partition]);
        Appended { cursor: self.cursor(&positions), ..appended }
    }
}
