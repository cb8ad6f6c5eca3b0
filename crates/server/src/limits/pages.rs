use leftfold_api::{Coded, EventStore, Page, Read, ReadError, Recorded};
use thiserror::Error;
use tokio::time::timeout;

use super::{Client, Lease};
use crate::net::ReadTurn;
use crate::state::State;

/// Bytes that an event of a page takes besides its own: what describes it, and the names of its fields in JSON.
const EVENT_BYTES: usize = 400;
/// What the largest event of a page takes while it is converted, by its size: its base64, and the text or the message
/// that it becomes.
const CONVERSION: usize = 3;

/// Why there is no page.
#[derive(Debug, Error)]
pub(crate) enum PageError {
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The store has not reached the cursor in time.
    #[error(
        "the store did not reach the cursor of at_least within limits.wait_time; try again later"
    )]
    Late,
    /// There was no memory in time.
    #[error(
        "the answers in flight take all of limits.answers_bytes, or of this client's share of it (limits.share); try \
         again later"
    )]
    Full,
}

impl PageError {
    /// Returns a stable code.
    pub(crate) fn code(&self) -> &'static str {
        match self {
            PageError::Read(error) => error.code(),
            PageError::Late => "timed_out",
            PageError::Full => "server_overloaded",
        }
    }
}

/// Returns the memory that events take, and the text or the messages that they become one after the other.
pub(crate) fn memory_of<'a>(events: impl IntoIterator<Item = &'a Recorded>) -> usize {
    let (mut all, mut largest) = (0_usize, 0);
    for size in events.into_iter().map(Recorded::size) {
        all = all.saturating_add(size + EVENT_BYTES);
        largest = largest.max(size);
    }
    all.saturating_add(largest.saturating_mul(CONVERSION))
}

/// Lets go of the blocks of the log from which events were read, where other events take most of them: a page of
/// small events that lie apart would hold a block for each.
pub(crate) fn detach<'a>(events: impl Iterator<Item = &'a mut Recorded>) {
    /// Bytes of an event that takes a good part of its block.
    const LARGE: usize = 16 << 10;
    let mut events: Vec<_> = events.collect();
    let positions = || events.iter().map(|event| event.position());
    let is_run = positions().zip(positions().skip(1)).all(|(one, next)| one.abs_diff(next) == 1);
    let is_run = is_run && events.len() > 1;
    if is_run {
        return;
    }
    for event in events.iter_mut().filter(|it| !it.is_detached() && it.size() < LARGE) {
        **event = event.clone().detached();
    }
}

impl State {
    /// Reads a page, and reserves the memory that it takes until the answer is sent. Only a few pages are read at the
    /// same time; one that finds no memory is dropped, and read again when there is.
    pub(crate) async fn read_page(
        &self,
        client: &Client,
        mut read: Read,
    ) -> Result<(Page, Lease), PageError> {
        let within = self.config.wait_time;
        if read.at_least.is_some() {
            // Waits with a page of one event, so that none of those turns is held meanwhile.
            let waiting = self.store.read(Read { limit: 1, ..read.clone() });
            timeout(within, waiting).await.map_err(|_| PageError::Late)??;
            read.at_least = None;
        }
        let page = self.read_in_turn(&read).await?;
        let answers = &self.limits.answers;
        let bytes = memory_of(&page.events);
        if let Some(memory) = answers.take(client, bytes) {
            return Ok((page, memory));
        }
        drop(page);
        let memory = answers.wait(client, bytes, within).await;
        let mut memory = memory.ok_or(PageError::Full)?;
        let page = self.read_in_turn(&read).await?;
        match memory.resize(memory_of(&page.events)) {
            true => Ok((page, memory)),
            false => Err(PageError::Full),
        }
    }

    async fn read_in_turn(&self, read: &Read) -> Result<Page, PageError> {
        let detached = |mut page: Page| {
            detach(page.events.iter_mut());
            page
        };
        self.read_in_turn_with(read, detached).await
    }

    /// Reads a page and makes something of it, which must not take long: only a few pages are there at the same time. The
    /// caller has reserved the memory.
    pub(crate) async fn read_in_turn_with<T>(
        &self,
        read: &Read,
        make: impl FnOnce(Page) -> T,
    ) -> Result<T, PageError> {
        let turn = self.limits.pages.of(read.level).acquire();
        let turn = timeout(self.config.wait_time, turn).await;
        // The semaphore is never closed.
        let _turn = turn.map_err(|_| PageError::Full)?.map_err(|_| PageError::Full)?;
        let page = match ReadTurn::begin() {
            Some(_here) => self.store.read_here(read.clone()).await?,
            None => self.store.read(read.clone()).await?,
        };
        Ok(make(page))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use leftfold_api::{Append, NewEvent, Query};
    use leftfold_io::SystemClock;
    use leftfold_io::fake::{FakeDisk, SeededRandom};
    use leftfold_store::{Embedded, Options};

    use super::*;

    #[tokio::test]
    async fn events_that_lie_apart_hold_no_blocks() {
        let (clock, random) = (Arc::new(SystemClock), Arc::new(SeededRandom::new(7)));
        let disk = Arc::new(FakeDisk::new());
        let store = Embedded::open_on(disk, clock, random, Options::default()).unwrap();
        let append = (0..20).fold(Append::new(), |append, n| {
            append.event(["a", "b"][n % 2], NewEvent::json("T", "\"0123456789\""))
        });
        store.append(append).await.unwrap();
        for (step, are_copied) in [(1, false), (2, true)] {
            let mut page = store.read(Read::forward(Query::All)).await.unwrap();
            page.events = page.events.into_iter().step_by(step).collect();
            let places = |page: &Page| -> Vec<_> {
                page.events.iter().map(|event| event.stream().as_ptr()).collect()
            };
            let before = places(&page);
            detach(page.events.iter_mut());
            let after = places(&page);
            assert!(before.iter().zip(&after).all(|(one, other)| (one != other) == are_copied));
            assert!(page.events.iter().all(|event| event.is_detached() == are_copied));
            // Those are not copied again.
            detach(page.events.iter_mut());
            assert_eq!(places(&page), after);
        }
    }
}
