//! All appends of a client travel over one call, none waiting for the one before. When the
//! connection is lost, those without an answer are sent again over the next.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_core::Stream;
use leftfold_wire::{APPEND_MANY, EncodedAppend, MAX_MESSAGE, PipelineCodec, v1};
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::time::Instant;
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::{Request, Streaming};

use crate::backoff::Backoff;
use crate::calls::Calls;
use crate::fault::Fault;

/// KiB of appends that are on their way at the same time.
const MOST_KIB: usize = 64 << 10;
/// How often it is looked for appends whose time is over.
const TICK: Duration = Duration::from_millis(200);

/// Where appends are put in.
#[derive(Clone)]
pub(crate) struct Pipeline {
    jobs: mpsc::UnboundedSender<Job>,
    count: Arc<Semaphore>,
    kib: Arc<Semaphore>,
}

/// What an append came to.
pub(crate) enum Outcome {
    /// The server has answered.
    Answer(v1::NumberedAnswer),
    /// It was not answered, and can't be sent again without knowing more.
    Doubt(Fault),
    /// Its time is over; whether it was ever sent, and what was in the way last.
    Late { sent: bool, fault: Option<Fault> },
    /// There is no use in trying.
    Fault(Fault),
}

/// An append on its way.
struct Job {
    append: Bytes,
    /// Whether it may be sent again though it may have arrived.
    repeatable: bool,
    sent: bool,
    deadline: Instant,
    reply: oneshot::Sender<Outcome>,
    /// Held until it is answered: so much may be on its way.
    _permits: [OwnedSemaphorePermit; 2],
}

impl Pipeline {
    pub(crate) fn start(calls: Calls, in_flight: usize) -> Self {
        let (jobs, received) = mpsc::unbounded_channel();
        let lanes = Lanes { call: 0, received, pending: HashMap::new(), next_number: 1 };
        let handle = calls.handle.clone();
        handle.spawn(Driver { calls, lanes: Arc::new(Mutex::new(lanes)), fault: None }.run());
        let (count, kib) = (Semaphore::new(in_flight), Semaphore::new(MOST_KIB));
        Pipeline { jobs, count: Arc::new(count), kib: Arc::new(kib) }
    }

    /// Sends an append, and waits for what it comes to.
    pub(crate) async fn send(&self, append: Bytes, repeatable: bool, deadline: Instant) -> Outcome {
        let gone = || Outcome::Fault(Fault::Lost("the client's runtime has ended".to_owned()));
        let kib = (append.len() / 1024 + 1).min(MOST_KIB) as u32;
        let Ok(one) = self.count.clone().acquire_owned().await else { return gone() };
        let Ok(kib) = self.kib.clone().acquire_many_owned(kib).await else { return gone() };
        let (reply, outcome) = oneshot::channel();
        let permits = [one, kib];
        let job = Job { append, repeatable, sent: false, deadline, reply, _permits: permits };
        if self.jobs.send(job).is_err() {
            return gone();
        }
        outcome.await.unwrap_or_else(|_| gone())
    }
}

/// What the call's two directions share.
struct Lanes {
    /// Which call it is, from 1: one that was given up takes no more.
    call: u64,
    received: mpsc::UnboundedReceiver<Job>,
    /// Those without an answer, by number.
    pending: HashMap<u64, Job>,
    next_number: u64,
}

impl Lanes {
    fn take(&mut self, mut job: Job, sent: bool) -> EncodedAppend {
        let number = self.next_number;
        self.next_number += 1;
        job.sent = sent;
        let item = EncodedAppend { number, append: job.append.clone() };
        self.pending.insert(number, job);
        item
    }

    /// Begins another call: gives what it is to send first, in the order in which it was given.
    fn begin(&mut self) -> (u64, Vec<EncodedAppend>) {
        self.call += 1;
        let item = |(number, job): (&u64, &mut Job)| {
            job.sent = true;
            EncodedAppend { number: *number, append: job.append.clone() }
        };
        let mut again: Vec<_> = self.pending.iter_mut().map(item).collect();
        // From the last to the first: it is taken from the end.
        again.sort_unstable_by_key(|item| std::cmp::Reverse(item.number));
        (self.call, again)
    }

    fn reply_to(&mut self, number: u64, outcome: Outcome) {
        if let Some(job) = self.pending.remove(&number) {
            // Whoever dropped its future does not want to know.
            _ = job.reply.send(outcome);
        }
    }

    fn reply_where(&mut self, wanted: impl Fn(&Job) -> bool, outcome: impl Fn(&Job) -> Outcome) {
        let over = self.pending.iter().filter(|(_, job)| wanted(job));
        let over: Vec<_> = over.map(|(number, job)| (*number, outcome(job))).collect();
        over.into_iter().for_each(|(number, outcome)| self.reply_to(number, outcome));
    }
}

/// What is sent over one call.
struct Outgoing {
    lanes: Arc<Mutex<Lanes>>,
    call: u64,
    again: Vec<EncodedAppend>,
}

impl Stream for Outgoing {
    type Item = EncodedAppend;

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<EncodedAppend>> {
        if let Some(item) = self.again.pop() {
            return Poll::Ready(Some(item));
        }
        let mut lanes = self.lanes.lock();
        if lanes.call != self.call {
            return Poll::Ready(None);
        }
        lanes.received.poll_recv(context).map(|job| Some(lanes.take(job?, true)))
    }
}

/// Keeps a call going while there are appends.
struct Driver {
    calls: Calls,
    lanes: Arc<Mutex<Lanes>>,
    /// What was in the way last.
    fault: Option<Fault>,
}

impl Driver {
    async fn run(mut self) {
        let mut backoff = Backoff::new();
        while self.wait_for_work().await {
            let fault = self.call(&mut backoff).await;
            let Some(fault) = fault else { continue };
            self.sort_out(fault);
            self.expire();
            // The deadline is each append's own.
            backoff.pause(self.calls.deadline()).await;
        }
    }

    /// Waits until there is something to send; false if there never will be.
    async fn wait_for_work(&self) -> bool {
        if !self.lanes.lock().pending.is_empty() {
            return true;
        }
        let job = std::future::poll_fn(|context| self.lanes.lock().received.poll_recv(context));
        let Some(job) = job.await else { return false };
        let mut lanes = self.lanes.lock();
        lanes.take(job, false);
        true
    }

    /// Makes a call and takes its answers until it ends; gives why, if it was not in order.
    async fn call(&mut self, backoff: &mut Backoff) -> Option<Fault> {
        let (call, again) = self.lanes.lock().begin();
        let outgoing = Outgoing { lanes: self.lanes.clone(), call, again };
        let opened = open(self.calls.clone(), outgoing);
        tokio::pin!(opened);
        let mut answers = loop {
            tokio::select! {
                opened = &mut opened => match opened {
                    Ok(answers) => break answers,
                    Err(fault) => return Some(fault),
                },
                () = tokio::time::sleep(TICK) => self.expire(),
            }
        };
        let mut tick = tokio::time::interval(TICK);
        loop {
            tokio::select! {
                answer = answers.message() => match answer {
                    Ok(Some(answer)) => {
                        backoff.reset();
                        self.lanes.lock().reply_to(answer.number, Outcome::Answer(answer));
                    }
                    Ok(None) => {
                        let words = "the server has ended the call".to_owned();
                        let unanswered = !self.lanes.lock().pending.is_empty();
                        return unanswered.then_some(Fault::Lost(words));
                    }
                    Err(status) => return Some(status.into()),
                },
                _ = tick.tick() => self.expire(),
            }
        }
    }

    /// Decides what becomes of appends without an answer: most are sent again.
    fn sort_out(&mut self, fault: Fault) {
        let mut lanes = self.lanes.lock();
        if !fault.may_pass(true) {
            lanes.reply_where(|_| true, |_| Outcome::Fault(fault.clone()));
        } else if fault.leaves_doubt() {
            let doubtful = |job: &Job| job.sent && !job.repeatable;
            lanes.reply_where(doubtful, |_| Outcome::Doubt(fault.clone()));
        }
        drop(lanes);
        self.fault = Some(fault);
    }

    fn expire(&self) {
        let now = Instant::now();
        let late = |job: &Job| Outcome::Late { sent: job.sent, fault: self.fault.clone() };
        self.lanes.lock().reply_where(|job| job.deadline <= now, late);
    }
}

async fn open(calls: Calls, outgoing: Outgoing) -> Result<Streaming<v1::NumberedAnswer>, Fault> {
    let mut grpc = Grpc::new(calls.channel)
        .max_encoding_message_size(MAX_MESSAGE)
        .max_decoding_message_size(MAX_MESSAGE);
    grpc.ready().await.map_err(|error| Fault::Unsent(error.to_string()))?;
    let path = PathAndQuery::from_static(APPEND_MANY);
    let opened = grpc.streaming(Request::new(outgoing), path, PipelineCodec).await?;
    Ok(opened.into_inner())
}
