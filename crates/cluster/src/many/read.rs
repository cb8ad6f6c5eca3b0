//! Reads: of one partition, or of all of them and merged.

use futures_util::future::try_join_all;
use leftfold_api::{
    Cursor, Direction, Invalid, Page, Point, Query, Read, ReadError, Start, Streams, StreamsPage,
};

use super::merge::Merge;
use super::{Part, PartitionedStore, Shared, Span};

impl<S: Part> PartitionedStore<S> {
    pub(super) async fn read_page(&self, read: Read) -> Result<Page, ReadError> {
        let shared = &*self.shared;
        let at_least = match &read.at_least {
            Some(cursor) => shared.positions(cursor).await?,
            None => vec![0; shared.count()],
        };
        match shared.span(&read.query)? {
            Span::One(partition) => shared.read_one(partition, read, at_least[partition]).await,
            Span::All => shared.read_all(read, &at_least).await,
        }
    }
}

impl<S: Part> Shared<S> {
    async fn read_one(
        &self,
        partition: usize,
        read: Read,
        at_least: u64,
    ) -> Result<Page, ReadError> {
        let known = self.known_positions();
        let before = self.positions_before(&read.from).await?;
        let is_forward = read.direction == Direction::Forward;
        let read = Read {
            from: self.start_in(partition, read.from).await?,
            at_least: Some(self.cursor_in(partition, at_least)),
            ..read
        };
        let page = self.partition(partition).read(read).await?;
        self.note(partition, page.cursor.position().unwrap_or_default());
        // The other partitions never have events of this query: at its end all of them is seen.
        let others = match is_forward && !page.more {
            true => {
                before.into_iter().zip(known).map(|(before, known)| before.max(known)).collect()
            }
            false => before,
        };
        Ok(Page { cursor: self.moved(others, partition, &page.cursor), ..page })
    }

    /// Returns the positions of the cursor that a read begins after, or zeros.
    pub(super) async fn positions_before(&self, from: &Start) -> Result<Vec<u64>, Invalid> {
        match from {
            Start::Excluding(Point::Cursor(cursor)) => self.positions(cursor).await,
            _ => Ok(vec![0; self.count()]),
        }
    }

    /// Returns a cursor that differs in one partition.
    fn moved(&self, mut positions: Vec<u64>, partition: usize, to: &Cursor) -> Cursor {
        if let Some(position) = positions.get_mut(partition) {
            *position = to.position().unwrap_or_default();
        }
        self.cursor(&positions)
    }

    async fn read_all(&self, read: Read, at_least: &[u64]) -> Result<Page, ReadError> {
        self.refuse_list(&read).await?;
        let start = self.start(&read.from, read.direction).await?;
        let limit = read.limit.min(self.limits.page_events);
        let mut merge = Merge::new(self, read.direction);
        let reads =
            self.stores().zip(at_least).enumerate().map(|(partition, (store, position))| {
                let at_least = Some(self.cursor_in(partition, *position));
                let from = start.of(partition);
                store.read(Read { from, at_least, limit, ..read.clone() })
            });
        for page in try_join_all(reads).await? {
            merge.add(page);
        }
        Ok(merge.finish(limit))
    }

    /// Refuses a read of many partitions that needs one list of events.
    pub(super) async fn refuse_list(&self, read: &Read) -> Result<(), ReadError> {
        let needs_list = match &read.from {
            Start::Including(point) | Start::Excluding(point) => {
                matches!(point, Point::Version(_) | Point::Ordinal(_))
            }
            Start::Outermost => false,
        };
        if needs_list || read.with_ordinals {
            // What is wrong with it in any store comes first.
            let from = if needs_list { read.from.clone() } else { Start::Outermost };
            let one = Read { from, at_least: None, limit: read.limit.min(1), ..read.clone() };
            self.first().read(one).await?;
            return Err(Invalid::crosses_partitions("a list with ordinals").into());
        }
        Ok(())
    }

    /// Lists the streams of one partition after those of another.
    pub(super) async fn streams(&self, wanted: Streams) -> Result<StreamsPage, ReadError> {
        let Streams { category, system, after, limit } = wanted;
        let mut positions = match &after {
            Some(cursor) => self.positions(cursor).await?,
            None => vec![0; self.count()],
        };
        let most = self.limits.page_events;
        let limit = if limit == 0 { most } else { limit.min(most) };
        let (mut streams, mut more) = (Vec::new(), false);
        for (partition, store) in self.stores().enumerate() {
            let left = limit - streams.len();
            if left == 0 {
                // The rest was not looked at.
                more = true;
                break;
            }
            let (category, at) = (category.clone(), positions[partition]);
            let after = Some(self.cursor_in(partition, at));
            let page = store.streams(Streams { category, system, after, limit: left }).await?;
            positions[partition] = page.cursor.position().unwrap_or_default();
            let is_shown = |name: &str| !self.is_copy(partition, name);
            streams.extend(page.streams.into_iter().filter(|stream| is_shown(&stream.name)));
            more |= page.more;
        }
        Ok(StreamsPage { streams, cursor: self.cursor(&positions), more })
    }

    /// Returns an ordinal in a list of one partition.
    pub(super) async fn ordinal(&self, query: Query, from: Start) -> Result<u64, ReadError> {
        match self.span(&query)? {
            Span::One(partition) => {
                let from = self.start_in(partition, from).await?;
                self.partition(partition).ordinal(query, from).await
            }
            Span::All => {
                self.first().ordinal(query, Start::Outermost).await?;
                Err(Invalid::crosses_partitions("a list with ordinals").into())
            }
        }
    }
}
