use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::body::{Body, Bytes};
use http_body::{Frame, SizeHint};

use super::activity::RequestInFlight;
use super::progress::StreamProgress;
use crate::net::WorkItem;

/// Bytes that are handed over at once to a stream of HTTP/2: what its client does not take stays here, where it is
/// dropped with the stream.
const PIECE: usize = 16 << 10;

/// The body of an answer, and what is held until it is sent.
pub(super) struct ResponseBody {
    body: Body,
    /// What is left of a frame.
    rest: Bytes,
    progress: Option<Arc<StreamProgress>>,
    _held: (Option<RequestInFlight>, Option<WorkItem>),
}

impl ResponseBody {
    pub(super) fn new(
        body: Body,
        progress: Option<Arc<StreamProgress>>,
        held: (Option<RequestInFlight>, Option<WorkItem>),
    ) -> Self {
        if let Some(progress) = &progress {
            progress.waits_for_client();
        }
        ResponseBody { body, rest: Bytes::new(), progress, _held: held }
    }
}

impl http_body::Body for ResponseBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = self.get_mut();
        let Some(progress) = &this.progress else {
            return Pin::new(&mut this.body).poll_frame(context);
        };
        // It is asked for more only when the stream has a window.
        progress.has_room();
        if this.rest.is_empty() {
            match ready!(Pin::new(&mut this.body).poll_frame(context)).transpose()? {
                None => return Poll::Ready(None),
                Some(frame) => match frame.into_data() {
                    Ok(data) => this.rest = data,
                    Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
                },
            }
        }
        progress.waits_for_client();
        let piece = this.rest.split_to(this.rest.len().min(PIECE));
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (rest, of_body) = (self.rest.len() as u64, self.body.size_hint());
        let mut hint = SizeHint::new();
        hint.set_lower(of_body.lower() + rest);
        if let Some(upper) = of_body.upper() {
            hint.set_upper(upper + rest);
        }
        hint
    }
}
