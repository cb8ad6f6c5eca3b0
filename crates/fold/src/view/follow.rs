use std::pin::pin;
use std::sync::Arc;

use async_lock::Mutex;
use futures_util::future::{Either, select};
use leftfold_api::{
    Cursor, Delivery, EventStore, Invalid, Point, Query, Read, ReadError, Recorded, Subscribe,
    Subscription,
};

use super::{Anchor, Batch, Saved, Sink, Source, ViewError};

/// The maximum number of events in one commit. The more there are, the more often a row or a page that changes
/// several times is written once.
const BATCH: usize = 8_192;
/// The maximum bytes of events in one commit; one event is accepted whatever its size.
const BATCH_BYTES: usize = 8 << 20;

/// What is followed: a name, a version of the logic, and a query. A sink that has stored nothing begins behind `start`.
pub(super) struct Definition {
    pub(super) name: String,
    pub(super) logic: u32,
    pub(super) query: Query,
    pub(super) start: Cursor,
}

/// Brings events to a sink: while some are committed, it reads the next ones.
pub(super) struct Follower<'a, K, B> {
    reader: Reader<B>,
    writer: Writer<'a, K>,
    /// Whether all stored events have been committed once.
    caught_up: bool,
}

/// Gathers events into batches.
struct Reader<B> {
    subscription: B,
    gathered: Gathered,
    /// Whether all stored events have been delivered once.
    caught_up: bool,
}

/// Commits batches, one after the other.
struct Writer<'a, K> {
    definition: Definition,
    sink: &'a Mutex<K>,
    saved: Option<Saved>,
}

/// Events that are committed together, each with the cursor behind it.
#[derive(Default)]
struct Gathered {
    events: Vec<Recorded>,
    cursors: Vec<Cursor>,
    bytes: usize,
    /// The cursor of the caught-up mark, if they end there.
    end: Option<Cursor>,
}

impl Gathered {
    fn push(&mut self, delivery: Delivery) {
        match delivery {
            Delivery::Event(event, at) => {
                self.bytes += event.data().len() + event.metadata().len();
                self.events.push(event);
                self.cursors.push(at);
            }
            Delivery::CaughtUp(at) => self.end = Some(at),
        }
    }

    fn is_complete(&self) -> bool {
        self.end.is_some() || self.events.len() >= BATCH || self.bytes >= BATCH_BYTES
    }
}

impl Definition {
    fn made_by(&self) -> String {
        format!("{} {}", self.name, self.logic)
    }

    fn other_history(&self, saved: Option<&Saved>) -> ViewError {
        let anchor = saved.and_then(|saved| saved.anchor.as_ref());
        let position = anchor.map_or(0, |anchor| anchor.position);
        ViewError::OtherHistory { view: self.name.clone(), position }
    }

    /// Converts the error for a cursor that this store does not know.
    fn read_error(&self, error: ReadError, saved: Option<&Saved>) -> ViewError {
        match error {
            ReadError::Invalid(Invalid {
                code: "cursor_ahead" | "cursor_foreign" | "cursor_of_lost_history" | "start_ahead",
                ..
            }) => self.other_history(saved),
            error => error.into(),
        }
    }

    /// Checks that what is saved is of this definition, and was made from this store's events.
    async fn check(&self, store: &impl EventStore, saved: &Saved) -> Result<(), ViewError> {
        if saved.made_by != self.made_by() {
            let (found, wanted) = (saved.made_by.clone(), self.made_by());
            return Err(ViewError::OtherLogic { found, wanted });
        }
        if saved.cursor.positions().len() > 1 {
            // A position is no place among many partitions. The cursor names the history all the same.
            return match store.head().await?.covers(&saved.cursor) {
                true => Ok(()),
                false => Err(self.other_history(Some(saved))),
            };
        }
        let Some(anchor) = &saved.anchor else { return Ok(()) };
        let at = Read::forward(Query::System).including(Point::Position(anchor.position)).limit(1);
        let page = match store.read(at).await {
            Ok(page) => page,
            Err(error) => return Err(self.read_error(error, Some(saved))),
        };
        // Retention may hide the event itself; then the page begins with a later one.
        let is_same = |event: &Recorded| match event.position() == anchor.position {
            true => event.id() == anchor.id && event.commit_time().micros() == anchor.commit_time,
            false => true,
        };
        // The page tells where the store ended when it was read; its head may be beyond that by now.
        let ends_before =
            page.events.is_empty() && !page.more && !page.cursor.covers(&saved.cursor);
        match !ends_before && page.events.first().is_none_or(is_same) {
            true => Ok(()),
            false => Err(self.other_history(Some(saved))),
        }
    }
}

impl<B: Subscription> Reader<B> {
    /// Waits for events. Until it has caught up it fills a batch. From then on it takes whatever is ready, so that
    /// one event is committed at once and many together. If the future is dropped, what is gathered stays.
    async fn gather(&mut self) -> Result<(), ReadError> {
        while !self.gathered.is_complete() {
            let delivery = match self.subscription.ready() {
                Some(delivery) => delivery,
                None if self.caught_up && !self.gathered.events.is_empty() => break,
                None => self.subscription.next().await?,
            };
            self.gathered.push(delivery);
        }
        self.caught_up |= self.gathered.end.is_some();
        Ok(())
    }
}

impl<'a, K: Sink, B: Subscription> Follower<'a, K, B> {
    /// Subscribes after what the sink has stored, if it is of this definition and this store.
    pub(super) async fn start(
        definition: Definition,
        store: &impl EventStore,
        source: &impl Source<Subscription = B>,
        sink: &'a Mutex<K>,
    ) -> Result<Self, ViewError> {
        let saved = sink.lock().await.saved().await?;
        if let Some(saved) = &saved {
            definition.check(store, saved).await?;
        }
        let cursor = saved.as_ref().map_or_else(|| definition.start.clone(), Saved::cursor);
        let query = definition.query.clone();
        let subscription = match source.follow(Subscribe::after(query, cursor)).await {
            Ok(subscription) => subscription,
            Err(error) => return Err(definition.read_error(error, saved.as_ref())),
        };
        let reader = Reader { subscription, gathered: Gathered::default(), caught_up: false };
        let writer = Writer { definition, sink, saved };
        Ok(Follower { reader, writer, caught_up: false })
    }

    /// Returns whether all events that were stored have been committed.
    pub(super) fn has_caught_up(&self) -> bool {
        self.caught_up
    }

    /// Returns the cursor behind the last commit, or where the sink begins.
    pub(super) fn cursor(&self) -> Cursor {
        let saved = self.writer.saved.as_ref();
        saved.map_or_else(|| self.writer.definition.start.clone(), Saved::cursor)
    }

    /// Waits for events and commits them; meanwhile it gathers the next ones.
    pub(super) async fn step(&mut self) -> Result<(), ViewError> {
        self.reader.gather().await?;
        let gathered = std::mem::take(&mut self.reader.gathered);
        let caught_up = gathered.end.is_some();
        let (commit, gather) = (pin!(self.writer.commit(gathered)), pin!(self.reader.gather()));
        match select(commit, gather).await {
            Either::Left((committed, _)) => committed?,
            Either::Right((gathered, commit)) => {
                // What was read before counts, also if no more can be read.
                commit.await?;
                gathered?;
            }
        }
        self.caught_up |= caught_up;
        Ok(())
    }
}

impl<K: Sink> Writer<'_, K> {
    async fn commit(&mut self, gathered: Gathered) -> Result<(), ViewError> {
        let Gathered { events, cursors, end, .. } = gathered;
        let Some(at) = end.or_else(|| cursors.last().cloned()) else { return Ok(()) };
        if events.is_empty() && self.saved.as_ref().is_some_and(|saved| saved.cursor == at) {
            return Ok(());
        }
        let events: Arc<[Recorded]> = events.into();
        match self.write(events.clone(), at).await {
            Err(error) if is_of_event(&error) => {
                Err(self.commit_up_to_failure(&events, &cursors, error).await)
            }
            written => written,
        }
    }

    /// Commits the events before the first one that can't be applied or put aside, which it finds by halves.
    /// Returns the error of that event.
    async fn commit_up_to_failure(
        &mut self,
        mut rest: &[Recorded],
        mut cursors: &[Cursor],
        mut failure: ViewError,
    ) -> ViewError {
        while rest.len() > 1 {
            let (half, behind) = rest.split_at(rest.len() / 2);
            let (of_half, of_rest) = cursors.split_at(half.len());
            let Some(at) = of_half.last() else { break };
            match self.write(half.into(), at.clone()).await {
                Ok(()) => (rest, cursors) = (behind, of_rest),
                Err(error) if is_of_event(&error) => {
                    failure = error;
                    (rest, cursors) = (half, of_half);
                }
                Err(error) => return error,
            }
        }
        match rest.first() {
            Some(_) if matches!(failure, ViewError::TooManyParked { .. }) => failure,
            Some(event) => ViewError::StoppedBefore {
                view: self.definition.name.clone(),
                position: event.position(),
                stream: event.stream().to_owned(),
                event_type: event.event_type().to_owned(),
                message: failure.to_string(),
            },
            None => failure,
        }
    }

    async fn write(&mut self, events: Arc<[Recorded]>, at: Cursor) -> Result<(), ViewError> {
        let last = events.last().map(Anchor::of);
        let anchor = last.or_else(|| self.saved.as_ref()?.anchor.clone());
        let to = Saved { made_by: self.definition.made_by(), cursor: at, anchor };
        let batch = Batch { events, from: self.saved.clone(), to };
        if !self.sink.lock().await.commit(&batch).await? {
            return Err(ViewError::Overtaken { view: self.definition.name.clone() });
        }
        self.saved = Some(batch.to);
        Ok(())
    }
}

/// Returns whether an error is that of one event of a batch.
fn is_of_event(error: &ViewError) -> bool {
    matches!(
        error,
        ViewError::Event { .. } | ViewError::Row { .. } | ViewError::TooManyParked { .. }
    )
}
