//! The runner of a command stream.

use std::collections::{HashMap, VecDeque};
use std::convert::Infallible;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;

use futures_util::future::{Either, select};
use futures_util::stream::{FuturesUnordered, StreamExt};
use leftfold_api::{
    AppendError, Conflict, Cursor, Delivery, EventStore, Invalid, Point, Query, Read, ReadError,
    Subscribe, Subscription, Timestamp,
};
use thiserror::Error;

use super::facts::StashState;
use super::lane::{AcceptedCommand, Lane};
use super::progress::Progress;
use super::step::{Context, Step, StepResult, reads};
use super::{Commands, Handle, Recordable};
use crate::execute::{Decider, FoldError};
use crate::reads::QueryState;
use crate::time::Time;

/// The number of keys that are handled concurrently.
pub const PARALLEL: usize = 64;
/// The number of commands in memory, queued or after one that is not done.
pub const QUEUED: usize = 1_024;

/// Why a runner has stopped.
#[derive(Debug, Clone, PartialEq, Error)]
#[non_exhaustive]
pub enum RunError {
    /// Another runner handles this command stream and has moved its checkpoint.
    #[error("another runner handles the command stream {name}; this runner has stopped")]
    Replaced {
        /// The command stream.
        name: String,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] FoldError),
}

impl From<ReadError> for RunError {
    fn from(error: ReadError) -> Self {
        FoldError::from(error).into()
    }
}

impl<C: Recordable, T: EventStore + Clone + 'static> Commands<C, T> {
    /// Handles accepted commands until the store fails or another runner takes over. Spawn it or
    /// poll it beside other futures. Dropping it is as safe as a crash.
    pub async fn run<H: Handle<C>>(
        &self,
        handler: H,
        time: Arc<dyn Time>,
    ) -> Result<Infallible, RunError> {
        let context = Context { commands: self.clone(), handler, time };
        let mut runner = Runner::start(&context).await?;
        loop {
            runner.start_tasks();
            let Some(result) = runner.tasks.next().await else {
                // Either the subscription is polled or a running step will make room for it.
                return Err(RunError::Replaced { name: self.name.clone() });
            };
            runner.handle_result(result?).await?;
        }
    }
}

impl<C: Recordable, T: EventStore + Clone + 'static> Commands<C, T> {
    /// Handles accepted commands until `stop` is ready, for example on a signal.
    pub async fn run_until<H: Handle<C>>(
        &self,
        handler: H,
        time: Arc<dyn Time>,
        stop: impl Future<Output = ()>,
    ) -> Result<(), RunError> {
        match select(pin!(self.run(handler, time)), pin!(stop)).await {
            Either::Left((Err(ended), _)) => Err(ended),
            Either::Right(((), _)) => Ok(()),
        }
    }
}

/// The result of one of the runner's tasks.
enum TaskResult<C, S> {
    Delivery(S, Delivery),
    Step(StepResult<C>),
    /// The stashed commands of a key are to be retried: an event that they read has come, or time
    /// is over.
    Wake {
        key: String,
        watched: Option<Query>,
    },
}

type Task<'a, C, S> =
    Pin<Box<dyn Future<Output = Result<TaskResult<C, S>, FoldError>> + Send + 'a>>;

struct Runner<'a, C, T: EventStore, H> {
    context: &'a Context<C, T, H>,
    progress: Progress,
    lanes: HashMap<String, Lane<C>>,
    /// Keys whose lanes need a step.
    ready: VecDeque<String>,
    running: usize,
    /// The subscription, while the queue is full.
    paused: Option<T::Subscription>,
    tasks: FuturesUnordered<Task<'a, C, T::Subscription>>,
}

impl<'a, C, T, H> Runner<'a, C, T, H>
where
    C: Recordable,
    T: EventStore + Clone + 'static,
    H: Handle<C>,
{
    async fn start(context: &'a Context<C, T, H>) -> Result<Self, RunError> {
        let commands = &context.commands;
        let progress = Progress::load(&commands.name, &commands.store).await?;
        let sent = Query::category(format!("{}.sent", commands.name));
        let subscribe = Subscribe::after(sent, progress.start());
        let paused = Some(commands.store.subscribe(subscribe).await?);
        let mut runner = Runner {
            context,
            progress,
            lanes: HashMap::new(),
            ready: VecDeque::new(),
            running: 0,
            paused,
            tasks: FuturesUnordered::new(),
        };
        runner.load_stash().await?;
        Ok(runner)
    }

    /// Loads the commands that were stashed before a restart, in the order of their acceptance.
    async fn load_stash(&mut self) -> Result<(), RunError> {
        let commands = &self.context.commands;
        let wait = Query::category(format!("{}.wait", commands.name));
        let stashed: StashState =
            Decider::new(&commands.store).load(&QueryState::<StashState>::untyped(wait)).await?;
        let mut entries = Vec::new();
        for (id, command) in stashed.by_command {
            let read = Read::forward(Query::stream(&command.stream));
            let read = read.including(Point::Version(command.version)).limit(1);
            let page = commands.store.read(read).await?;
            let accepted = page.events.first().map(AcceptedCommand::<C>::read);
            // Retention hides it, so it cannot be handled any more.
            let is_it = |entry: &AcceptedCommand<C>| entry.id.to_string() == id;
            if let Some(mut entry) = accepted.filter(is_it) {
                entry.deadline = Some(command.deadline());
                entries.push(entry);
            }
        }
        entries.sort_by_key(|entry| entry.position);
        for entry in entries {
            let key = entry.key().to_owned();
            self.set_timer(&key, entry.deadline);
            let lane = self.lanes.entry(key.clone()).or_default();
            lane.stash.push(entry);
            lane.woken = true;
            self.schedule(&key);
        }
        Ok(())
    }

    /// Starts the steps that can start, and asks for the next command if there is room.
    fn start_tasks(&mut self) {
        while self.running < PARALLEL
            && let Some(key) = self.ready.pop_front()
        {
            self.begin_step(key);
        }
        if self.progress.open() < QUEUED
            && let Some(mut subscription) = self.paused.take()
        {
            self.tasks.push(Box::pin(async move {
                let delivery = subscription.next().await?;
                Ok(TaskResult::Delivery(subscription, delivery))
            }));
        }
    }

    fn begin_step(&mut self, key: String) {
        let Some(lane) = self.lanes.get_mut(&key) else { return };
        lane.listed = false;
        let woken = std::mem::take(&mut lane.woken);
        lane.busy = true;
        let step = Step {
            key,
            stash: std::mem::take(&mut lane.stash),
            seen: lane.seen.clone(),
            woken,
            next: lane.queue.pop_front(),
        };
        self.running += 1;
        let context = self.context;
        self.tasks.push(Box::pin(async move { context.step(step).await.map(TaskResult::Step) }));
    }

    /// Adds a lane to those that need a step, if it has work and is idle.
    fn schedule(&mut self, key: &str) {
        if let Some(lane) = self.lanes.get_mut(key)
            && !lane.busy
            && !lane.listed
            && lane.has_work()
        {
            lane.listed = true;
            self.ready.push_back(key.to_owned());
        }
    }

    async fn handle_result(
        &mut self,
        result: TaskResult<C, T::Subscription>,
    ) -> Result<(), RunError> {
        match result {
            TaskResult::Delivery(subscription, delivery) => {
                self.paused = Some(subscription);
                if let Delivery::Event(stored, cursor) = delivery {
                    // Progress orders commands by position: in several partitions they have no order.
                    if cursor.position().is_none() {
                        let refused = Invalid::crosses_partitions("a command stream");
                        return Err(ReadError::from(refused).into());
                    }
                    let entry = AcceptedCommand::<C>::read(&stored);
                    self.progress.delivered(entry.position, cursor);
                    let key = entry.key().to_owned();
                    self.lanes.entry(key.clone()).or_default().queue.push_back(entry);
                    self.schedule(&key);
                }
            }
            TaskResult::Step(stepped) => self.finish_step(stepped).await?,
            TaskResult::Wake { key, watched } => {
                if let Some(lane) = self.lanes.get_mut(&key) {
                    if watched.is_some() && lane.watched == watched {
                        lane.watched = None;
                    }
                    lane.woken = true;
                }
                self.schedule(&key);
            }
        }
        Ok(())
    }

    async fn finish_step(&mut self, stepped: StepResult<C>) -> Result<(), RunError> {
        let StepResult { key, stash, position, seen } = stepped;
        self.running -= 1;
        if let Some(position) = position {
            self.progress.done(position);
            self.save().await?;
        }
        let new = stash.iter().find(|entry| Some(entry.position) == position);
        self.set_timer(&key, new.and_then(|entry| entry.deadline));
        let query = reads(&stash);
        let Some(lane) = self.lanes.get_mut(&key) else { return Ok(()) };
        lane.busy = false;
        lane.seen = seen.clone();
        lane.stash = stash;
        if lane.is_empty() {
            self.lanes.remove(&key);
            return Ok(());
        }
        if query.is_some() && lane.watched != query {
            lane.watched.clone_from(&query);
            self.watch(key.clone(), query.unwrap_or_default(), seen);
        }
        self.schedule(&key);
        Ok(())
    }

    async fn save(&mut self) -> Result<(), RunError> {
        let commands = &self.context.commands;
        match self.progress.save(&commands.store).await {
            Ok(()) => Ok(()),
            Err(AppendError::Conflict(Conflict::Checkpoint { .. })) => {
                Err(RunError::Replaced { name: commands.name.clone() })
            }
            Err(other) => Err(FoldError::from(other).into()),
        }
    }

    /// Wakes a lane when a stashed command's time is over.
    fn set_timer(&mut self, key: &str, deadline: Option<Timestamp>) {
        if let Some(deadline) = deadline {
            let (key, until) = (key.to_owned(), self.context.time.until(deadline));
            self.tasks.push(Box::pin(async move {
                until.await;
                Ok(TaskResult::Wake { key, watched: None })
            }));
        }
    }

    /// Wakes a lane when an event arrives that its stashed commands read.
    fn watch(&mut self, key: String, query: Query, seen: Cursor) {
        let context = self.context;
        self.tasks.push(Box::pin(async move {
            let subscribe = Subscribe::after(query.clone(), seen);
            let mut news = context.commands.store.subscribe(subscribe).await?;
            while let Delivery::CaughtUp(_) = news.next().await? {}
            Ok(TaskResult::Wake { key, watched: Some(query) })
        }));
    }
}
