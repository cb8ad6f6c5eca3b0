//! The JSON of a page, written while its client takes it: the whole text of a large page is never in
//! memory.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes};
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use http_body::Frame;
use leftfold_api::{Page, Recorded};

use super::json::event;
use super::problem::Problem;
use crate::limits::{Lease, keep};

/// Bytes that are written at once. A page that is no longer is sent with its length.
const CHUNK: usize = 64 << 10;

struct Pages {
    events: std::vec::IntoIter<Recorded>,
    begun: bool,
    ended: bool,
    chunk: Vec<u8>,
    memory: Arc<Lease>,
}

impl Pages {
    /// Writes events until a chunk is full, or the page ends.
    fn fill(&mut self) -> serde_json::Result<()> {
        while self.chunk.len() < CHUNK && !self.ended {
            match self.events.next() {
                Some(event) => {
                    if std::mem::replace(&mut self.begun, true) {
                        self.chunk.push(b',');
                    }
                    event::write(&event, &mut self.chunk)?;
                }
                None => {
                    self.chunk.extend_from_slice(b"]}\n");
                    self.ended = true;
                }
            }
        }
        Ok(())
    }
}

impl http_body::Body for Pages {
    type Data = Bytes;
    type Error = serde_json::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, serde_json::Error>>> {
        let this = self.get_mut();
        if let Err(error) = this.fill() {
            return Poll::Ready(Some(Err(error)));
        }
        let chunk = std::mem::take(&mut this.chunk);
        let held = this.memory.clone();
        Poll::Ready((!chunk.is_empty()).then(|| Ok(Frame::data(keep(chunk.into(), held)))))
    }
}

/// Returns the answer that holds a page and its memory.
pub(super) fn page_body(page: Page, memory: Lease) -> Result<Response, Problem> {
    let mut chunk = Vec::with_capacity(4 << 10);
    chunk.extend_from_slice(b"{\"cursor\":\"");
    chunk.extend_from_slice(page.cursor.to_string().as_bytes());
    chunk.extend_from_slice(if page.more { b"\",\"more\":true" } else { b"\",\"more\":false" });
    chunk.extend_from_slice(b",\"events\":[");
    let events = page.events.into_iter();
    let mut pages = Pages { events, begun: false, ended: false, chunk, memory: Arc::new(memory) };
    pages.fill().map_err(|error| Problem::new("internal_error", error.to_string()))?;
    let body = match pages.ended {
        true => Body::from(keep(pages.chunk.into(), pages.memory)),
        false => Body::new(pages),
    };
    Ok(([(CONTENT_TYPE, "application/json")], body).into_response())
}
