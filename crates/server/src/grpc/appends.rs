use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::stream::{FuturesUnordered, StreamExt, unfold};
use futures_util::{FutureExt, Stream};
use leftfold_wire::{ReceivedAppend, ReceivedNumberedAppend, answer, from_status, v1};
use tonic::{Status, Streaming};

use super::{DenialSignal, ShutdownSignal, append, begin, closing, prepare, status};
use crate::access::{AppendPermit, Caller};
use crate::limits::Reservation;
use crate::net::{ThreadChoice, WorkItem};
use crate::state::{State, SubscriptionProgress};

/// Appends of one call that are in flight at the same time.
const MOST: usize = 1_024;
/// Bytes of them. The last append that is taken may go beyond.
const MOST_BYTES: usize = 64 << 20;

/// An append in flight: its answer, and the bytes that it was counted for.
type PendingAppend = Pin<Box<dyn Future<Output = (v1::NumberedAnswer, usize)> + Send>>;

/// Many appends over one call: each is started when it arrives, and answered when it is durable. No
/// request is taken while the limits of appends in flight are reached, or while the client does not
/// take its answers.
pub(super) struct Appends {
    state: Arc<State>,
    caller: Caller,
    requests: Streaming<ReceivedNumberedAppend>,
    closing: ShutdownSignal,
    lost: DenialSignal,
    in_flight: FuturesUnordered<PendingAppend>,
    bytes: usize,
    pace: ThreadChoice,
    /// Whether no further request is taken.
    ended: bool,
    /// Why no further request is taken, if the client is to be told.
    refusal: Option<Status>,
    _begun: SubscriptionProgress,
}

impl Appends {
    pub(super) fn start(
        state: Arc<State>,
        caller: Caller,
        requests: Streaming<ReceivedNumberedAppend>,
    ) -> Result<Self, Status> {
        let (begun, closing) = (begin(&state, &caller)?, closing(&state));
        begun.set_caught_up();
        let who = caller.clone();
        let lost = Box::pin(async move { who.leaves().await });
        Ok(Appends {
            lost,
            state,
            caller,
            requests,
            closing,
            in_flight: FuturesUnordered::new(),
            bytes: 0,
            pace: ThreadChoice::new(SLOW_WRITE, PAUSE),
            ended: false,
            refusal: None,
            _begun: begun,
        })
    }

    /// Returns the answers, in the order in which they are ready.
    pub(super) fn answers(self) -> impl Stream<Item = Result<v1::NumberedAnswer, Status>> + Send {
        unfold(self, |mut appends| async move {
            let answer = appends.next().await?;
            Some((answer, appends))
        })
    }

    async fn next(&mut self) -> Option<Result<v1::NumberedAnswer, Status>> {
        loop {
            let takes_more = !self.ended && self.in_flight.len() < MOST && self.bytes < MOST_BYTES;
            if self.ended && self.in_flight.is_empty() {
                let closing = || self.state.is_closing().then(status::closing);
                return self.refusal.take().or_else(closing).map(Err);
            }
            let request = tokio::select! {
                Some((answer, bytes)) = self.in_flight.next() => {
                    self.bytes -= bytes;
                    self.pace.answered(Instant::now());
                    return Some(Ok(answer));
                }
                request = self.requests.message(), if takes_more => request,
                () = &mut self.closing, if !self.ended => Ok(None),
                denied = &mut self.lost, if !self.ended => {
                    self.refusal = Some(status::denied(denied));
                    Ok(None)
                }
            };
            match request {
                Ok(Some(request)) => self.take(request),
                // Appends in flight are finished even if the client is gone.
                Err(error) if self.in_flight.is_empty() => return Some(Err(error)),
                Ok(None) | Err(_) => self.ended = true,
            }
        }
    }

    fn take(&mut self, request: ReceivedNumberedAppend) {
        let number = request.number;
        let (prepared, bytes) = self.prepare(request.append);
        self.bytes += bytes;
        let done = match prepared {
            Ok((permit, memory)) => {
                let at_work = WorkItem::begin();
                let here = self.pace.take(at_work.is_only(), Instant::now());
                let done = append(self.state.clone(), permit, here);
                let answer = move |outcome| {
                    drop((memory, at_work));
                    (answer(number, outcome), bytes)
                };
                done.map(answer).boxed()
            }
            Err(refused) => std::future::ready((refusal(number, &refused), bytes)).boxed(),
        };
        self.in_flight.push(done);
    }

    /// Returns an append that may be written, and the bytes that it counts for.
    fn prepare(&self, append: Bytes) -> (Result<(AppendPermit, Reservation), Status>, usize) {
        match ReceivedAppend::new(append) {
            Ok(received) => {
                let bytes = received.weight().decoded;
                (prepare(&self.state, &self.caller, received), bytes)
            }
            Err(invalid) => (Err(status::invalid(invalid)), 0),
        }
    }
}

/// After a write that takes longer, a connection's thread does not write for a while.
const SLOW_WRITE: Duration = Duration::from_micros(500);
/// The length of that while, in appends.
const PAUSE: i32 = 256;

/// Returns the answer to an append that does not reach the store.
fn refusal(number: u64, status: &Status) -> v1::NumberedAnswer {
    let is = from_status(status).map(v1::numbered_answer::Is::Problem);
    v1::NumberedAnswer { number, is }
}
