use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use futures_util::StreamExt;
use futures_util::stream::FuturesOrdered;
use leftfold_api::BoxFuture;
use thiserror::Error;
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::time::{Instant, timeout_at};

use super::dispatch::{Session, Unanswerable};
use super::{Broker, Peer};
use crate::limits::{Lease, MemoryFull, Reservation};
use crate::net::{ByteStream, Connection, Shutdown};

/// Requests of a connection that are worked on at the same time. Their answers come in their order.
pub(super) const IN_FLIGHT: usize = 32;
/// Bytes of a request that are received at once.
const RECEIVED: usize = 64 << 10;
/// Bytes of a request before its client is known: enough for its name and its proof.
pub(super) const BEFORE_AUTHENTICATION: usize = 64 << 10;

/// An answer, and the memory that it holds until it is sent.
#[derive(Default)]
pub(super) struct Answer {
    /// Its frame; `None` for a request that gets no answer.
    pub(super) frame: Option<Bytes>,
    pub(super) held: Vec<Lease>,
    /// How long the client is to wait before its next request is taken.
    pub(super) throttle: Duration,
    /// Whether the connection is closed behind it.
    pub(super) is_last: bool,
}

/// What a request comes to: its answer, or why the connection is closed.
pub(super) type Outcome = BoxFuture<'static, Result<Answer, Unanswerable>>;

/// Why a connection is closed.
#[derive(Debug, Error)]
enum End {
    #[error("the client has gone")]
    Gone,
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("{0} did not arrive in time")]
    Late(&'static str),
    #[error("a request of {0} bytes is larger than limits.body_bytes")]
    TooLarge(usize),
    #[error(
        "the bodies of requests in flight take all of limits.bodies_bytes, or of this client's share"
    )]
    Full,
    #[error("{0}")]
    Unanswerable(#[from] Unanswerable),
    #[error("its authentication was refused")]
    Refused,
    #[error("the server is shutting down")]
    Closing,
}

/// Serves a connection until it ends.
pub(super) async fn serve(broker: Arc<Broker>, connection: Connection) {
    let Connection { stream, peer, local, shutdown, slot: _slot } = connection;
    let peer = Peer { address: peer, reached: local };
    let (input, output) = tokio::io::split(stream);
    let requests = Requests::new(broker.clone(), input);
    let session = Session::begin(broker, peer.clone()).await;
    let ended = run(requests, output, session, shutdown).await;
    let peer = peer.address;
    match ended {
        End::Gone | End::Closing => tracing::debug!(%peer, "a connection of a Kafka client ended"),
        End::Unanswerable(why) => {
            tracing::warn!(%peer, %why, "a connection of a Kafka client is closed")
        }
        why => tracing::info!(%peer, %why, "a connection of a Kafka client is closed"),
    }
}

async fn run(
    mut requests: Requests,
    mut output: WriteHalf<ByteStream>,
    mut session: Session,
    shutdown: Shutdown,
) -> End {
    let mut in_flight: FuturesOrdered<Outcome> = FuturesOrdered::new();
    let mut closing = pin!(shutdown.begun());
    let mut is_closing = false;
    loop {
        if is_closing && in_flight.is_empty() {
            return End::Closing;
        }
        let takes_more =
            !is_closing && in_flight.len() < IN_FLIGHT && session.takes_more(in_flight.is_empty());
        let is_idle = in_flight.is_empty();
        tokio::select! {
            biased;
            Some(outcome) = in_flight.next() => {
                let Answer { frame, held, throttle, is_last } = match outcome {
                    Ok(answer) => answer,
                    Err(why) => return why.into(),
                };
                if let Some(frame) = frame
                    && let Err(error) = output.write_all(&frame).await
                {
                    return error.into();
                }
                if let Err(error) = output.flush().await {
                    return error.into();
                }
                drop(held);
                if is_last {
                    return End::Refused;
                }
                requests.pause(throttle);
            }
            // What is in flight is finished; what waits for events or members ends by itself.
            () = closing.as_mut(), if !is_closing => is_closing = true,
            next = requests.next(is_idle, &session), if takes_more => match next {
                Ok((frame, memory)) => match session.take(frame, memory) {
                    Ok(outcome) => in_flight.push_back(outcome),
                    Err(why) => return why.into(),
                },
                Err(end) => return end,
            },
        }
    }
}

/// The requests of a connection. What has arrived of one is kept here, so that waiting for the rest can be interrupted.
struct Requests {
    broker: Arc<Broker>,
    input: ReadHalf<ByteStream>,
    buffer: BytesMut,
    /// The length of the request that is being received, its memory, and when it must be here.
    begun: Option<(usize, Reservation, Instant)>,
    /// Since when no request has come.
    since: Instant,
    is_first: bool,
    /// Until when no request is taken.
    paused: Option<Instant>,
}

impl Requests {
    fn new(broker: Arc<Broker>, input: ReadHalf<ByteStream>) -> Self {
        let (buffer, since) = (BytesMut::new(), Instant::now());
        Requests { broker, input, buffer, begun: None, since, is_first: true, paused: None }
    }

    /// Takes no request for a while.
    fn pause(&mut self, time: Duration) {
        if !time.is_zero() {
            self.paused = Some(Instant::now() + time);
        }
    }

    /// Waits for the next request. Its memory is reserved as its bytes arrive.
    async fn next(
        &mut self,
        is_idle: bool,
        session: &Session,
    ) -> Result<(Bytes, Reservation), End> {
        if let Some(until) = self.paused {
            tokio::time::sleep_until(until).await;
            self.paused = None;
        }
        loop {
            if let Some(request) = self.take(session)? {
                return Ok(request);
            }
            let config = &self.broker.state.config;
            let (due, what) = match (&self.begun, self.buffer.is_empty(), self.is_first) {
                (Some((_, _, due)), _, _) => (*due, "a request"),
                (None, true, false) if is_idle => {
                    (self.since + config.idle_time, "the next request")
                }
                (None, true, false) => (Instant::now() + config.idle_time, "the next request"),
                _ => (self.since + config.header_time, "a request's length"),
            };
            let wanted = self.begun.as_ref().map_or(4, |(length, ..)| *length);
            let missing = wanted.saturating_sub(self.buffer.len()).clamp(4, RECEIVED);
            self.buffer.reserve(missing);
            let read = timeout_at(due, self.input.read_buf(&mut self.buffer)).await;
            match read {
                Err(_) if self.is_first || self.begun.is_some() || !self.buffer.is_empty() => {
                    return Err(End::Late(what));
                }
                // An idle connection is closed as in Kafka; its client opens another one.
                Err(_) | Ok(Ok(0)) => return Err(End::Gone),
                Ok(Err(error)) => return Err(error.into()),
                Ok(Ok(_)) => {}
            }
        }
    }

    /// Takes a request out of the buffer if it is there as a whole.
    fn take(&mut self, session: &Session) -> Result<Option<(Bytes, Reservation)>, End> {
        let state = &self.broker.state;
        if self.begun.is_none() {
            let Some(length) = self.buffer.first_chunk::<4>() else { return Ok(None) };
            let length = i32::from_be_bytes(*length);
            let most = match session.client() {
                Some(_) => state.config.body_bytes.get(),
                None => BEFORE_AUTHENTICATION,
            };
            let fits = usize::try_from(length).ok().filter(|length| *length <= most);
            let length = fits.ok_or(End::TooLarge(length as u32 as usize))?;
            self.buffer.advance(4);
            let client = session.client().unwrap_or_else(|| session.stranger());
            let due = Instant::now() + state.config.body_time;
            self.begun = Some((length, Reservation::new(state, client), due));
        }
        let Some((length, reservation, _)) = &mut self.begun else { return Ok(None) };
        let arrived = self.buffer.len().min(*length);
        reservation.grow_to(arrived).map_err(|MemoryFull| End::Full)?;
        if arrived < *length {
            return Ok(None);
        }
        let frame = self.buffer.split_to(*length).freeze();
        (self.is_first, self.since) = (false, Instant::now());
        Ok(self.begun.take().map(|(_, reservation, _)| (frame, reservation)))
    }
}
