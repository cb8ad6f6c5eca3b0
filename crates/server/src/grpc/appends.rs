use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::stream::{FuturesUnordered, StreamExt, unfold};
use futures_util::{FutureExt, Stream};
use leftfold_api::{Append, AppendError, Appended};
use leftfold_wire::{answer, from_status, v1};
use tokio::sync::OwnedSemaphorePermit;
use tonic::{Status, Streaming};

use super::{Closing, Lost, append, begin, closing, memory, status, weight};
use crate::access::{AppendPermit, Caller};
use crate::net::AtWork;
use crate::state::{State, Subscribed};

/// Appends of one call that are being worked on at the same time.
const MOST: usize = 1_024;
/// Bytes of them; one more append may go beyond.
const MOST_BYTES: usize = 64 << 20;

/// An append on its way: its answer, and the bytes that it was counted for.
type OnItsWay = Pin<Box<dyn Future<Output = (v1::NumberedAnswer, usize)> + Send>>;

/// Many appends over one call: each is worked on as soon as it has come, and answered when it is
/// durable. Nothing is taken from the client while so much is on its way, or while the client does
/// not take its answers.
pub(super) struct Appends {
    state: Arc<State>,
    caller: Caller,
    requests: Streaming<v1::NumberedAppend>,
    closing: Closing,
    lost: Lost,
    on_their_way: FuturesUnordered<OnItsWay>,
    bytes: usize,
    pace: Pace,
    /// Whether no request will come any more.
    ended: bool,
    /// Why none will be taken any more, if that is to be said.
    refusal: Option<Status>,
    _begun: Subscribed,
}

impl Appends {
    pub(super) fn start(
        state: Arc<State>,
        caller: Caller,
        requests: Streaming<v1::NumberedAppend>,
    ) -> Result<Self, Status> {
        let (begun, closing) = (begin(&state)?, closing(&state));
        begun.is_caught_up();
        let who = caller.clone();
        let lost = Box::pin(async move { who.leaves().await });
        Ok(Appends {
            lost,
            state,
            caller,
            requests,
            closing,
            on_their_way: FuturesUnordered::new(),
            bytes: 0,
            pace: Pace::new(),
            ended: false,
            refusal: None,
            _begun: begun,
        })
    }

    /// The answers, as they are found.
    pub(super) fn answers(self) -> impl Stream<Item = Result<v1::NumberedAnswer, Status>> + Send {
        unfold(self, |mut appends| async move {
            let answer = appends.next().await?;
            Some((answer, appends))
        })
    }

    async fn next(&mut self) -> Option<Result<v1::NumberedAnswer, Status>> {
        loop {
            let takes_more =
                !self.ended && self.on_their_way.len() < MOST && self.bytes < MOST_BYTES;
            if self.ended && self.on_their_way.is_empty() {
                let closing = || self.state.is_closing().then(status::closing);
                return self.refusal.take().or_else(closing).map(Err);
            }
            let request = tokio::select! {
                Some((answer, bytes)) = self.on_their_way.next() => {
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
                // Whoever can't be understood, or is gone, still has its appends done.
                Err(error) if self.on_their_way.is_empty() => return Some(Err(error)),
                Ok(None) | Err(_) => self.ended = true,
            }
        }
    }

    fn take(&mut self, request: v1::NumberedAppend) {
        let (number, request) = (request.number, request.append.unwrap_or_default());
        let bytes = weight(&request);
        self.bytes += bytes;
        let done = match self.check(request, bytes) {
            Ok((sent, memory)) => {
                let at_work = AtWork::begin();
                let here = self.pace.take(at_work.is_only(), Instant::now());
                let done = append(self.state.clone(), sent, here);
                let answer = move |outcome| {
                    drop((memory, at_work));
                    (answer(number, outcome), bytes)
                };
                done.map(answer).boxed()
            }
            Err(refused) => std::future::ready((refused.answer(number), bytes)).boxed(),
        };
        self.on_their_way.push(done);
    }

    fn check(
        &self,
        request: v1::AppendRequest,
        bytes: usize,
    ) -> Result<(AppendPermit, Option<OwnedSemaphorePermit>), Refused> {
        let memory = memory(&self.state, bytes).map_err(Refused::Status)?;
        let append = Append::try_from(request).map_err(|wrong| Refused::Append(wrong.into()))?;
        let permit = self.caller.authorize_append(append);
        let permit = permit.map_err(|refusal| Refused::Status(status::refused(refusal)))?;
        Ok((permit, memory))
    }
}

/// Decides whose thread writes. To wake the writer, and be woken by it, takes tens of microseconds each,
/// as a quick disk's sync does: a client that always waits for its answer is better served by its
/// connection's thread.
struct Pace {
    /// Appends in a row that came when the thread had nothing else to do; below nothing while it is
    /// not to be blocked.
    alone: i32,
    /// Since when this thread writes.
    began: Option<Instant>,
}

impl Pace {
    /// After so many the client is taken for one that waits for each answer.
    const PATIENCE: i32 = 8;
    /// A write that takes longer is not to block a thread again soon.
    const SLOW: Duration = Duration::from_micros(500);
    /// Soon is so many appends.
    const AFTER_SLOW: i32 = 256;

    fn new() -> Self {
        Pace { alone: 0, began: None }
    }

    /// Whether this thread is to write what has come.
    fn take(&mut self, is_only: bool, now: Instant) -> bool {
        let here = is_only && self.alone >= Self::PATIENCE;
        self.alone = match is_only {
            true => (self.alone + 1).min(Self::PATIENCE),
            false => self.alone.min(0),
        };
        self.began = here.then_some(now);
        here
    }

    fn answered(&mut self, now: Instant) {
        if self.began.take().is_some_and(|began| now - began > Self::SLOW) {
            self.alone = -Self::AFTER_SLOW;
        }
    }
}

/// An append that does not reach the store.
enum Refused {
    Append(AppendError),
    Status(Status),
}

impl Refused {
    fn answer(self, number: u64) -> v1::NumberedAnswer {
        match self {
            Refused::Append(error) => answer(number, Err::<Appended, _>(error)),
            Refused::Status(status) => {
                let is = from_status(&status).map(v1::numbered_answer::Is::Problem);
                v1::NumberedAnswer { number, is }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_thread_writes_for_whoever_waits_for_each_answer() {
        let (mut pace, now) = (Pace::new(), Instant::now());
        let first = (0..20).position(|_| pace.take(true, now));
        assert_eq!(first, Some(Pace::PATIENCE as usize));
        assert!(!pace.take(false, now));
        let next = (0..20).position(|_| pace.take(true, now));
        assert_eq!(next, Some(Pace::PATIENCE as usize));
    }

    #[test]
    fn a_slow_disk_does_not_block_it_again_soon() {
        let (mut pace, now) = (Pace::new(), Instant::now());
        while !pace.take(true, now) {}
        pace.answered(now + Pace::SLOW);
        assert!(pace.take(true, now));
        pace.answered(now + 2 * Pace::SLOW);
        let next = (0..1_000).position(|_| pace.take(true, now));
        assert_eq!(next, Some((Pace::AFTER_SLOW + Pace::PATIENCE) as usize));
    }
}
