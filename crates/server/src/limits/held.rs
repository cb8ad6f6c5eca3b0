//! What an answer holds until its bytes are written to the connection, and not only until they are handed over.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes};
use http_body::{Frame, SizeHint};
use parking_lot::Mutex;

use super::Lease;

/// Memory that the parts of a page share.
pub(crate) type SharedLease = Option<Arc<Lease>>;

/// The memory of the page from which a streamed answer is made now. It is an extension of the answer: each piece of
/// its body keeps the memory of its page.
#[derive(Clone, Default)]
pub(crate) struct PageMemory(Arc<Mutex<SharedLease>>);

impl PageMemory {
    /// Returns memory that stays the same.
    pub(crate) fn of(memory: Option<Lease>) -> Self {
        PageMemory(Arc::new(Mutex::new(memory.map(Arc::new))))
    }

    /// Notes the memory of the page that is sent from now on.
    pub(crate) fn set(&self, memory: SharedLease) {
        *self.0.lock() = memory;
    }

    fn current(&self) -> SharedLease {
        self.0.lock().clone()
    }
}

struct Kept<T> {
    bytes: Bytes,
    _held: T,
}

impl<T> AsRef<[u8]> for Kept<T> {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// Returns bytes that hold something until the last part of them is dropped.
pub(crate) fn keep<T: Send + 'static>(bytes: Bytes, held: T) -> Bytes {
    Bytes::from_owner(Kept { bytes, _held: held })
}

/// The body of an answer, and what it holds. Its pieces hold that, too: HTTP/2 keeps them while their stream or their
/// connection has no room.
pub(super) struct HeldBody {
    body: Body,
    held: Option<Arc<[Lease]>>,
    page: Option<PageMemory>,
}

impl HeldBody {
    pub(super) fn new(
        body: Body,
        held: impl IntoIterator<Item = Lease>,
        page: Option<PageMemory>,
    ) -> Self {
        let held: Vec<Lease> = held.into_iter().collect();
        HeldBody { body, held: (!held.is_empty()).then(|| held.into()), page }
    }
}

impl http_body::Body for HeldBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = self.get_mut();
        let frame = Pin::new(&mut this.body).poll_frame(context);
        let page = this.page.as_ref().and_then(PageMemory::current);
        if this.held.is_none() && page.is_none() {
            return frame;
        }
        let held = this.held.clone();
        frame.map(|frame| {
            frame.map(|frame| frame.map(|frame| frame.map_data(|bytes| keep(bytes, (held, page)))))
        })
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease").field("units", &self.units()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;
    use crate::limits::{Client, Pool};

    #[tokio::test]
    async fn a_piece_of_an_answer_holds_its_memory_until_it_is_dropped() {
        let pool = Pool::new(10, 100);
        let take = |units| pool.take(&Client::default(), units);
        let page = PageMemory::default();
        page.set(take(3).map(Arc::new));
        let mut body = HeldBody::new(Body::from("text"), take(4), Some(page.clone()));
        let mut piece = body.frame().await.unwrap().unwrap().into_data().unwrap();
        drop(body);
        page.set(None);
        let rest = piece.split_off(2);
        drop(piece);
        assert_eq!((&rest[..], pool.taken()), (&b"xt"[..], 7));
        drop(rest);
        assert_eq!(pool.taken(), 0);
    }
}
