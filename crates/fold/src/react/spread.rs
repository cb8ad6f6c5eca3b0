//! A reactor over many partitions: one run for each partition that this process serves, with a journal there.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::task::Poll;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::{Either, join_all, select};
use futures_util::stream::FuturesUnordered;
use leftfold_api::{BoxFuture, Coded, EventStore, ReadError};

use super::core::Counts;
use super::engine::End;
use super::handler::Handler;
use super::options::Retry;
use super::place::{Place, merge_cursors};
use super::{Progress, Reactor, ReactorError};
use crate::runtime::stop::Stop;
use crate::time::later;

/// The pauses before a partition's run starts again: the bound of the first, and the largest.
const BACK_OFF: Retry = Retry {
    attempts: u32::MAX,
    first: Duration::from_millis(100),
    // The partition has no other reader meanwhile.
    longest: Duration::from_secs(2),
};

/// The code of an error that says that progress lies ahead of the store.
const AHEAD: &str = "cursor_ahead";
/// How often in a row a run starts again until that is believed.
const AHEAD_ATTEMPTS: u32 = 10;

/// The last result of each partition.
type Results = BTreeMap<u32, Progress>;

/// What wakes a reactor that serves some partitions.
enum Wakeup {
    Stop,
    /// The partitions to serve may have changed.
    Changed,
    Ended(u32, Result<Progress, ReactorError>),
}

/// Returns the number of partitions of a store, which is 1 too while a store has no events.
pub(super) async fn count_partitions<S: EventStore>(store: &S) -> Result<u32, ReadError> {
    Ok(u32::try_from(store.head().await?.positions().len()).unwrap_or(u32::MAX))
}

impl<S, H> Reactor<S, H>
where
    S: EventStore + 'static,
    H: Handler,
{
    /// Serves partitions until `stop` is ready, or one of them fails for good.
    pub(super) async fn serve_all(
        &self,
        of: u32,
        mut stop: Pin<&mut (impl Future<Output = ()> + Send)>,
    ) -> Result<Progress, ReactorError> {
        let (mut served, mut stopping) = (BTreeMap::<u32, Stop>::new(), false);
        let (mut runs, mut results) = (FuturesUnordered::new(), Results::new());
        loop {
            // Ask for the next change before looking, so that none is missed.
            let mut changed = self.ownership.as_ref().map(|ownership| ownership.changed());
            for partition in 0..of {
                let serves = !stopping && self.serves(partition);
                match served.get(&partition) {
                    Some(run) if !serves => run.set(),
                    None if serves => {
                        let run = Stop::default();
                        runs.push(self.serve(place(partition, of), partition, run.clone()));
                        served.insert(partition, run);
                    }
                    _ => {}
                }
            }
            if stopping && served.is_empty() {
                return Ok(merge(&results, Counts::default()));
            }
            let stop = (!stopping).then_some(stop.as_mut());
            match next(stop, changed.as_mut(), &mut runs).await {
                Wakeup::Stop => stopping = true,
                Wakeup::Changed => {}
                Wakeup::Ended(partition, ended) => {
                    served.remove(&partition);
                    if !stopping {
                        self.gauges.remove(partition);
                    }
                    add(&mut results, partition, ended?);
                }
            }
        }
    }

    fn serves(&self, partition: u32) -> bool {
        self.ownership.as_ref().is_none_or(|ownership| ownership.serves(partition))
    }

    /// Runs one partition until it is stopped. Failures of the store are retried.
    fn serve(
        &self,
        place: Option<Place>,
        partition: u32,
        stop: Stop,
    ) -> BoxFuture<'static, (u32, Result<Progress, ReactorError>)> {
        let (reactor, mut failures, mut ahead) = (self.clone(), 0, 0);
        Box::pin(async move {
            loop {
                let began = reactor.clock().now();
                let ended = match reactor.engine(place).await {
                    Ok(engine) => engine.run(End::Stop(Box::pin(stop.wait()))).await,
                    Err(error) => Err(error),
                };
                let is_ahead = ended.as_ref().is_err_and(|error| error.code() == AHEAD);
                ahead = if is_ahead { ahead + 1 } else { 0 };
                let may_restart = |error: &ReactorError| match error {
                    // The earlier owner may not know yet that it is deposed. The journal decides.
                    ReactorError::Overtaken { .. } => reactor.ownership.is_some(),
                    // So may its last position be an old one, for a moment.
                    _ if is_ahead => ahead < AHEAD_ATTEMPTS,
                    error => error.can_retry(),
                };
                match ended {
                    Err(error) if may_restart(&error) => {
                        tracing::debug!(%error, partition, "a partition of a reactor starts again");
                    }
                    ended => return (partition, ended),
                }
                if reactor.clock().now() >= later(began, BACK_OFF.longest) {
                    failures = 0;
                }
                failures += 1;
                let micros = BACK_OFF.wait_micros(failures, reactor.randomness());
                let micros = Duration::from_micros(u64::try_from(micros).unwrap_or(0));
                let pause = reactor.clock().after(micros);
                if let Either::Left(_) = select(pin!(stop.wait()), pause).await {
                    return (partition, Ok(merge(&Results::new(), Counts::default())));
                }
            }
        })
    }

    /// Handles what can be handled now in all partitions that are served, also what follows from it.
    pub(super) async fn catch_up_all(&self, of: u32) -> Result<Progress, ReactorError> {
        let mut results = Results::new();
        loop {
            let served = (0..of).filter(|partition| self.serves(*partition));
            let rounds = served.map(|partition| async move {
                let engine = self.engine(place(partition, of)).await?;
                Ok::<_, ReactorError>((partition, engine.run(End::CaughtUp).await?))
            });
            let mut handled = 0;
            for ended in join_all(rounds).await {
                let (partition, progress) = ended?;
                handled += progress.counts.handled;
                add(&mut results, partition, progress);
            }
            // Results in other partitions may be events of the query.
            if handled == 0 {
                return Ok(merge(&results, Counts::default()));
            }
        }
    }
}

/// Returns the place of a partition; a store of one log has none.
fn place(partition: u32, of: u32) -> Option<Place> {
    (of > 1).then_some(Place { partition, of })
}

async fn next(
    mut stop: Option<Pin<&mut (impl Future<Output = ()> + Send)>>,
    mut changed: Option<&mut BoxFuture<'static, ()>>,
    runs: &mut FuturesUnordered<BoxFuture<'static, (u32, Result<Progress, ReactorError>)>>,
) -> Wakeup {
    poll_fn(|cx| {
        if let Some(stop) = &mut stop
            && stop.as_mut().poll(cx).is_ready()
        {
            return Poll::Ready(Wakeup::Stop);
        }
        if let Poll::Ready(Some((partition, ended))) = runs.poll_next_unpin(cx) {
            return Poll::Ready(Wakeup::Ended(partition, ended));
        }
        match &mut changed {
            Some(changed) => changed.as_mut().poll(cx).map(|()| Wakeup::Changed),
            None => Poll::Pending,
        }
    })
    .await
}

/// Adds the end of another run of a partition.
fn add(results: &mut Results, partition: u32, mut progress: Progress) {
    if let Some(earlier) = results.get(&partition) {
        progress.counts.add(earlier.counts);
        if progress.cursor.is_start() {
            progress.cursor = earlier.cursor.clone();
        }
    }
    results.insert(partition, progress);
}

fn merge(results: &Results, mut counts: Counts) -> Progress {
    let cursors = results.iter().map(|(partition, progress)| (*partition, &progress.cursor));
    let cursor = merge_cursors(cursors);
    results.values().for_each(|progress| counts.add(progress.counts));
    Progress { cursor, held_lanes: results.values().map(|p| p.held_lanes).sum(), counts }
}
