//! The embedded store.

use std::sync::Arc;

use anyhow::Context;
use leftfold_store::{
    Append, Appended, Cursor, Embedded, EventStore, Expected, NewEvent, Options, Query, Read,
};

use crate::process;
use crate::system::{Disk, Event, Loaded, Mark, Place, Seen, Session, System};
use crate::work::Work;

/// The store, in this process, with its default options.
pub(crate) struct Leftfold(Arc<Embedded>);

/// A handle. The last cursor of each pair of tags is in it, because a condition takes a cursor.
pub(crate) struct Handle {
    store: Arc<Embedded>,
    cursors: Vec<Cursor>,
}

impl System for Leftfold {
    type Session = Handle;

    fn cannot(_: Work) -> Option<&'static str> {
        None
    }

    async fn open(place: &Place) -> anyhow::Result<Self> {
        Ok(Leftfold(Arc::new(Embedded::open(&place.data, Options::default())?)))
    }

    async fn session(&self) -> anyhow::Result<Handle> {
        Ok(Handle { store: self.0.clone(), cursors: Vec::new() })
    }

    fn disk_bytes(place: &Place) -> anyhow::Result<Disk> {
        let store = Embedded::open_existing(&place.data, Options::default())?;
        store.settle()?;
        let stat = store.stat()?;
        let used = stat.log_bytes + stat.index_bytes;
        store.close();
        let all = process::allocated(&place.data)?;
        Ok(Disk { data: used, reserve: all.saturating_sub(used) })
    }

    async fn close(self) -> anyhow::Result<()> {
        Arc::into_inner(self.0).context("the store is still in use")?.close();
        Ok(())
    }
}

impl Handle {
    fn read_all(&self, query: Query, limit: u64) -> anyhow::Result<Seen> {
        let mut seen = Seen::default();
        let mut read = Read::forward(query.clone());
        loop {
            let page = self.store.blocking().read(read)?;
            page.events.iter().for_each(|event| seen.add(event.data().len()));
            if !page.more || seen.events >= limit {
                return Ok(seen);
            }
            read = Read::forward(query.clone()).after(page.cursor);
        }
    }
}

impl Session for Handle {
    async fn append_single(
        &mut self,
        stream: &str,
        expected: Mark,
        event: Event,
    ) -> anyhow::Result<Mark> {
        let append = Append::new().event(stream, new(event)).expect(stream, version(expected));
        last(&self.store.append(append).await?)
    }

    async fn append_batch(
        &mut self,
        stream: &str,
        expected: Mark,
        events: Vec<Event>,
    ) -> anyhow::Result<Mark> {
        let append = Append::new().expect(stream, version(expected));
        let append = events.into_iter().fold(append, |all, event| all.event(stream, new(event)));
        last(&self.store.append(append).await?)
    }

    async fn append_on_tags(
        &mut self,
        tags: [&str; 2],
        after: Mark,
        event: Event,
    ) -> anyhow::Result<Mark> {
        let [a, b] = tags;
        let cursor = after.and_then(|n| self.cursors.get(n as usize)).copied();
        let query = Query::tag("course", a).and(Query::tag("student", b));
        let event = new(event).tag("course", a).tag("student", b);
        // A stream for each course: such events have no stream of their own, but here they need one.
        let append =
            Append::new().event(a, event).none_after(query, cursor.unwrap_or(Cursor::START));
        let done = self.store.append(append).await?;
        let at = after.map_or(self.cursors.len(), |n| n as usize);
        match self.cursors.get_mut(at) {
            Some(cursor) => *cursor = done.cursor,
            None => self.cursors.push(done.cursor),
        }
        Ok(Some(at as u64))
    }

    async fn read_stream(&mut self, stream: &str) -> anyhow::Result<Seen> {
        self.read_all(Query::stream(stream), u64::MAX)
    }

    async fn query_category(&mut self, category: &str) -> anyhow::Result<Seen> {
        self.read_all(Query::category(category), u64::MAX)
    }

    async fn query_tags(&mut self, owner: &str) -> anyhow::Result<Seen> {
        self.read_all(Query::tag("owner", owner), u64::MAX)
    }

    async fn replay(&mut self, limit: u64) -> anyhow::Result<Seen> {
        self.read_all(Query::All, limit)
    }

    async fn load(&mut self, chunk: Vec<Loaded>) -> anyhow::Result<()> {
        let add = |append: Append, one: Loaded| {
            append.event(one.stream, new(one.event).tag("owner", one.owner))
        };
        self.store.append(chunk.into_iter().fold(Append::new(), add)).await?;
        Ok(())
    }
}

fn new(event: Event) -> NewEvent {
    NewEvent::new("Measured", event.data).id(event.id)
}

fn version(expected: Mark) -> Expected {
    expected.map_or(Expected::NoStream, Expected::Exactly)
}

fn last(done: &Appended) -> anyhow::Result<Mark> {
    Ok(Some(done.streams.first().context("an append without a stream")?.last))
}
