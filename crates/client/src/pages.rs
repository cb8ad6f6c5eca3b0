use leftfold_api::{Page, Point, Read, ReadError, Start};
use leftfold_wire::{append_page, v1};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tonic::Streaming;

use crate::backoff::Backoff;
use crate::call_error::CallError;
use crate::calls::{Calls, Retry, TimeLimit};
use crate::client::Client;

/// Pages that wait for the caller.
const BUFFERED_PAGES: usize = 2;

/// The pages of a read. The next page is received while the caller handles one.
pub struct Pages {
    pages: mpsc::Receiver<Result<Page, ReadError>>,
}

impl Client {
    /// Reads all pages up to the read's limit or the end of the log: the fastest way to read a long
    /// history. After a lost connection the read resumes behind the last page.
    ///
    /// # Errors
    /// Those of a read.
    pub async fn pages(&self, read: Read) -> Result<Pages, ReadError> {
        let calls = self.calls.clone();
        let incoming = open(&calls, &read).await?;
        let (pages, received) = mpsc::channel(BUFFERED_PAGES);
        self.calls.handle.spawn(Forwarder { calls, read, pages }.run(incoming));
        Ok(Pages { pages: received })
    }
}

impl Pages {
    /// Returns the next page, or `None` after the last.
    ///
    /// # Errors
    /// Those of a read; it then ends.
    pub async fn next(&mut self) -> Result<Option<Page>, ReadError> {
        self.pages.recv().await.transpose()
    }
}

async fn open(calls: &Calls, read: &Read) -> Result<Streaming<v1::ReadResponse>, CallError> {
    let request = v1::ReadRequest { all_pages: true, ..v1::ReadRequest::from(read) };
    let opened =
        calls.send(Retry::Always, TimeLimit::Usual, request, |calls, request| async move {
            calls.store().read(request).await
        });
    opened.await
}

struct Forwarder {
    calls: Calls,
    /// The rest of the read.
    read: Read,
    pages: mpsc::Sender<Result<Page, ReadError>>,
}

impl Forwarder {
    async fn run(mut self, mut incoming: Streaming<v1::ReadResponse>) {
        let mut events = Vec::new();
        loop {
            let part = tokio::select! {
                part = incoming.message() => part,
                () = self.pages.closed() => return,
            };
            let error = match part {
                Ok(Some(part)) => match append_page(&mut events, part) {
                    Ok(None) => continue,
                    Ok(Some(page)) => match self.forward(page).await {
                        true => continue,
                        false => return,
                    },
                    Err(error) => {
                        _ = self.pages.send(Err(error)).await;
                        return;
                    }
                },
                // The server ends the call only after the last page, and that ends this loop.
                Ok(None) => CallError::ConnectionLost(
                    "the server ended the answer before its last page".to_owned(),
                ),
                Err(status) => status.into(),
            };
            events.clear();
            match self.resume(error).await {
                Some(resumed) => incoming = resumed,
                None => return,
            }
        }
    }

    /// Forwards a page; returns false after the last, or if the caller has dropped the pages.
    async fn forward(&mut self, page: Page) -> bool {
        self.read.limit = self.read.limit.saturating_sub(page.events.len());
        self.read.from = Start::Excluding(Point::Cursor(page.cursor.clone()));
        let more = page.more && self.read.limit > 0;
        self.pages.send(Ok(page)).await.is_ok() && more
    }

    async fn resume(&mut self, mut error: CallError) -> Option<Streaming<v1::ReadResponse>> {
        let deadline = Instant::now() + self.calls.reconnect_time;
        let mut backoff = Backoff::new();
        loop {
            if !error.can_retry_call(true) || !backoff.pause(deadline).await {
                _ = self.pages.send(Err(error.into())).await;
                return None;
            }
            match open(&self.calls, &self.read).await {
                Ok(incoming) => return Some(incoming),
                Err(again) => error = again,
            }
        }
    }
}
