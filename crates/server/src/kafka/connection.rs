use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use futures_util::StreamExt;
use futures_util::stream::FuturesOrdered;
use leftfold_api::BoxFuture;
use thiserror::Error;
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::time::{Instant, timeout_at};

use super::dispatch::Unanswerable;
use super::session::Session;
use super::{Broker, Peer};
use crate::limits::{Lease, MemoryFull, Reservation};
use crate::net::{ByteStream, Connection, Shutdown};

/// Requests of a connection that are worked on at the same time. Their answers come in their order.
pub(super) const IN_FLIGHT: usize = 32;
/// Longer than any request takes: a rebalance of a group takes the longest.
const LONGEST_REQUEST: Duration = Duration::from_secs(24 * 3_600);
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
    let ended = run(requests, output, session, &shutdown).await;
    let peer = peer.address;
    match ended {
        End::Gone | End::Closing => tracing::debug!(%peer, "a connection of a Kafka client ended"),
        End::Unanswerable(why) => {
            tracing::warn!(%peer, %why, "a connection of a Kafka client is closed")
        }
        why => tracing::info!(%peer, %why, "a connection of a Kafka client is closed"),
    }
}

/// Takes requests and sends their answers until the connection ends. Requests are worked on also while an answer waits for
/// its client to read: one that does not read would hold up those who wait for what its requests hold.
async fn run(
    mut requests: Requests,
    mut output: WriteHalf<ByteStream>,
    mut session: Session,
    shutdown: &Shutdown,
) -> End {
    let mut in_flight: FuturesOrdered<Outcome> = FuturesOrdered::new();
    let mut unsent: VecDeque<Answer> = VecDeque::new();
    let mut ending: Option<End> = None;
    let end = loop {
        let is_idle = in_flight.is_empty() && unsent.is_empty();
        let is_closing = matches!(ending, Some(End::Closing));
        // What was answered before is sent; a server that shuts down finishes what is in flight too.
        let is_done = if is_closing { is_idle } else { unsent.is_empty() };
        if let Some(end) = ending.take_if(|_| is_done) {
            break end;
        }
        let has_room = in_flight.len() + unsent.len() < IN_FLIGHT;
        let takes_more = ending.is_none() && has_room && session.takes_more(is_idle);
        tokio::select! {
            biased;
            Some(outcome) = in_flight.next(), if ending.is_none() || is_closing => match outcome {
                Ok(answer) => unsent.push_back(answer),
                Err(why) => ending = Some(why.into()),
            },
            sent = send_first(&mut output, &mut unsent), if !unsent.is_empty() => match sent {
                Ok(Some(answer)) if answer.is_last => break End::Refused,
                Ok(Some(answer)) => requests.answered(answer),
                Ok(None) => {}
                Err(error) => break error.into(),
            },
            () = shutdown.begun(), if ending.is_none() => ending = Some(End::Closing),
            next = requests.next(is_idle, &session), if takes_more => match next {
                Ok((frame, memory)) => match session.take(frame, memory) {
                    Ok(outcome) => in_flight.push_back(outcome),
                    Err(why) => ending = Some(why.into()),
                },
                Err(end) => break end,
            },
        }
    };
    // Batches that were received are written, although no one is told: not all clients want to be.
    let mut producing = session.into_producing();
    tokio::select! {
        _ = producing.recv() => {}
        () = async { while in_flight.next().await.is_some() {} } => {}
    }
    end
}

/// Sends a part of the first answer, and returns it when it is sent as a whole. This can be interrupted.
async fn send_first(
    output: &mut WriteHalf<ByteStream>,
    unsent: &mut VecDeque<Answer>,
) -> io::Result<Option<Answer>> {
    if let Some(frame) = unsent.front_mut().and_then(|answer| answer.frame.as_mut()) {
        if frame.has_remaining() && output.write_buf(frame).await? == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        if frame.has_remaining() {
            return Ok(None);
        }
        output.flush().await?;
    }
    Ok(unsent.pop_front())
}

/// The requests of a connection. What has arrived of one is kept here, so that waiting for the rest can be interrupted.
struct Requests {
    broker: Arc<Broker>,
    input: ReadHalf<ByteStream>,
    buffer: BytesMut,
    /// The length of the request that is being received, its memory, and when it must be here.
    begun: Option<(usize, Reservation, Instant)>,
    /// When the last request came, or was answered.
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

    /// Notes that a request was answered, and takes no other one for a while.
    fn answered(&mut self, Answer { throttle, held, .. }: Answer) {
        drop(held);
        self.since = Instant::now();
        if !throttle.is_zero() {
            self.paused = Some(self.since + throttle);
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
                // While it waits for an answer it owes nothing.
                (None, true, false) => (Instant::now() + LONGEST_REQUEST, "the next request"),
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
