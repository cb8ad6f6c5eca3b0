use leftfold_api::{Cursor, Delivery, Point, ReadError, Start, Subscribe, Subscription};
use leftfold_wire::{cursor, deliveries, v1};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tonic::{Status, Streaming};

use crate::backoff::Backoff;
use crate::call_error::CallError;
use crate::calls::{Calls, Retry, TimeLimit};
use crate::counts::count;

/// Messages that wait for the subscriber, beside the one that is being delivered.
const BUFFERED_MESSAGES: usize = 2;

/// A running subscription to a server. After a lost connection it resumes over another, from its
/// cursor.
pub struct RemoteSubscription {
    parts: mpsc::Receiver<Result<v1::SubscribeResponse, ReadError>>,
    /// The received deliveries, and the cursor behind them.
    received: Option<(Box<dyn Iterator<Item = Delivery> + Send>, Cursor)>,
    /// The cursor of the last delivery.
    cursor: Cursor,
    /// Why it has ended, if it has.
    failed: Option<ReadError>,
}

impl RemoteSubscription {
    pub(crate) async fn start(calls: Calls, subscribe: Subscribe) -> Result<Self, ReadError> {
        let (incoming, first) = open(&calls, &subscribe).await?;
        let cursor = cursor(&first.cursor)?;
        let (parts, incoming_parts) = mpsc::channel(BUFFERED_MESSAGES);
        let by_cursor =
            matches!(subscribe.from, Start::Outermost | Start::Excluding(Point::Cursor(_)));
        let handle = calls.handle.clone();
        let pump =
            Forwarder { calls, subscribe, parts, at: cursor.clone(), by_cursor, live: false };
        handle.spawn(pump.run(incoming));
        Ok(RemoteSubscription { parts: incoming_parts, received: None, cursor, failed: None })
    }

    fn receive(&mut self, part: v1::SubscribeResponse) -> Result<(), ReadError> {
        let (deliveries, end) = deliveries(part)?;
        self.received = Some((Box::new(deliveries), end));
        Ok(())
    }

    fn fail(&mut self, error: ReadError) -> ReadError {
        self.failed = Some(error.clone());
        error
    }
}

impl Subscription for RemoteSubscription {
    async fn next(&mut self) -> Result<Delivery, ReadError> {
        loop {
            if let Some(error) = &self.failed {
                return Err(error.clone());
            }
            if let Some(delivery) = self.ready() {
                return Ok(delivery);
            }
            let ended =
                || CallError::ConnectionLost("the client's runtime has ended".to_owned()).into();
            let part = self.parts.recv().await.unwrap_or_else(|| Err(ended()));
            if let Err(error) = part.and_then(|part| self.receive(part)) {
                return Err(self.fail(error));
            }
        }
    }

    fn ready(&mut self) -> Option<Delivery> {
        let (deliveries, end) = self.received.as_mut()?;
        let delivery = deliveries.next();
        match &delivery {
            Some(Delivery::Event(_, cursor) | Delivery::CaughtUp(cursor)) => {
                self.cursor = cursor.clone()
            }
            None => {
                self.cursor = end.clone();
                self.received = None;
            }
        }
        delivery
    }

    fn cursor(&self) -> Cursor {
        self.cursor.clone()
    }
}

async fn open(
    calls: &Calls,
    subscribe: &Subscribe,
) -> Result<(Streaming<v1::SubscribeResponse>, v1::SubscribeResponse), CallError> {
    let request = v1::SubscribeRequest::from(subscribe);
    let opened = calls.attempt(Retry::Always, TimeLimit::Usual, move |calls| {
        let request = request.clone();
        async move {
            let mut parts = calls.store().subscribe(request).await?.into_inner();
            let first = parts.message().await?;
            let first =
                first.ok_or_else(|| Status::unavailable("the server ended the subscription"))?;
            Ok((parts, first))
        }
    });
    opened.await
}

/// Forwards the server's messages to the subscriber, and reconnects after an error.
struct Forwarder {
    calls: Calls,
    subscribe: Subscribe,
    parts: mpsc::Sender<Result<v1::SubscribeResponse, ReadError>>,
    /// The cursor behind all that was forwarded.
    at: Cursor,
    /// Whether it resumes there. A subscription that begins at a point in the future begins there
    /// again, until its first event.
    by_cursor: bool,
    /// Whether the subscriber has caught up since the last event.
    live: bool,
}

impl Forwarder {
    async fn run(mut self, mut incoming: Streaming<v1::SubscribeResponse>) {
        loop {
            let part = tokio::select! {
                part = incoming.message() => part,
                () = self.parts.closed() => return,
            };
            let error = match part {
                Ok(Some(part)) => {
                    if !self.forward(part).await {
                        return;
                    }
                    continue;
                }
                Ok(None) => {
                    CallError::ConnectionLost("the server ended the subscription".to_owned())
                }
                Err(status) => status.into(),
            };
            match self.resume(error).await {
                Some(resumed) => incoming = resumed,
                None => return,
            }
        }
    }

    /// Forwards a message; returns false if the subscriber has dropped the subscription.
    async fn forward(&mut self, mut part: v1::SubscribeResponse) -> bool {
        let end = match cursor(&part.cursor) {
            Ok(end) => end,
            Err(invalid) => {
                _ = self.parts.send(Err(CallError::Protocol(invalid.message).into())).await;
                return false;
            }
        };
        let has_events = part.packed.is_some() || !part.events.is_empty();
        // A new connection reports it again; the subscriber needs it only after further events.
        part.caught_up &= has_events || !self.live;
        self.live = part.caught_up || (self.live && !has_events);
        self.by_cursor |= has_events;
        self.at = end;
        self.parts.send(Ok(part)).await.is_ok()
    }

    /// Connects again; returns `None` after the time for it, or if the subscription was dropped.
    async fn resume(&mut self, mut error: CallError) -> Option<Streaming<v1::SubscribeResponse>> {
        let deadline = Instant::now() + self.calls.reconnect_time;
        let mut backoff = Backoff::new();
        let from = match self.by_cursor {
            true => Start::Excluding(Point::Cursor(self.at.clone())),
            false => self.subscribe.from.clone(),
        };
        let subscribe = Subscribe { from, ..self.subscribe.clone() };
        loop {
            let again = error.can_retry_call(true) || matches!(error, CallError::TimedOut(_));
            if again {
                self.calls.report_retry(&error);
            }
            if !again || !backoff.pause(deadline).await {
                _ = self.parts.send(Err(error.into())).await;
                return None;
            }
            let opened = tokio::select! {
                opened = open(&self.calls, &subscribe) => opened,
                () = self.parts.closed() => return None,
            };
            match opened {
                Ok((incoming, _)) => {
                    count(&self.calls.counters.reconnects);
                    return Some(incoming);
                }
                Err(again) => error = again,
            }
        }
    }
}
