use futures_util::lock::Mutex;
use leftfold_api::{
    Cursor, Delivery, EventStore, Invalid, Point, Query, Read, ReadError, Recorded, Subscribe,
    Subscription,
};

use super::{Anchor, Batch, Saved, Sink, ViewError};

/// The maximum number of events in one commit.
const BATCH: usize = 2_048;
/// The maximum bytes of events in one commit; one event is accepted whatever its size.
const BATCH_BYTES: usize = 8 << 20;

/// What is followed: a name, a version of the logic, and a query.
pub(super) struct Definition {
    pub(super) name: String,
    pub(super) logic: u32,
    pub(super) query: Query,
}

/// The subscription that brings events to a sink.
pub(super) struct Follower<'a, K, B> {
    definition: Definition,
    sink: &'a Mutex<K>,
    subscription: B,
    saved: Option<Saved>,
    /// Whether all stored events have been delivered once.
    caught_up: bool,
}

/// Events that are committed together, each with the cursor behind it.
#[derive(Default)]
struct Gathered {
    events: Vec<Recorded>,
    cursors: Vec<Cursor>,
    bytes: usize,
}

impl Gathered {
    fn push(&mut self, event: Recorded, at: Cursor) {
        self.bytes += event.data().len() + event.metadata().len();
        self.events.push(event);
        self.cursors.push(at);
    }

    fn is_full(&self) -> bool {
        self.events.len() >= BATCH || self.bytes >= BATCH_BYTES
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
        let ends_before =
            page.events.is_empty() && !page.more && !store.head().await?.covers(&saved.cursor);
        match !ends_before && page.events.first().is_none_or(is_same) {
            true => Ok(()),
            false => Err(self.other_history(Some(saved))),
        }
    }
}

impl<'a, K: Sink, B: Subscription> Follower<'a, K, B> {
    /// Subscribes after what the sink has stored, if it is of this definition and this store.
    pub(super) async fn start<S: EventStore<Subscription = B>>(
        definition: Definition,
        store: &S,
        sink: &'a Mutex<K>,
    ) -> Result<Self, ViewError> {
        let saved = sink.lock().await.saved().await?;
        if let Some(saved) = &saved {
            definition.check(store, saved).await?;
        }
        let cursor = saved.as_ref().map_or(Cursor::START, |saved| saved.cursor.clone());
        let query = definition.query.clone();
        let subscription = match store.subscribe(Subscribe::after(query, cursor)).await {
            Ok(subscription) => subscription,
            Err(error) => return Err(definition.read_error(error, saved.as_ref())),
        };
        Ok(Follower { definition, sink, subscription, saved, caught_up: false })
    }

    /// Returns whether all events that were stored have been committed.
    pub(super) fn has_caught_up(&self) -> bool {
        self.caught_up
    }

    /// Returns the cursor behind the last commit.
    pub(super) fn cursor(&self) -> Cursor {
        self.saved.as_ref().map_or(Cursor::START, Saved::cursor)
    }

    /// Waits for events and commits them. Until it has caught up it fills a batch. From then on it
    /// commits whatever is ready, so that one event is committed at once and many together.
    pub(super) async fn step(&mut self) -> Result<(), ViewError> {
        let mut gathered = Gathered::default();
        let mut end = None;
        while !gathered.is_full() {
            let delivery = match self.subscription.ready() {
                Some(delivery) => delivery,
                None if self.caught_up && !gathered.events.is_empty() => break,
                None => self.subscription.next().await?,
            };
            match delivery {
                Delivery::Event(event, at) => gathered.push(event, at),
                Delivery::CaughtUp(at) => {
                    end = Some(at);
                    break;
                }
            }
        }
        let caught_up = end.is_some();
        if let Some(at) = end.or_else(|| gathered.cursors.last().cloned()) {
            self.commit(gathered, at).await?;
        }
        self.caught_up |= caught_up;
        Ok(())
    }

    async fn commit(&mut self, gathered: Gathered, at: Cursor) -> Result<(), ViewError> {
        if gathered.events.is_empty() && self.saved.as_ref().is_some_and(|saved| saved.cursor == at)
        {
            return Ok(());
        }
        match self.write(&gathered.events, at).await {
            Err(error) if is_of_event(&error) => {
                Err(self.commit_up_to_failure(gathered, error).await)
            }
            written => written,
        }
    }

    /// Commits the events before the first one that can't be applied or put aside, which it finds by halves.
    /// Returns the error of that event.
    async fn commit_up_to_failure(
        &mut self,
        gathered: Gathered,
        mut failure: ViewError,
    ) -> ViewError {
        let mut rest = &gathered.events[..];
        let mut cursors = &gathered.cursors[..];
        while rest.len() > 1 {
            let (half, behind) = rest.split_at(rest.len() / 2);
            let (of_half, of_rest) = cursors.split_at(half.len());
            let Some(at) = of_half.last() else { break };
            match self.write(half, at.clone()).await {
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

    async fn write(&mut self, events: &[Recorded], at: Cursor) -> Result<(), ViewError> {
        let last = events.last().map(Anchor::of);
        let anchor = last.or_else(|| self.saved.as_ref()?.anchor.clone());
        let to = Saved { made_by: self.definition.made_by(), cursor: at, anchor };
        let batch = Batch { events: events.into(), from: self.saved.clone(), to };
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
