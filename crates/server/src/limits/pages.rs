use leftfold_api::{Coded, EventStore, Page, Read, ReadError, Recorded};
use thiserror::Error;
use tokio::time::timeout;

use super::{Client, Lease};
use crate::state::State;

/// Bytes that an event of a page takes besides its own.
const EVENT_BYTES: usize = 128;

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

/// Returns the memory that events take.
pub(crate) fn bytes_of<'a>(events: impl IntoIterator<Item = &'a Recorded>) -> usize {
    events.into_iter().map(|event| event.size() + EVENT_BYTES).sum()
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
        let bytes = bytes_of(&page.events);
        if let Some(memory) = answers.take(client, bytes) {
            return Ok((page, memory));
        }
        drop(page);
        let memory = answers.wait(client, bytes, within).await;
        let mut memory = memory.ok_or(PageError::Full)?;
        let page = self.read_in_turn(&read).await?;
        match memory.resize(bytes_of(&page.events)) {
            true => Ok((page, memory)),
            false => Err(PageError::Full),
        }
    }

    async fn read_in_turn(&self, read: &Read) -> Result<Page, PageError> {
        let turn = self.limits.pages.acquire();
        let turn = timeout(self.config.wait_time, turn).await;
        // The semaphore is never closed.
        let _turn = turn.map_err(|_| PageError::Full)?.map_err(|_| PageError::Full)?;
        Ok(self.store.read(read.clone()).await?)
    }
}
