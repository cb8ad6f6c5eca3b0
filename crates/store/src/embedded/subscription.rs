use std::collections::VecDeque;
use std::sync::Arc;

use leftfold_index::Key;

use super::core::Core;
use super::page;
use super::pool::Pool;
use super::wait_list::required_keys;
use leftfold_api::{
    Cursor, Delivery, Failure, Page, Point, Query, Read, ReadError, Recorded, Start, Subscribe,
    Subscription,
};

/// The most events that a subscription reads at once and holds.
const BATCH: usize = 256;

/// A running subscription: a continued read that holds one small page. New events are read in the same
/// way as history, so none is lost or repeated between the two, and a slow subscriber costs no memory.
pub struct LiveSubscription {
    core: Arc<Core>,
    pool: Option<Pool>,
    query: Query,
    with_ordinals: bool,
    page: VecDeque<Recorded>,
    /// The position where the page ends.
    page_end: u64,
    /// The position of the last delivery.
    position: u64,
    /// Whether more events followed when the page was read.
    behind: bool,
    /// Whether the subscriber was told that it has caught up, and has not fallen behind since.
    live: bool,
}

impl LiveSubscription {
    /// Starts a subscription and reads its first page.
    pub(crate) fn start(
        core: Arc<Core>,
        pool: Option<Pool>,
        subscribe: Subscribe,
    ) -> Result<Self, ReadError> {
        let Subscribe { query, from, with_ordinals } = subscribe;
        let first = Read { from, with_ordinals, ..Read::forward(query.clone()).limit(BATCH) };
        let page = core.read(&first)?;
        let end = position_of(&page);
        let mut subscription = LiveSubscription {
            position: page.events.first().map_or(end, |event| event.position() - 1),
            page_end: end,
            page: VecDeque::new(),
            behind: true,
            live: false,
            core,
            pool,
            query,
            with_ordinals,
        };
        subscription.hold_page(page);
        Ok(subscription)
    }

    fn hold_page(&mut self, page: Page) {
        self.behind = page.more;
        self.live &= !page.more;
        self.page_end = position_of(&page);
        self.page = page.events.into();
    }

    /// Returns the next delivery that needs neither a read nor a wait.
    fn next_held(&mut self) -> Option<Delivery> {
        if let Some(event) = self.page.pop_front() {
            self.position = event.position();
            return Some(Delivery::Event(event, self.core.cursor(self.position)));
        }
        self.position = self.page_end;
        if !self.behind && !self.live {
            self.live = true;
            return Some(Delivery::CaughtUp(self.core.cursor(self.position)));
        }
        None
    }

    fn next_page(&self) -> Read {
        let from = Start::Excluding(Point::Position(self.page_end));
        let with_ordinals = self.with_ordinals;
        Read { from, with_ordinals, ..Read::forward(self.query.clone()).limit(BATCH) }
    }

    async fn wait_for_more(&self) -> Result<(), ReadError> {
        if self.behind {
            return Ok(());
        }
        let (core, seen) = (&self.core, self.page_end);
        // If an index was dropped, the next read reports it.
        let Some(keys) = self.required_keys() else { return Ok(()) };
        if let Some(keys) = keys
            && let Some(registration) = core.wait_list.register(&keys)
        {
            // An index may have been defined again before this registration, with other keys. The
            // signals for that change were sent already.
            if self.required_keys().flatten().as_ref() != Some(&keys) {
                return Ok(());
            }
            match self.last_admitted_match(&keys)? {
                Some(position) => core.wait(|head| head.position >= position).await?,
                None => registration.wait().await,
            }
            return Ok(());
        }
        Ok(core.wait(|head| head.position > seen).await?)
    }

    /// Returns keys of which each wanted event has one; `Some(None)` if there are too many, and `None` if
    /// a named index of the query does not exist.
    #[expect(clippy::option_option, reason = "no index and no keys are different answers")]
    fn required_keys(&self) -> Option<Option<Vec<Key>>> {
        let (_, plan) = self.core.resolve(&self.query).ok()?;
        Some(plan.postings.as_ref().and_then(required_keys))
    }

    /// Returns the last position, durable or not, of an event that has one of the keys and was not read.
    fn last_admitted_match(&self, keys: &[Key]) -> Result<Option<u64>, Failure> {
        let (index, seen) = (self.core.index.set.load(), self.page_end);
        let newest = |key| index.newest_after(key, seen);
        let newest: Vec<_> = keys.iter().map(newest).collect::<Result<_, _>>()?;
        Ok(newest.into_iter().flatten().max())
    }

    async fn read_on(&mut self) -> Result<(), ReadError> {
        let (core, read) = (self.core.clone(), self.next_page());
        // A new event is usually in memory. Waking another thread would take longer than this read.
        if let Some(Ok(page)) = leftfold_io::from_memory(|| core.read(&read)) {
            self.hold_page(page);
            return Ok(());
        }
        let page = match &self.pool {
            None => core.read(&read)?,
            Some(pool) => page::read_in_turns(pool, core, read).await?,
        };
        self.hold_page(page);
        Ok(())
    }

    /// Returns the next delivery; blocks the caller's thread until there is one.
    pub fn next_blocking(&mut self) -> Result<Delivery, ReadError> {
        loop {
            if let Some(delivery) = self.next_held() {
                return Ok(delivery);
            }
            pollster::block_on(self.wait_for_more())?;
            let page = self.core.read(&self.next_page())?;
            self.hold_page(page);
        }
    }

    /// Returns the next delivery without waiting, or `None` if there is none yet.
    pub fn try_next(&mut self) -> Result<Option<Delivery>, ReadError> {
        if let Some(delivery) = self.next_held() {
            return Ok(Some(delivery));
        }
        let page = self.core.read(&self.next_page())?;
        self.hold_page(page);
        Ok(self.next_held())
    }
}

impl Subscription for LiveSubscription {
    async fn next(&mut self) -> Result<Delivery, ReadError> {
        loop {
            if let Some(delivery) = self.next_held() {
                return Ok(delivery);
            }
            self.wait_for_more().await?;
            self.read_on().await?;
        }
    }

    fn ready(&mut self) -> Option<Delivery> {
        self.next_held()
    }

    async fn advance(&mut self) -> Result<(), ReadError> {
        if self.live && self.page.is_empty() {
            self.read_on().await?;
            if self.page.is_empty() {
                self.position = self.page_end;
            }
        }
        Ok(())
    }

    fn cursor(&self) -> Cursor {
        self.core.cursor(self.position)
    }
}

/// Returns the position where a page of this store ends.
fn position_of(page: &Page) -> u64 {
    page.cursor.position().unwrap_or_default()
}
