//! The waiting of a reactor: for events, handlers, appends, pages of lanes, dependencies, requests
//! of operators, and the time. All of it is one future that the caller polls.

pub(super) mod commit;
mod sources;
mod waiting;

use std::sync::Arc;

use leftfold_api::{Cursor, Delivery, EventStore, Invalid, Query, Subscribe, Timestamp};

use super::core::{Core, Setup, checkpoint_of};
use super::handler::Handler;
use super::journal::{CONTROL, LowMark, load, stream_of};
use super::status::SharedGauges;
use super::{Progress, ReactorError, control};
use crate::time::Time;
use commit::WriteResult;
use sources::{Sources, Wakeup};
use waiting::WaitTracker;

/// The number of attempts at taking over, while appends of the previous run interfere.
const TAKE_OVERS: u32 = 8;

/// When a run ends.
pub(crate) enum End<'a> {
    /// When the given future is ready.
    Stop(std::pin::Pin<Box<dyn Future<Output = ()> + Send + 'a>>),
    /// When it has done all that can be done now.
    CaughtUp,
}

pub(crate) struct Engine<S: EventStore, H> {
    store: Arc<S>,
    handler: Arc<H>,
    time: Arc<dyn Time>,
    core: Core,
    sources: Sources<S>,
    waits: WaitTracker,
    /// The cursor in the checkpoint.
    checkpoint: Option<Cursor>,
    /// Whether all events from before the start were delivered.
    caught_up: bool,
    stopping: bool,
    /// What other tasks see of the run.
    gauges: SharedGauges,
}

impl<S, H> Engine<S, H>
where
    S: EventStore + 'static,
    H: Handler,
{
    /// Takes over: from here on no other run of the reactor can write. Pending appends of the
    /// previous run may interfere; then it retries a few times.
    pub(crate) async fn start(
        store: Arc<S>,
        handler: Arc<H>,
        time: Arc<dyn Time>,
        setup: Setup,
        start: Cursor,
    ) -> Result<Self, ReactorError> {
        let mut attempt = 1;
        loop {
            let (store, handler, time) = (store.clone(), handler.clone(), time.clone());
            match Self::take_over(store, handler, time, setup.clone(), start.clone()).await {
                Err(ReactorError::Overtaken { .. }) if attempt < TAKE_OVERS => attempt += 1,
                answer => return answer,
            }
        }
    }

    async fn take_over(
        store: Arc<S>,
        handler: Arc<H>,
        time: Arc<dyn Time>,
        setup: Setup,
        start: Cursor,
    ) -> Result<Self, ReactorError> {
        let reactor = setup.journal_name();
        let mut journal = load(&*store, &reactor).await?;
        if journal.low == LowMark::START {
            journal.low.cursor = start;
        }
        let checkpoint = store.checkpoint(&checkpoint_of(&reactor)).await?;
        let query = setup.query.clone();
        let events = store.subscribe(Subscribe::after(query, journal.low.cursor.clone())).await?;
        let requests = Query::stream(stream_of(CONTROL, &reactor));
        let requests = store.subscribe(Subscribe::after(requests, journal.control.clone())).await?;
        let mut core = Core::new(setup, journal, time.now());
        let first = core.takeover_batch();
        let mut engine = Engine {
            sources: Sources::new(events, requests),
            waits: WaitTracker::default(),
            caught_up: false,
            stopping: false,
            gauges: SharedGauges::default(),
            store,
            handler,
            time,
            core,
            checkpoint,
        };
        let written = engine.write(first).await;
        engine.finish_write(written)?;
        Ok(engine)
    }

    /// Shows what it does in these values.
    pub(crate) fn show_status(self, gauges: SharedGauges) -> Self {
        Engine { gauges, ..self }
    }

    /// Runs until the end condition.
    pub(crate) async fn run(mut self, end: End<'_>) -> Result<Progress, ReactorError> {
        let mut stop = match end {
            End::Stop(stop) => Some(stop),
            End::CaughtUp => None,
        };
        loop {
            let now = self.time.now();
            self.core.set_now(now);
            self.core.wake_due();
            self.start_work(now);
            self.gauges.set(self.core.place(), self.core.gauges(self.caught_up));
            if self.is_over(stop.is_none()) {
                return Ok(self.progress());
            }
            self.start_waits();
            let stop = stop.as_mut().filter(|_| !self.stopping);
            match self.sources.next(stop).await {
                Wakeup::Stop => self.stopping = true,
                wakeup => self.handle_wakeup(wakeup)?,
            }
        }
    }

    /// Starts all work that can start.
    fn start_work(&mut self, now: Timestamp) {
        if self.stopping {
            self.core.stop();
        } else {
            self.start_handlers();
        }
        if !self.sources.is_writing()
            && let Some(batch) = self.core.next_batch()
        {
            let write = self.write(batch);
            self.sources.writing(Box::pin(write));
        }
        match self.core.next_due() {
            Some(due) if due > now => self.sources.sleep(due, &*self.time),
            _ => self.sources.no_sleep(),
        }
    }

    fn start_handlers(&mut self) {
        while let Some(job) = self.core.next_job() {
            let limit = self.core.time_limit().map(|limit| (limit, self.time.after(limit)));
            let (store, handler) = (self.store.clone(), self.handler.clone());
            self.sources.work(store, handler, self.core.reactor(), job, limit);
        }
        while let Some(fetch) = self.core.next_page_request() {
            let (store, query) = (self.store.clone(), self.core.query_of(&fetch.lane));
            self.sources.fetch(store, query, fetch, self.core.page_len());
        }
        self.start_waits();
        self.sources.listen_to_requests();
        if self.core.has_room() {
            self.sources.listen_to_events();
        }
    }

    fn is_over(&mut self, when_caught_up: bool) -> bool {
        if self.sources.is_writing() {
            return false;
        }
        if self.stopping {
            return self.core.is_stopped();
        }
        let is_idle = self.caught_up && self.core.is_idle() && self.waits.is_quiet();
        when_caught_up && is_idle && !self.waits.search_again(self.core.counts().handled)
    }

    fn progress(&self) -> Progress {
        let (cursor, counts) = (self.core.journal().low.cursor.clone(), self.core.counts());
        Progress { cursor, held_lanes: self.core.held(), counts }
    }

    fn handle_wakeup(&mut self, wakeup: Wakeup) -> Result<(), ReactorError> {
        self.core.set_now(self.time.now());
        match wakeup {
            Wakeup::Stop | Wakeup::Time => {}
            Wakeup::Handled(lane, cause, ended) => self.core.finish_handler(&lane, *cause, ended),
            Wakeup::WriteResult(written) => return self.finish_write(*written),
            Wakeup::Fetched(lane, upto, page) => self.core.add_page(&lane, page?, upto),
            Wakeup::Event(delivery) => return self.handle_delivery(delivery?),
            Wakeup::Request(delivery) => self.handle_request(&delivery?),
            Wakeup::WatchResult(watched) => return self.handle_watch_result(watched),
        }
        Ok(())
    }

    fn handle_delivery(&mut self, delivery: Delivery) -> Result<(), ReactorError> {
        match delivery {
            Delivery::Event(event, at) => {
                // The journal orders events by position: in several partitions they have no order.
                let partitions = at.positions().len() as u32;
                if self.core.query().single_partition(partitions).is_none() {
                    return Err(Invalid::crosses_partitions("the query of a reactor").into());
                }
                self.core.admit(event, at);
            }
            Delivery::CaughtUp(_) => self.caught_up = true,
        }
        Ok(())
    }

    fn handle_request(&mut self, delivery: &Delivery) {
        if let Delivery::Event(event, at) = delivery {
            if let Some(request) = control::decode_request(event) {
                self.core.resolve(&request);
            }
            self.core.record_requests(at.clone());
        }
    }

    fn finish_write(&mut self, written: WriteResult) -> Result<(), ReactorError> {
        match written.judge(&self.core)? {
            commit::Verdict::Committed(batch) => {
                self.core.finish_batch(batch);
                self.checkpoint = Some(self.core.journal().low.cursor.clone());
            }
            commit::Verdict::Split(batch) => self.core.split_batch(batch),
            commit::Verdict::Conflicted(batch, reason) => self.core.retry_conflict(batch, &reason),
            commit::Verdict::Refused(batch, reason) => self.core.park_refused(batch, &reason),
            commit::Verdict::Recognised(batch) => self.core.drop_results(batch),
        }
        Ok(())
    }
}
