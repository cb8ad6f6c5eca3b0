use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use http_body::{Frame, SizeHint};
use tokio::time::{Sleep, sleep};
use tonic::Status;

use super::{Client, Lease};
use crate::grpc;
use crate::state::State;

/// How many messages a call sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Messages {
    One,
    Many,
}

impl Messages {
    pub(super) fn of(path: &str) -> Self {
        match path {
            "/leftfold.v1.Store/AppendMany" => Messages::Many,
            _ if path.starts_with("/grpc.reflection.") => Messages::Many,
            _ => Messages::One,
        }
    }
}

/// The body of a call of gRPC. Memory for a message is reserved before it arrives, and it must arrive within
/// `limits.body_time`. Between the messages of a call that sends many there is no limit of time.
pub(super) struct CallBody {
    body: Body,
    messages: Messages,
    memory: Option<Lease>,
    state: Arc<State>,
    client: Client,
    framing: Framing,
    /// The bytes of `framing`, and of whole messages that are not decoded yet.
    held: usize,
    within: Duration,
    timer: Option<Pin<Box<Sleep>>>,
    has_failed: bool,
}

impl CallBody {
    pub(super) fn new(body: Body, state: &Arc<State>, client: Client, messages: Messages) -> Self {
        let within = state.config.body_time;
        let timer = (messages == Messages::One).then(|| Box::pin(sleep(within)));
        CallBody {
            body,
            messages,
            memory: None,
            state: state.clone(),
            client,
            framing: Framing::default(),
            held: 0,
            within,
            timer,
            has_failed: false,
        }
    }

    /// Returns the memory of messages that the call has taken over: it asks for more only then.
    fn release(&mut self) {
        if self.messages == Messages::Many && self.held > self.framing.partial {
            self.held = self.framing.partial;
            if self.held == 0 {
                (self.memory, self.timer) = (None, None);
            }
        }
    }

    fn receive(&mut self, data: &[u8]) -> Result<(), Status> {
        let most = self.state.config.body_bytes.get();
        self.framing.advance(data);
        self.held += data.len();
        if self.framing.partial <= data.len() {
            // The message that is arriving began with these bytes.
            self.timer = self.timer.take().filter(|_| self.messages == Messages::One);
        }
        // The decoder refuses a longer message when it reads its length, before it takes memory.
        let announced = self.framing.left.min(most.saturating_add(1));
        let needed = self.held.saturating_add(announced);
        if self.messages == Messages::One && self.held > most.saturating_add(HEADER) {
            return Err(grpc::body_too_large(most));
        }
        let pool = &self.state.limits.bodies;
        let has_room = match &mut self.memory {
            Some(memory) => memory.units() >= needed || memory.resize(needed),
            none => {
                *none = pool.take(&self.client, needed);
                none.is_some()
            }
        };
        match has_room {
            true => Ok(()),
            false => Err(grpc::bodies_full()),
        }
    }

    /// Is ready when the message that is arriving is late.
    fn poll_late(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.messages == Messages::Many && self.framing.partial == 0 {
            return Poll::Pending;
        }
        let within = self.within;
        self.timer.get_or_insert_with(|| Box::pin(sleep(within))).as_mut().poll(context)
    }
}

impl http_body::Body for CallBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let this = self.get_mut();
        if this.has_failed {
            return Poll::Ready(None);
        }
        this.release();
        // Also while bytes are arriving: a client that sends them one by one is late, too.
        let failure = match this.poll_late(context) {
            Poll::Ready(()) => grpc::body_late(this.within),
            Poll::Pending => match Pin::new(&mut this.body).poll_frame(context) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Ready(Some(Err(error))) => Status::from_error(Box::new(error)),
                Poll::Ready(Some(Ok(frame))) => {
                    let received = frame.data_ref().map_or(Ok(()), |data| this.receive(data));
                    match received {
                        Ok(()) => return Poll::Ready(Some(Ok(frame))),
                        Err(status) => status,
                    }
                }
            },
        };
        (this.has_failed, this.memory, this.body) = (true, None, Body::empty());
        Poll::Ready(Some(Err(failure)))
    }

    fn is_end_stream(&self) -> bool {
        self.has_failed || self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Bytes in front of a message: whether it is compressed, and its length.
const HEADER: usize = 5;

/// Follows where messages begin and end.
#[derive(Default)]
struct Framing {
    header: [u8; HEADER],
    /// Bytes of the last message, if it is not whole.
    partial: usize,
    /// Bytes of it that are still to come, once its header is known.
    left: usize,
}

impl Framing {
    fn advance(&mut self, mut data: &[u8]) {
        while let Some((first, rest)) = data.split_first() {
            if let Some(byte) = self.header.get_mut(self.partial) {
                (*byte, data) = (*first, rest);
                self.partial += 1;
                let [_, length @ ..] = self.header;
                if self.partial == HEADER {
                    self.left = u32::from_be_bytes(length) as usize;
                }
            } else {
                let taken = self.left.min(data.len());
                data = data.get(taken..).unwrap_or_default();
                self.partial += taken;
                self.left -= taken;
            }
            if self.partial >= HEADER && self.left == 0 {
                self.partial = 0;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn follows_messages_however_they_are_cut() {
        let bytes = b"\0\0\0\0\x03abc\0\0\0\0\0\x01\0\0\0\x02de\0\0\0\0\x04f";
        for size in 1..bytes.len() {
            let mut framing = Framing::default();
            bytes.chunks(size).for_each(|chunk| framing.advance(chunk));
            assert_eq!((framing.partial, framing.left), (6, 3), "in pieces of {size}");
            framing.advance(b"ghi");
            assert_eq!((framing.partial, framing.left), (0, 0));
        }
    }
}
