//! Sends all appends of a client over one call, without waiting for answers between. After a lost
//! connection, appends without an answer are sent again over the next call.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_core::Stream;
use leftfold_wire::{APPEND_MANY, EncodedAppend, MAX_MESSAGE, PipelineCodec, Traffic, v1};
use parking_lot::Mutex;
use tokio::runtime::RuntimeFlavor;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::time::Instant;
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::{Request, Streaming};

use crate::backoff::Backoff;
use crate::call_error::CallError;
use crate::calls::{Calls, RequestInProgress};
use crate::counts::{Counters, count};
use tracing::{Instrument, debug_span};

/// KiB of appends in flight.
const MAX_KIB: usize = 64 << 10;
/// The interval of the search for appends whose deadline has come.
const TICK: Duration = Duration::from_millis(200);

/// The entrance of all appends of a client.
#[derive(Clone)]
pub(crate) struct Pipeline {
    appends: mpsc::UnboundedSender<PendingAppend>,
    in_flight: usize,
    count: Arc<Semaphore>,
    kib: Arc<Semaphore>,
    counters: Arc<Counters>,
    traffic: Arc<Traffic>,
}

/// The outcome of an append.
pub(crate) enum Outcome {
    /// The server has answered.
    Answer(v1::NumberedAnswer),
    /// The server may have executed it, and a repeat would not be recognised.
    Unknown(CallError),
    /// Its deadline has come. `sent` says whether it was ever sent, `error` is the last error.
    TimedOut { sent: bool, error: Option<CallError> },
    /// Another attempt can't succeed.
    Failed(CallError),
}

/// An append without an answer.
struct PendingAppend {
    append: Bytes,
    /// Whether it may be sent again although it may have arrived.
    repeatable: bool,
    sent: bool,
    deadline: Instant,
    reply: oneshot::Sender<Outcome>,
    _request: RequestInProgress,
    /// Held until the answer: they bound the appends in flight.
    _permits: [OwnedSemaphorePermit; 2],
}

impl Pipeline {
    pub(crate) fn start(calls: Calls, in_flight: usize) -> Self {
        let (appends, received) = mpsc::unbounded_channel();
        let state = CallState { call: 0, received, pending: HashMap::new(), next_number: 1 };
        let state = Arc::new(Mutex::new(state));
        let (counters, traffic) = (calls.counters.clone(), calls.traffic.clone());
        let handle = calls.handle.clone();
        handle.spawn(Driver { calls, state, error: None }.run_and_poll());
        let (count, kib) = (Semaphore::new(in_flight), Semaphore::new(MAX_KIB));
        Pipeline {
            appends,
            in_flight,
            count: Arc::new(count),
            kib: Arc::new(kib),
            counters,
            traffic,
        }
    }

    /// Returns the most appends in flight.
    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// Sends an append and waits for its outcome.
    pub(crate) async fn send(&self, append: Bytes, repeatable: bool, deadline: Instant) -> Outcome {
        let gone = || {
            Outcome::Failed(CallError::ConnectionLost("the client's runtime has ended".to_owned()))
        };
        count(&self.counters.requests);
        let kib = (append.len() / 1024 + 1).min(MAX_KIB) as u32;
        let Ok(one) = self.count.clone().acquire_owned().await else { return gone() };
        let Ok(kib) = self.kib.clone().acquire_many_owned(kib).await else { return gone() };
        let (reply, outcome) = oneshot::channel();
        let permits = [one, kib];
        let span = debug_span!("request", answer = "Appended");
        let append = PendingAppend {
            append,
            repeatable,
            sent: false,
            deadline,
            reply,
            _request: RequestInProgress::begin(&self.traffic),
            _permits: permits,
        };
        if self.appends.send(append).is_err() {
            return gone();
        }
        outcome.instrument(span).await.unwrap_or_else(|_| gone())
    }
}

/// The state that both directions of the call share.
struct CallState {
    /// The number of the call, from 1; an abandoned call sends nothing more.
    call: u64,
    received: mpsc::UnboundedReceiver<PendingAppend>,
    /// The appends without an answer, by number.
    pending: HashMap<u64, PendingAppend>,
    next_number: u64,
}

impl CallState {
    fn take(&mut self, mut append: PendingAppend, sent: bool) -> EncodedAppend {
        let number = self.next_number;
        self.next_number += 1;
        append.sent = sent;
        let item = EncodedAppend { number, append: append.append.clone() };
        self.pending.insert(number, append);
        item
    }

    /// Begins another call; returns the appends to send again, the first one last.
    fn begin(&mut self) -> (u64, Vec<EncodedAppend>) {
        self.call += 1;
        let item = |(number, append): (&u64, &PendingAppend)| EncodedAppend {
            number: *number,
            append: append.append.clone(),
        };
        let mut again: Vec<_> = self.pending.iter().map(item).collect();
        // In descending order: the stream takes them from the end.
        again.sort_unstable_by_key(|item| std::cmp::Reverse(item.number));
        (self.call, again)
    }

    fn reply_to(&mut self, number: u64, outcome: Outcome) {
        if let Some(append) = self.pending.remove(&number) {
            // The caller may have dropped its future.
            _ = append.reply.send(outcome);
        }
    }

    fn reply_where(
        &mut self,
        wanted: impl Fn(&PendingAppend) -> bool,
        outcome: impl Fn(&PendingAppend) -> Outcome,
    ) {
        let over = self.pending.iter().filter(|(_, append)| wanted(append));
        let over: Vec<_> = over.map(|(number, append)| (*number, outcome(append))).collect();
        over.into_iter().for_each(|(number, outcome)| self.reply_to(number, outcome));
    }
}

/// The appends that one call sends.
struct Outgoing {
    state: Arc<Mutex<CallState>>,
    call: u64,
    again: Vec<EncodedAppend>,
}

impl Stream for Outgoing {
    type Item = EncodedAppend;

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<EncodedAppend>> {
        let again = self.again.pop();
        let mut state = self.state.lock();
        if state.call != self.call {
            return Poll::Ready(None);
        }
        if let Some(item) = again {
            if let Some(append) = state.pending.get_mut(&item.number) {
                append.sent = true;
            }
            return Poll::Ready(Some(item));
        }
        state.received.poll_recv(context).map(|append| Some(state.take(append?, true)))
    }
}

/// Keeps a call open while there are appends.
struct Driver {
    calls: Calls,
    state: Arc<Mutex<CallState>>,
    /// The last error.
    error: Option<CallError>,
}

impl Driver {
    /// Runs until the client is dropped. A network that runs on one thread is polled for a moment before that sleeps.
    async fn run_and_poll(self) {
        let traffic = self.calls.traffic.clone();
        match self.calls.handle.runtime_flavor() {
            RuntimeFlavor::CurrentThread => tokio::select! {
                () = self.run() => {}
                () = traffic.poll_network() => {}
            },
            _ => self.run().await,
        }
    }

    async fn run(mut self) {
        let mut backoff = Backoff::new();
        while self.wait_for_work().await {
            let error = self.call(&mut backoff).await;
            let Some(error) = error else { continue };
            if error.can_retry_call(true) {
                self.calls.report_retry(&error);
            }
            self.reply_or_resend(error);
            self.reply_timed_out();
            // Each append has a deadline of its own.
            backoff.pause(self.calls.deadline()).await;
        }
    }

    /// Waits for an append; returns false if the client was dropped.
    async fn wait_for_work(&self) -> bool {
        if !self.state.lock().pending.is_empty() {
            return true;
        }
        let append = std::future::poll_fn(|context| self.state.lock().received.poll_recv(context));
        let Some(append) = append.await else { return false };
        let mut state = self.state.lock();
        state.take(append, false);
        true
    }

    /// Makes a call and receives its answers until it ends; returns the error that ended it.
    async fn call(&mut self, backoff: &mut Backoff) -> Option<CallError> {
        let (call, again) = self.state.lock().begin();
        let outgoing = Outgoing { state: self.state.clone(), call, again };
        let opened = open(self.calls.clone(), outgoing);
        tokio::pin!(opened);
        let mut answers = loop {
            tokio::select! {
                opened = &mut opened => match opened {
                    Ok(answers) => break answers,
                    Err(error) => return Some(error),
                },
                () = tokio::time::sleep(TICK) => self.reply_timed_out(),
            }
        };
        let mut tick = tokio::time::interval(TICK);
        loop {
            tokio::select! {
                answer = answers.message() => match answer {
                    Ok(Some(answer)) => {
                        backoff.reset();
                        self.state.lock().reply_to(answer.number, Outcome::Answer(answer));
                    }
                    Ok(None) => {
                        let message = "the server ended the call".to_owned();
                        let unanswered = !self.state.lock().pending.is_empty();
                        return unanswered.then_some(CallError::ConnectionLost(message));
                    }
                    Err(status) => return Some(status.into()),
                },
                _ = tick.tick() => self.reply_timed_out(),
            }
        }
    }

    /// Replies to the appends that can't be sent again after an error; the next call sends the rest.
    fn reply_or_resend(&mut self, error: CallError) {
        let mut state = self.state.lock();
        if !error.can_retry_call(true) {
            state.reply_where(|_| true, |_| Outcome::Failed(error.clone()));
        } else if error.is_outcome_unknown() {
            let uncertain = |append: &PendingAppend| append.sent && !append.repeatable;
            state.reply_where(uncertain, |_| Outcome::Unknown(error.clone()));
        }
        drop(state);
        self.error = Some(error);
    }

    fn reply_timed_out(&self) {
        let now = Instant::now();
        let timed_out = |append: &PendingAppend| Outcome::TimedOut {
            sent: append.sent,
            error: self.error.clone(),
        };
        self.state.lock().reply_where(|append| append.deadline <= now, timed_out);
    }
}

async fn open(
    calls: Calls,
    outgoing: Outgoing,
) -> Result<Streaming<v1::NumberedAnswer>, CallError> {
    let mut grpc = Grpc::new(calls.service())
        .max_encoding_message_size(MAX_MESSAGE)
        .max_decoding_message_size(MAX_MESSAGE);
    grpc.ready().await.map_err(|error| CallError::NotSent(error.to_string()))?;
    let path = PathAndQuery::from_static(APPEND_MANY);
    let opened = grpc.streaming(Request::new(outgoing), path, PipelineCodec).await?;
    Ok(opened.into_inner())
}
