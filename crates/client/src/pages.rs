use leftfold_api::{From as Begin, Page, Point, Read, ReadError};
use leftfold_wire::{append_page, v1};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tonic::Streaming;

use crate::backoff::Backoff;
use crate::calls::{Calls, Patience, Repeat};
use crate::client::Client;
use crate::fault::Fault;

/// Pages that wait for the user.
const WAITING: usize = 2;

/// Page after page of a read, the next already on its way while one is looked at.
pub struct Pages {
    pages: mpsc::Receiver<Result<Page, ReadError>>,
}

impl Client {
    /// Reads page after page, up to the read's limit or the end of the log: the fastest way through
    /// much history. What was read stays a prefix of the truth if the connection is lost meanwhile.
    ///
    /// # Errors
    /// Those of a read.
    pub async fn pages(&self, read: Read) -> Result<Pages, ReadError> {
        let calls = self.calls.clone();
        let incoming = open(&calls, &read).await?;
        let (pages, received) = mpsc::channel(WAITING);
        self.calls.handle.spawn(Pump { calls, read, pages }.run(incoming));
        Ok(Pages { pages: received })
    }
}

impl Pages {
    /// The next page; none if there is no more.
    ///
    /// # Errors
    /// Those of a read; it has ended then.
    pub async fn next(&mut self) -> Result<Option<Page>, ReadError> {
        self.pages.recv().await.transpose()
    }
}

async fn open(calls: &Calls, read: &Read) -> Result<Streaming<v1::ReadResponse>, Fault> {
    let request = v1::ReadRequest { all_pages: true, ..v1::ReadRequest::from(read) };
    let opened = calls.ask(Repeat::Safe, Patience::Usual, request, |calls, request| async move {
        calls.store().read(request).await
    });
    opened.await
}

struct Pump {
    calls: Calls,
    /// What is still to be read.
    read: Read,
    pages: mpsc::Sender<Result<Page, ReadError>>,
}

impl Pump {
    async fn run(mut self, mut incoming: Streaming<v1::ReadResponse>) {
        let mut events = Vec::new();
        loop {
            let part = tokio::select! {
                part = incoming.message() => part,
                () = self.pages.closed() => return,
            };
            let fault = match part {
                Ok(Some(part)) => match append_page(&mut events, part) {
                    Ok(None) => continue,
                    Ok(Some(page)) => match self.hand_on(page).await {
                        true => continue,
                        false => return,
                    },
                    Err(error) => {
                        _ = self.pages.send(Err(error)).await;
                        return;
                    }
                },
                // It ends in order behind a last page, which was handed on.
                Ok(None) => Fault::Lost("the server has ended the answer too early".to_owned()),
                Err(status) => status.into(),
            };
            events.clear();
            match self.resume(fault).await {
                Some(resumed) => incoming = resumed,
                None => return,
            }
        }
    }

    /// Hands a page on; false if it was the last, or nobody wants it.
    async fn hand_on(&mut self, page: Page) -> bool {
        self.read.limit = self.read.limit.saturating_sub(page.events.len());
        self.read.from = Begin::Excluding(Point::Cursor(page.cursor.clone()));
        let more = page.more && self.read.limit > 0;
        self.pages.send(Ok(page)).await.is_ok() && more
    }

    async fn resume(&mut self, mut fault: Fault) -> Option<Streaming<v1::ReadResponse>> {
        let deadline = Instant::now() + self.calls.patience;
        let mut backoff = Backoff::new();
        loop {
            if !fault.may_pass(true) || !backoff.pause(deadline).await {
                _ = self.pages.send(Err(fault.into())).await;
                return None;
            }
            match open(&self.calls, &self.read).await {
                Ok(incoming) => return Some(incoming),
                Err(again) => fault = again,
            }
        }
    }
}
