//! What a reactor waits for: events, handlers, appends, pages of lanes, dependencies, requests of
//! people, and the time. All of it is one future that is polled by whoever runs it.

mod commit;
mod sources;
mod waiting;

use std::sync::Arc;

use leftfold_api::{Cursor, Delivery, EventStore, Invalid, Query, Subscribe, Timestamp};

use super::core::{Core, Setup, checkpoint_of};
use super::handler::Handler;
use super::journal::{CONTROL, Low, load, stream_of};
use super::{Progress, ReactorError, control};
use crate::time::Time;
use commit::Written;
use sources::{Happened, Sources};
use waiting::Watching;

/// A run that is overtaken while it takes over tries again so often.
const TAKE_OVERS: u32 = 8;

/// When an engine ends.
pub(crate) enum End<'a> {
    /// When it is told to.
    Told(std::pin::Pin<Box<dyn Future<Output = ()> + Send + 'a>>),
    /// When it has done all that can be done now.
    CaughtUp,
}

pub(crate) struct Engine<S: EventStore, H> {
    store: Arc<S>,
    handler: Arc<H>,
    time: Arc<dyn Time>,
    core: Core,
    sources: Sources<S>,
    watching: Watching,
    /// Where the checkpoint is.
    checkpoint: Option<Cursor>,
    /// Whether all that had come when it began was delivered.
    caught_up: bool,
    stopping: bool,
}

impl<S, H> Engine<S, H>
where
    S: EventStore<Subscription: 'static> + 'static,
    H: Handler,
{
    /// Takes over: from here on no other run of the reactor counts. What the run before it had
    /// still under way may come between; then it takes over again, a few times.
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
        let reactor = setup.reactor.clone();
        let mut journal = load(&*store, &reactor).await?;
        if journal.low == Low::START {
            journal.low.cursor = start;
        }
        let checkpoint = store.checkpoint(&checkpoint_of(&reactor)).await?;
        let query = setup.query.clone();
        let events = store.subscribe(Subscribe::after(query, journal.low.cursor.clone())).await?;
        let requests = Query::stream(stream_of(CONTROL, &reactor));
        let requests = store.subscribe(Subscribe::after(requests, journal.control.clone())).await?;
        let mut core = Core::new(setup, journal, time.now());
        let first = core.takes_over();
        let mut engine = Engine {
            sources: Sources::new(events, requests),
            watching: Watching::default(),
            caught_up: false,
            stopping: false,
            store,
            handler,
            time,
            core,
            checkpoint,
        };
        let written = engine.write(first).await;
        engine.written(written)?;
        Ok(engine)
    }

    /// Runs until the end.
    pub(crate) async fn run(mut self, end: End<'_>) -> Result<Progress, ReactorError> {
        let mut told = match end {
            End::Told(told) => Some(told),
            End::CaughtUp => None,
        };
        loop {
            let now = self.time.now();
            self.core.at(now);
            self.core.wake_due();
            self.begin(now);
            if self.is_over(told.is_none()) {
                return Ok(self.progress());
            }
            self.begin_waits();
            let stop = told.as_mut().filter(|_| !self.stopping);
            match self.sources.next(stop).await {
                Happened::Stop => self.stopping = true,
                happened => self.take(happened)?,
            }
        }
    }

    /// Begins all that can begin.
    fn begin(&mut self, now: Timestamp) {
        if self.stopping {
            self.core.wind_down();
        } else {
            self.begin_work();
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

    fn begin_work(&mut self) {
        while let Some(job) = self.core.next_job() {
            self.sources.work(self.handler.clone(), job);
        }
        while let Some(fetch) = self.core.next_fetch() {
            let (store, query) = (self.store.clone(), self.core.query_of(&fetch.lane));
            self.sources.fetch(store, query, fetch, self.core.page_len());
        }
        self.begin_waits();
        self.sources.listen_to_requests();
        if self.core.wants_more() {
            self.sources.listen_to_events();
        }
    }

    fn is_over(&mut self, when_caught_up: bool) -> bool {
        if self.sources.is_writing() {
            return false;
        }
        if self.stopping {
            return self.core.is_wound_down();
        }
        let is_idle = self.caught_up && self.core.is_idle() && self.watching.is_quiet();
        when_caught_up && is_idle && !self.watching.search_again(self.core.counts().handled)
    }

    fn progress(&self) -> Progress {
        let (cursor, counts) = (self.core.journal().low.cursor.clone(), self.core.counts());
        Progress { cursor, held_lanes: self.core.held(), counts }
    }

    fn take(&mut self, happened: Happened) -> Result<(), ReactorError> {
        self.core.at(self.time.now());
        match happened {
            Happened::Stop | Happened::Time => {}
            Happened::Handled(lane, cause, ended) => self.core.finished(&lane, *cause, ended),
            Happened::Written(written) => return self.written(*written),
            Happened::Fetched(lane, upto, page) => self.core.fetched(&lane, page?, upto),
            Happened::Event(delivery) => return self.delivered(delivery?),
            Happened::Request(delivery) => self.requested(&delivery?),
            Happened::Watched(watched) => return self.watched(watched),
        }
        Ok(())
    }

    fn delivered(&mut self, delivery: Delivery) -> Result<(), ReactorError> {
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

    fn requested(&mut self, delivery: &Delivery) {
        if let Delivery::Event(event, at) = delivery {
            if let Some(request) = control::read(event) {
                self.core.resolve(&request.stream, request.version, request.skip);
            }
            self.core.heard(at.clone());
        }
    }

    fn written(&mut self, written: Written) -> Result<(), ReactorError> {
        match written.judge(&self.core)? {
            commit::Verdict::Committed(batch) => {
                self.core.committed(batch);
                self.checkpoint = Some(self.core.journal().low.cursor.clone());
            }
            commit::Verdict::Split(batch) => self.core.split(batch),
            commit::Verdict::Conflicted(batch, reason) => self.core.conflicted(batch, &reason),
            commit::Verdict::Refused(batch, reason) => self.core.refused(batch, &reason),
            commit::Verdict::Recognised(batch) => self.core.recognised(batch),
        }
        Ok(())
    }
}
