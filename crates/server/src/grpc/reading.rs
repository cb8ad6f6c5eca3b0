use std::sync::Arc;
use std::vec::IntoIter;

use futures_util::Stream;
use futures_util::stream::unfold;
use leftfold_api::{Cursor, Page, Point, Read, Recorded, Start};
use leftfold_wire::{EventForm, MESSAGE_BYTES, PackedEvents, page_part, v1};
use tonic::Status;

use super::status;
use crate::access::{Caller, ReadPermit};
use crate::limits::PageMemory;
use crate::state::State;

/// Events of a page, where the client wants all pages: about a megabyte of small events. So a call of
/// the store costs little for each event, and a slow client holds no more than that.
const PAGE: usize = 2_048;

/// A read, sent in parts as the client takes them.
pub(super) struct PageMessages {
    state: Arc<State>,
    caller: Caller,
    permit: ReadPermit,
    read: Read,
    form: EventForm,
    /// Whether the client wants all pages, and not one.
    all_pages: bool,
    /// The events of a page that are still to be sent, and the page's cursor and `more`.
    page: Option<(IntoIter<Recorded>, (Cursor, bool))>,
    /// The memory of the page.
    memory: PageMemory,
    ended: bool,
}

impl PageMessages {
    pub(super) fn new(
        state: Arc<State>,
        caller: Caller,
        permit: ReadPermit,
        read: Read,
        form: EventForm,
        all_pages: bool,
    ) -> Self {
        let read = Read { query: permit.query().clone(), ..read };
        PageMessages {
            state,
            caller,
            permit,
            read,
            form,
            all_pages,
            page: None,
            memory: PageMemory::default(),
            ended: false,
        }
    }

    /// Returns where the memory of its pages is noted.
    pub(super) fn memory(&self) -> PageMemory {
        self.memory.clone()
    }

    /// Returns the messages.
    pub(super) fn parts(self) -> impl Stream<Item = Result<v1::ReadResponse, Status>> + Send {
        unfold(self, |mut reading| async move {
            let part = reading.next().await.transpose()?;
            reading.ended |= part.is_err();
            Some((part, reading))
        })
    }

    async fn next(&mut self) -> Result<Option<v1::ReadResponse>, Status> {
        if self.page.is_none() {
            if self.ended {
                return Ok(None);
            }
            if self.state.is_closing() {
                return Err(status::closing());
            }
            self.caller.still_may_read(&self.permit).map_err(status::denied)?;
            let page = self.read_page().await?;
            self.page = Some((page.events.into_iter(), (page.cursor, page.more)));
        }
        Ok(self.part())
    }

    async fn read_page(&mut self) -> Result<Page, Status> {
        let limit = if self.all_pages { self.read.limit.min(PAGE) } else { self.read.limit };
        let read = Read { limit, ..self.read.clone() };
        self.memory.set(None);
        let page = self.state.read_page(&self.caller.client(), read).await;
        let (page, memory) = page.map_err(status::page)?;
        self.memory.set(Some(Arc::new(memory)));
        self.permit.admit(&page.events).map_err(status::denied)?;
        self.state.metrics.read(page.events.len());
        if self.all_pages {
            self.read.limit = self.read.limit.saturating_sub(page.events.len());
        }
        self.read.from = Start::Excluding(Point::Cursor(page.cursor.clone()));
        self.read.at_least = None;
        self.ended = !self.all_pages || !page.more || self.read.limit == 0;
        Ok(page)
    }

    fn part(&mut self) -> Option<v1::ReadResponse> {
        let (events, end) = self.page.as_mut()?;
        let (mut part, mut bytes) = (Vec::with_capacity(events.len().min(512)), 0);
        while bytes < MESSAGE_BYTES {
            let Some(event) = events.next() else { break };
            bytes += PackedEvents::bytes_of(&event);
            part.push(event);
        }
        let end = (events.len() == 0).then_some(end.clone());
        if end.is_some() {
            self.page = None;
        }
        Some(page_part(part, &self.form, end))
    }
}
