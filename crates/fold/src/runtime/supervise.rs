use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, select};
use futures_util::stream::{FuturesUnordered, StreamExt};

use super::Environment;
use super::part::{Part, PartError};
use super::status::PartState;
use super::stop::Stop;
use crate::time::later;

/// A part and its number in the status.
pub(super) type Numbered = (usize, Arc<dyn Part>);

/// Parts that run concurrently. They end when it is dropped.
pub(super) struct Group {
    running: FuturesUnordered<BoxFuture<'static, ()>>,
    /// Dropped with the group, which ends the parts that run elsewhere.
    _guards: Vec<oneshot::Sender<()>>,
}

impl Group {
    /// Starts the parts that have not failed for good.
    pub(super) fn start(parts: &[Numbered], environment: &Arc<Environment>, stop: &Stop) -> Self {
        let (running, mut guards) = (FuturesUnordered::new(), Vec::new());
        for (number, part) in parts {
            if environment.board.has_failed(*number) {
                continue;
            }
            let part = supervise(*number, part.clone(), environment.clone(), stop.clone()).boxed();
            let Some(spawner) = &environment.spawner else {
                running.push(part);
                continue;
            };
            let (guard, dropped) = oneshot::channel::<()>();
            let (ended, end) = oneshot::channel::<()>();
            guards.push(guard);
            spawner(Box::pin(async move {
                select(part, dropped).await;
                drop(ended);
            }));
            running.push(end.map(drop).boxed());
        }
        Group { running, _guards: guards }
    }

    /// Waits until all parts have ended.
    pub(super) async fn ended(&mut self) {
        while self.running.next().await.is_some() {}
    }
}

/// Runs a part until `stop` is set, or until it fails for good; restarts it with back-off.
async fn supervise(number: usize, part: Arc<dyn Part>, environment: Arc<Environment>, stop: Stop) {
    let board = &environment.board;
    let mut attempts = 0;
    while !stop.is_set() {
        board.set(number, PartState::Running);
        let started = environment.time().now();
        let Err(error) = run_once(&*part, &environment, &stop).await else { break };
        board.change(number, |status| status.last_error = Some(error.failure()));
        if error.is_final {
            board.set(number, PartState::Failed);
            return;
        }
        // A part that ran for long has recovered from its earlier failures.
        let recovered = later(started, environment.back_off.longest);
        attempts = if environment.time().now() > recovered { 1 } else { attempts + 1 };
        board.set(number, PartState::BackingOff);
        select(environment.pause(attempts), Box::pin(stop.wait())).await;
        if !stop.is_set() {
            board.change(number, |status| status.restarts += 1);
        }
    }
    board.set(number, PartState::Stopped);
}

async fn run_once(
    part: &dyn Part,
    environment: &Environment,
    stop: &Stop,
) -> Result<(), PartError> {
    // The call makes the future, which may panic too.
    let run = async { part.run(environment, stop.wait().boxed()).await };
    let ended = AssertUnwindSafe(run).catch_unwind().await;
    ended.unwrap_or_else(|panic| Err(PartError::of_panic(&*panic)))
}
