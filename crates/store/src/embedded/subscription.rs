use std::collections::VecDeque;
use std::sync::Arc;

use leftfold_index::Key;

use super::core::Core;
use super::page;
use super::pool::Pool;
use super::wakes::needed;
use leftfold_api::{
    Cursor, Delivery, Failure, From, Page, Point, Query, Read, ReadError, Recorded, Subscribe,
    Subscription,
};

/// So many events a subscription reads at once, and holds at most.
const BATCH: usize = 256;

/// A running subscription. It is a read that goes on: it holds one small page, and what comes live
/// is read like history. So a slow subscriber costs no memory, and there is no seam between the
/// two at which an event could be lost or doubled.
pub struct LiveSubscription {
    core: Arc<Core>,
    pool: Option<Pool>,
    query: Query,
    with_ordinals: bool,
    page: VecDeque<Recorded>,
    /// The position where the page ends.
    page_end: u64,
    /// The position behind the last delivery.
    position: u64,
    /// Whether there was more behind the page when it was read.
    behind: bool,
    /// Whether the user was told to have caught up, and has not fallen behind since.
    live: bool,
    /// Where the user wants to begin, while that lies ahead of the store.
    waiting_at: Option<From>,
}

impl LiveSubscription {
    /// Starts from where the user says; reads nothing but what it needs to know where that is.
    pub(crate) fn start(
        core: Arc<Core>,
        pool: Option<Pool>,
        subscribe: Subscribe,
    ) -> Result<Self, ReadError> {
        let Subscribe { query, from, with_ordinals } = subscribe;
        let first = Read { from, with_ordinals, ..Read::forward(query.clone()).limit(BATCH) };
        let (page, reached) = core.read_from(&first)?;
        let end = position_of(&page);
        let mut subscription = LiveSubscription {
            position: page.events.first().map_or(end, |event| event.position() - 1),
            page_end: end,
            page: VecDeque::new(),
            behind: true,
            live: false,
            waiting_at: (!reached).then_some(first.from),
            core,
            pool,
            query,
            with_ordinals,
        };
        subscription.take(page);
        Ok(subscription)
    }

    fn arrive(&mut self, (page, reached): (Page, bool)) {
        if reached {
            self.waiting_at = None;
        }
        self.take(page);
    }

    fn take(&mut self, page: Page) {
        self.behind = page.more;
        self.live &= !page.more;
        self.page_end = position_of(&page);
        self.page = page.events.into();
    }

    /// What can be delivered without reading or waiting.
    fn held(&mut self) -> Option<Delivery> {
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
        let next = || From::Excluding(Point::Position(self.page_end));
        let from = self.waiting_at.clone().unwrap_or_else(next);
        let with_ordinals = self.with_ordinals;
        Read { from, with_ordinals, ..Read::forward(self.query.clone()).limit(BATCH) }
    }

    async fn wait_for_more(&self) -> Result<(), ReadError> {
        if self.behind {
            return Ok(());
        }
        let (core, seen) = (&self.core, self.page_end);
        if self.waiting_at.is_none() {
            // An index that is not there any more: the next read says so.
            let Some(keys) = self.needed_keys() else { return Ok(()) };
            if let Some(keys) = keys
                && let Some(registered) = core.wakes.register(&keys)
            {
                // An index that was defined anew before this registered has other keys, and the
                // bells for the change have rung already.
                if self.needed_keys().flatten().as_ref() != Some(&keys) {
                    return Ok(());
                }
                match self.under_way(&keys)? {
                    Some(position) => core.wait(|head| head.position >= position).await?,
                    None => registered.rung().await,
                }
                return Ok(());
            }
        }
        Ok(core.wait(|head| head.position > seen).await?)
    }

    /// The keys of which each wanted event has one, `Some(None)` if there are too many of them, and
    /// `None` if the query asks for an index that is not there.
    #[expect(clippy::option_option, reason = "no index and no keys are different answers")]
    fn needed_keys(&self) -> Option<Option<Vec<Key>>> {
        let (_, plan) = self.core.resolve(&self.query).ok()?;
        Some(plan.postings.as_ref().and_then(needed))
    }

    /// The last position, durable or not, of what this one waits for and has not seen.
    fn under_way(&self, keys: &[Key]) -> Result<Option<u64>, Failure> {
        let (index, seen) = (self.core.index.set.load(), self.page_end);
        let newest = |key| index.newest_after(key, seen);
        let newest: Vec<_> = keys.iter().map(newest).collect::<Result<_, _>>()?;
        Ok(newest.into_iter().flatten().max())
    }

    async fn read_on(&mut self) -> Result<(), ReadError> {
        let (core, read) = (self.core.clone(), self.next_page());
        // What came just now is in memory, as a rule: another thread would take longer to be woken.
        if let Some(Ok(page)) = leftfold_io::from_memory(|| core.read_from(&read)) {
            self.arrive(page);
            return Ok(());
        }
        let page = match &self.pool {
            None => core.read_from(&read)?,
            Some(pool) => page::read_in_turns(pool, core, read).await?,
        };
        self.arrive(page);
        Ok(())
    }

    /// The next delivery; waits for it on the caller's thread.
    pub fn next_blocking(&mut self) -> Result<Delivery, ReadError> {
        loop {
            if let Some(delivery) = self.held() {
                return Ok(delivery);
            }
            pollster::block_on(self.wait_for_more())?;
            let page = self.core.read_from(&self.next_page())?;
            self.arrive(page);
        }
    }

    /// What has come, without waiting; none if that is nothing.
    pub fn try_next(&mut self) -> Result<Option<Delivery>, ReadError> {
        if let Some(delivery) = self.held() {
            return Ok(Some(delivery));
        }
        let page = self.core.read_from(&self.next_page())?;
        self.arrive(page);
        Ok(self.held())
    }
}

impl Subscription for LiveSubscription {
    async fn next(&mut self) -> Result<Delivery, ReadError> {
        loop {
            if let Some(delivery) = self.held() {
                return Ok(delivery);
            }
            self.wait_for_more().await?;
            self.read_on().await?;
        }
    }

    fn ready(&mut self) -> Option<Delivery> {
        self.held()
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
