use leftfold_api::{Append, AppendError, Appended, Engine, Invalid, Query, names};

use crate::store::{Partitioned, Shared, Span};

/// An append, as its partition gets it.
pub(crate) struct Routed {
    pub(crate) partition: usize,
    pub(crate) append: Append,
}

impl Partitioned {
    /// Finds the partition of an append.
    ///
    /// # Errors
    /// `name_invalid`, those of cursors and named indexes, and `crosses_partitions`.
    pub(crate) fn route(&self, append: Append) -> Result<Routed, AppendError> {
        let shared = &*self.shared;
        let partition = shared.partition_of(&append)?;
        let parts = append.into_parts();
        let mut routed = Append::new();
        for (stream, event) in parts.events {
            routed = routed.event(stream, event);
        }
        for (stream, expected) in parts.expected {
            routed = routed.expect(stream, expected);
        }
        for (query, cursor) in parts.none_after {
            let position = shared.positions(&cursor)?[partition];
            routed = routed.none_after(query, shared.cursor_in(partition, position));
        }
        for checkpoint in parts.checkpoints {
            routed = routed.checkpoint(checkpoint);
        }
        if let Some(index) = parts.ordinals_in {
            routed = routed.ordinals_in(index);
        }
        Ok(Routed { partition, append: routed })
    }

    /// Makes a partition's answer the store's. The cursor has a position in that partition alone: the
    /// append says nothing of the others, and a repeat is answered as the first time.
    pub(crate) fn answer(&self, partition: usize, appended: Appended) -> Appended {
        let mut positions = vec![0; self.shared.partitions.len()];
        positions[partition] = appended.cursor.position().unwrap_or_default();
        Appended { cursor: self.shared.cursor(&positions), ..appended }
    }
}

impl Shared {
    fn partition_of(&self, append: &Append) -> Result<usize, Invalid> {
        let streams = append.events().iter().map(|(stream, _)| stream);
        let streams = streams.chain(append.expectations().iter().map(|(stream, _)| stream));
        let names: Vec<_> = append.moves().iter().map(|to| &to.name).collect();
        streams.clone().try_for_each(|stream| names::check_system("stream", stream))?;
        names.iter().try_for_each(|name| names::check("checkpoint", name))?;
        // Bad input comes before what this store can't do.
        let cursors = append.conditions().iter().map(|(_, cursor)| cursor);
        for cursor in cursors.chain(append.moves().iter().map(|to| &to.to)) {
            self.positions(cursor)?;
        }
        let mut homes: Vec<_> = streams.chain(names).map(|name| self.home(name)).collect();
        for (query, _) in append.conditions() {
            match self.span(query)? {
                Span::One(partition) => homes.push(partition),
                Span::All => return Err(Invalid::crosses_partitions("the query of a condition")),
            }
        }
        if let Some(index) = append.index_of_ordinals()
            && self.span(&Query::index(index))? == Span::All
        {
            return Err(Invalid::crosses_partitions("a list with ordinals"));
        }
        let first = homes.first().copied().unwrap_or_default();
        match homes.iter().all(|home| *home == first) {
            true => Ok(first),
            false => Err(Invalid::crosses_partitions("an append with its conditions")),
        }
    }
}

impl Partitioned {
    pub(crate) async fn append_by_caller(&self, append: Append) -> Result<Appended, AppendError> {
        let Routed { partition, append } = self.route(append)?;
        let appended = self.shared.partition(partition).append_here(append).await?;
        Ok(self.answer(partition, appended))
    }

    pub(crate) async fn append_of_system(&self, append: Append) -> Result<Appended, AppendError> {
        let Routed { partition, append } = self.route(append)?;
        let appended = Engine::append_system(self.shared.partition(partition), append).await?;
        Ok(self.answer(partition, appended))
    }
}
