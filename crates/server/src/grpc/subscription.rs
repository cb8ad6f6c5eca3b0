use std::sync::Arc;

use futures_util::Stream;
use futures_util::stream::unfold;
use leftfold_api::{Cursor, Subscribe};
use leftfold_wire::{EventForm, MESSAGE_BYTES, delivery_part, v1};
use tonic::Status;

use super::status;
use crate::access::Caller;
use crate::limits::{PageError, PageMemory};
use crate::state::State;
use crate::subscriptions::{End, Feed, FeedOptions, Part, SubscribeError};

/// A subscription, sent in messages as the client takes them. While it takes none, nothing is read:
/// events wait in the log.
pub(super) struct SubscriptionMessages {
    feed: Feed,
    form: EventForm,
    /// Where the client knows the subscription to be; `None` before the first message.
    sent: Option<Cursor>,
    has_failed: bool,
    /// The memory of the page of the last message.
    memory: PageMemory,
}

impl SubscriptionMessages {
    pub(super) async fn start(
        state: Arc<State>,
        caller: Caller,
        subscribe: Subscribe,
        form: EventForm,
    ) -> Result<Self, Status> {
        let options = FeedOptions { name: None, part_bytes: MESSAGE_BYTES };
        let feed = Feed::start(state, caller, subscribe, options).await.map_err(status_of_start)?;
        let memory = PageMemory::default();
        Ok(SubscriptionMessages { feed, form, sent: None, has_failed: false, memory })
    }

    /// Returns where the memory of its messages is noted.
    pub(super) fn memory(&self) -> PageMemory {
        self.memory.clone()
    }

    /// Returns the messages.
    pub(super) fn stream(self) -> impl Stream<Item = Result<v1::SubscribeResponse, Status>> + Send {
        unfold(self, |mut messages| async move {
            if messages.has_failed {
                return None;
            }
            let message = messages.next().await;
            messages.has_failed = message.is_err();
            Some((message, messages))
        })
    }

    async fn next(&mut self) -> Result<v1::SubscribeResponse, Status> {
        if self.sent.is_none() {
            // The first message says where the subscription begins.
            let cursor = self.feed.cursor();
            return Ok(self.message(Part {
                events: Vec::new(),
                caught_up: false,
                cursor,
                memory: None,
            }));
        }
        loop {
            let part = self.feed.next().await.map_err(status_of_end)?;
            if !part.is_heartbeat() || self.sent.as_ref() != Some(&part.cursor) {
                return Ok(self.message(part));
            }
        }
    }

    fn message(&mut self, part: Part) -> v1::SubscribeResponse {
        self.sent = Some(part.cursor.clone());
        self.memory.set(part.memory);
        delivery_part(part.events, &self.form, part.cursor, part.caught_up)
    }
}

fn status_of_start(error: SubscribeError) -> Status {
    match error {
        SubscribeError::Full(most) => status::too_many_subscriptions(most),
        SubscribeError::NoMemory => status::page(PageError::Full),
        SubscribeError::Refused(refusal) => status::refused(refusal),
        SubscribeError::Store(error) => status::read(error),
    }
}

fn status_of_end(end: End) -> Status {
    match end {
        End::Store(error) => status::read(error),
        End::Denial(denied) => status::denied(denied),
        End::Full => status::page(PageError::Full),
        End::Closing => status::closing(),
    }
}
