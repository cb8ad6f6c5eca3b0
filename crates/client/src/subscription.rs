use leftfold_api::{Cursor, Delivery, From as Begin, Point, ReadError, Subscribe, Subscription};
use leftfold_wire::{cursor, deliveries, v1};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tonic::{Status, Streaming};

use crate::backoff::Backoff;
use crate::calls::{Calls, Patience, Repeat};
use crate::fault::Fault;

/// Messages that wait for the user, beside the one that is being delivered.
const MESSAGES: usize = 2;

/// A running subscription to a server. When the connection is lost it goes on over another, from
/// where it was.
pub struct RemoteSubscription {
    parts: mpsc::Receiver<Result<v1::SubscribeResponse, ReadError>>,
    /// What is here and not yet delivered, and where the subscription is after it.
    here: Option<(Box<dyn Iterator<Item = Delivery> + Send>, Cursor)>,
    /// Where the user is.
    cursor: Cursor,
    /// Why it has ended.
    failed: Option<ReadError>,
}

impl RemoteSubscription {
    pub(crate) async fn start(calls: Calls, subscribe: Subscribe) -> Result<Self, ReadError> {
        let (incoming, first) = open(&calls, &subscribe).await?;
        let cursor = cursor(&first.cursor)?;
        let (parts, received) = mpsc::channel(MESSAGES);
        let by_cursor =
            matches!(subscribe.from, Begin::Outermost | Begin::Excluding(Point::Cursor(_)));
        let handle = calls.handle.clone();
        let pump = Pump { calls, subscribe, parts, at: cursor.clone(), by_cursor, live: false };
        handle.spawn(pump.run(incoming));
        Ok(RemoteSubscription { parts: received, here: None, cursor, failed: None })
    }

    fn arrive(&mut self, part: v1::SubscribeResponse) -> Result<(), ReadError> {
        let (deliveries, end) = deliveries(part)?;
        self.here = Some((Box::new(deliveries), end));
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
            let ended = || Fault::Lost("the client's runtime has ended".to_owned()).into();
            let part = self.parts.recv().await.unwrap_or_else(|| Err(ended()));
            if let Err(error) = part.and_then(|part| self.arrive(part)) {
                return Err(self.fail(error));
            }
        }
    }

    fn ready(&mut self) -> Option<Delivery> {
        let (deliveries, end) = self.here.as_mut()?;
        let delivery = deliveries.next();
        match &delivery {
            Some(Delivery::Event(_, cursor) | Delivery::CaughtUp(cursor)) => {
                self.cursor = cursor.clone()
            }
            None => {
                self.cursor = end.clone();
                self.here = None;
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
) -> Result<(Streaming<v1::SubscribeResponse>, v1::SubscribeResponse), Fault> {
    let request = v1::SubscribeRequest::from(subscribe);
    let opened = calls.attempt(Repeat::Safe, Patience::Usual, move |calls| {
        let request = request.clone();
        async move {
            let mut parts = calls.store().subscribe(request).await?.into_inner();
            let first = parts.message().await?;
            let first = first.ok_or_else(|| Status::unavailable("the subscription has ended"))?;
            Ok((parts, first))
        }
    });
    opened.await
}

/// Takes what the server delivers, and connects again when it must.
struct Pump {
    calls: Calls,
    subscribe: Subscribe,
    parts: mpsc::Sender<Result<v1::SubscribeResponse, ReadError>>,
    /// Where the user is after all that was handed on.
    at: Cursor,
    /// Whether it resumes there. Where the user wants to begin at a place that is still to come, it
    /// begins there again until an event has shown that it is reached.
    by_cursor: bool,
    /// Whether the user was told to have caught up, after the last event.
    live: bool,
}

impl Pump {
    async fn run(mut self, mut incoming: Streaming<v1::SubscribeResponse>) {
        loop {
            let part = tokio::select! {
                part = incoming.message() => part,
                () = self.parts.closed() => return,
            };
            let fault = match part {
                Ok(Some(part)) => {
                    if !self.hand_on(part).await {
                        return;
                    }
                    continue;
                }
                Ok(None) => Fault::Lost("the server has ended the subscription".to_owned()),
                Err(status) => status.into(),
            };
            match self.resume(fault).await {
                Some(resumed) => incoming = resumed,
                None => return,
            }
        }
    }

    /// Hands a part on; false if nobody wants it.
    async fn hand_on(&mut self, mut part: v1::SubscribeResponse) -> bool {
        let end = match cursor(&part.cursor) {
            Ok(end) => end,
            Err(invalid) => {
                _ = self.parts.send(Err(Fault::Strange(invalid.message).into())).await;
                return false;
            }
        };
        let has_events = part.packed.is_some() || !part.events.is_empty();
        // Who was told so, and has got nothing since, need not be told again for a new connection.
        part.caught_up &= has_events || !self.live;
        self.live = part.caught_up || (self.live && !has_events);
        self.by_cursor |= has_events;
        self.at = end;
        self.parts.send(Ok(part)).await.is_ok()
    }

    /// The next connection; none if there is none to be had, or nobody wants it.
    async fn resume(&mut self, mut fault: Fault) -> Option<Streaming<v1::SubscribeResponse>> {
        let deadline = Instant::now() + self.calls.patience;
        let mut backoff = Backoff::new();
        let from = match self.by_cursor {
            true => Begin::Excluding(Point::Cursor(self.at.clone())),
            false => self.subscribe.from.clone(),
        };
        let subscribe = Subscribe { from, ..self.subscribe.clone() };
        loop {
            if !fault.may_pass(true) && !matches!(fault, Fault::Late(_))
                || !backoff.pause(deadline).await
            {
                _ = self.parts.send(Err(fault.into())).await;
                return None;
            }
            let opened = tokio::select! {
                opened = open(&self.calls, &subscribe) => opened,
                () = self.parts.closed() => return None,
            };
            match opened {
                Ok((incoming, _)) => return Some(incoming),
                Err(again) => fault = again,
            }
        }
    }
}
