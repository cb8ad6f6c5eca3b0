use std::future::Future;
use std::sync::Arc;

use leftfold_api::{Append, AppendError, Appended, Conflict, EventStore, NewEvent};
use leftfold_io::Random;
use serde::Serialize;
use tracing::field::Empty;
use tracing::{Instrument, debug_span};
use uuid::Uuid;

use super::answer::Executed;
use super::append::{DecisionEvents, done};
use super::backoff::Backoff;
use super::context::CommandContext;
use super::counts::{CommandCounts, Counters, Effort};
use super::digest::name_of;
use super::error::{ExecuteError, FoldError, Overtaken};
use super::load::{LoadedStates, News, handled};
use crate::command::Command;
use crate::emit::Emit;
use crate::event::Event;
use crate::reads::{Decides, Reads};
use crate::snapshot::Snapshots;
use crate::time::Time;

/// The default limit of attempts at a command, after which the answer is a conflict. Each conflict
/// means that another command has succeeded, so as many concurrent commands of one boundary all
/// succeed.
const ATTEMPTS: u32 = 64;

/// Decides commands on a store.
///
/// ```
/// use std::sync::Arc;
/// use leftfold::{Decider, Embedded, MemorySnapshots, Options};
///
/// # let dir = tempfile::tempdir()?;
/// let store = Arc::new(Embedded::open(dir.path(), Options::default())?);
/// let decider = Decider::new(store).snapshots(MemorySnapshots::default()).attempts(4);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Decider<T> {
    store: T,
    snapshots: Option<Arc<dyn Snapshots>>,
    attempts: u32,
    backoff: Backoff,
    counters: Arc<Counters>,
}

/// Executes commands on any store, without snapshots; see [`Decider`] for more.
pub trait Execute: EventStore {
    /// Decides a command and appends its events.
    ///
    /// If the future is dropped, the events may or may not be written.
    fn execute<C: Command>(
        &self,
        command: C,
    ) -> impl Future<Output = Result<Executed<C::Event>, ExecuteError<C::Error>>> + Send;

    /// Executes a command with its metadata. Its id makes it idempotent: it is handled once. The
    /// same id with another command is an error; see [`CommandContext`].
    fn execute_as<C: Command + Serialize>(
        &self,
        issued: CommandContext,
        command: C,
    ) -> impl Future<Output = Result<Executed<C::Event>, ExecuteError<C::Error>>> + Send;
}

impl<T: EventStore> Execute for T {
    async fn execute<C: Command>(
        &self,
        command: C,
    ) -> Result<Executed<C::Event>, ExecuteError<C::Error>> {
        Decider::new(self).execute(command).await
    }

    async fn execute_as<C: Command + Serialize>(
        &self,
        issued: CommandContext,
        command: C,
    ) -> Result<Executed<C::Event>, ExecuteError<C::Error>> {
        Decider::new(self).execute_as(issued, command).await
    }
}

/// The result of appending a decision.
enum AppendResult {
    Done(Appended),
    /// A condition does not hold: something that was read has changed.
    Overtaken(Conflict),
    /// The command was handled before.
    Handled,
}

/// Whether a decision without events is still valid.
enum Proof<E> {
    Holds,
    Handled(Executed<E>),
    News(Overtaken),
}

impl<T: EventStore> Decider<T> {
    /// Makes a decider on a store: owned, borrowed or in an [`Arc`].
    pub fn new(store: T) -> Self {
        let (backoff, counters) = (Backoff::new(), Arc::default());
        Decider { store, snapshots: None, attempts: ATTEMPTS, backoff, counters }
    }

    /// Uses snapshots for the states that [have them](crate::State::SNAPSHOTS).
    pub fn snapshots(mut self, snapshots: impl Snapshots) -> Self {
        self.snapshots = Some(Arc::new(snapshots));
        self
    }

    /// Sets how often a command is decided at most; at least 1, the default is 64. After the first
    /// conflicts it is decided again at once, then after random pauses that grow to a tenth of a
    /// second.
    pub fn attempts(mut self, attempts: u32) -> Self {
        self.attempts = attempts.max(1);
        self
    }

    /// Sets the clock of the pauses between attempts; the default is the system's.
    pub fn time(mut self, time: impl Time) -> Self {
        self.backoff.time = Arc::new(time);
        self
    }

    /// Sets the randomness of the pauses between attempts; the default is the system's.
    pub fn random(mut self, random: Arc<dyn Random>) -> Self {
        self.backoff.random = random;
        self
    }

    /// Returns what was counted since the decider was made, of all its clones together.
    pub fn counts(&self) -> CommandCounts {
        self.counters.read()
    }

    /// Returns the store.
    pub fn store(&self) -> &T {
        &self.store
    }

    /// Loads the states that a command would be decided on, for inspection.
    pub async fn load<R: Reads>(&self, reads: &R) -> Result<R::States, FoldError> {
        let mut loaded = self.load_states(reads).await?;
        self.save_snapshots(&mut loaded);
        Ok(loaded.states)
    }

    /// Decides a command and appends its events; see [`Execute::execute`].
    pub async fn execute<C: Command>(
        &self,
        command: C,
    ) -> Result<Executed<C::Event>, ExecuteError<C::Error>> {
        self.execute_with(CommandContext::new(), command, None).await
    }

    /// Decides a command and appends its events; see [`Execute::execute_as`].
    pub async fn execute_as<C: Command + Serialize>(
        &self,
        issued: CommandContext,
        command: C,
    ) -> Result<Executed<C::Event>, ExecuteError<C::Error>> {
        let issued = issued.bound_to(&command).map_err(FoldError::from)?;
        self.execute_with(issued, command, None).await
    }

    /// Executes a command and appends its outcome events with its events.
    pub(crate) async fn execute_with<C: Command>(
        &self,
        issued: CommandContext,
        command: C,
        outcome: Option<OutcomeEvents<C>>,
    ) -> Result<Executed<C::Event>, ExecuteError<C::Error>> {
        let span =
            debug_span!("execute", command = name_of::<C>(), attempts = Empty, conflicts = Empty);
        let mut effort = Effort::default();
        let answer = self.attempt(&issued, &command, outcome.as_ref(), &mut effort);
        let answer = answer.instrument(span.clone()).await;
        span.record("attempts", effort.attempts).record("conflicts", effort.conflicts);
        self.counters.add_effort(&effort);
        self.counters.add_answer(&answer);
        answer
    }

    async fn attempt<C: Command>(
        &self,
        issued: &CommandContext,
        command: &C,
        outcome: Option<&OutcomeEvents<C>>,
        effort: &mut Effort,
    ) -> Result<Executed<C::Event>, ExecuteError<C::Error>> {
        let mut loaded = self.load_states(&command.reads()).await?;
        let answer = self.decide(issued, command, outcome, &mut loaded, effort).await;
        self.save_snapshots(&mut loaded);
        answer
    }

    pub(crate) fn counters(&self) -> &Counters {
        &self.counters
    }

    pub(crate) async fn pause(&self, conflicts: u32) {
        self.backoff.pause(conflicts).await;
    }

    pub(crate) async fn load_states<R: Reads>(
        &self,
        reads: &R,
    ) -> Result<LoadedStates<R>, FoldError> {
        LoadedStates::load(reads, &self.store, self.snapshots.as_deref()).await
    }

    /// Returns how often a command is decided at most.
    pub(crate) fn max_attempts(&self) -> u32 {
        self.attempts
    }

    pub(crate) fn save_snapshots<R: Reads>(&self, loaded: &mut LoadedStates<R>) {
        if let Some(snapshots) = &self.snapshots {
            loaded.save_snapshots(&**snapshots);
        }
    }

    async fn decide<C: Command>(
        &self,
        issued: &CommandContext,
        command: &C,
        outcome: Option<&OutcomeEvents<C>>,
        loaded: &mut LoadedStates<C::Reads>,
        effort: &mut Effort,
    ) -> Result<Executed<C::Event>, ExecuteError<C::Error>> {
        let id = issued.id_or_new();
        let mut last = Overtaken { attempts: 0, stream: String::new(), event: None };
        while effort.attempts < self.attempts {
            effort.attempts += 1;
            let sources = loaded.sources.iter().map(|progress| &progress.source);
            let decision =
                decide_on(command, &loaded.states).map(|events| C::Reads::emits(sources, events));
            let stream = loaded.sources.iter().find_map(|it| it.source.stream.as_deref());
            let written = encode::<C>(&decision, stream, id, issued, outcome)?;
            // A written decision is proved by the append's conditions: all that was read held at
            // one moment. A decision without events must be proved by reading again.
            last = if written.events.is_empty() {
                match self.prove(issued, loaded).await? {
                    Proof::Holds => {
                        return self.answer_unwritten::<C>(decision, loaded, effort.attempts).await;
                    }
                    Proof::Handled(executed) => return Ok(executed),
                    Proof::News(by) => by,
                }
            } else {
                match self.append(issued, loaded, written).await? {
                    AppendResult::Done(appended) => {
                        return answer_written(decision, &appended, effort.attempts);
                    }
                    AppendResult::Handled => return Ok(self.first_answer(issued, id).await?),
                    AppendResult::Overtaken(conflict) => {
                        if effort.attempts < self.attempts {
                            self.pause(effort.conflicts + 1).await;
                        }
                        self.refresh(loaded, conflict).await?
                    }
                }
            };
            effort.conflicts += 1;
        }
        Err(ExecuteError::Conflict(Overtaken { attempts: self.attempts, ..last }))
    }

    /// Proves a decision without events. One read is of one moment, so it needs no further proof.
    async fn prove<E: Event, R: Reads>(
        &self,
        issued: &CommandContext,
        loaded: &mut LoadedStates<R>,
    ) -> Result<Proof<E>, FoldError> {
        if let Some(id) = issued.id
            && let Some(executed) = self.handled(issued, id).await?
        {
            return Ok(Proof::Handled(executed));
        }
        let news = match loaded.sources.len() {
            0 | 1 => None,
            _ => loaded.catch_up(&self.store).await?,
        };
        Ok(news.map_or(Proof::Holds, |news| Proof::News(overtaken_by(Some(news), String::new()))))
    }

    async fn append<R: Reads>(
        &self,
        issued: &CommandContext,
        loaded: &LoadedStates<R>,
        written: DecisionEvents,
    ) -> Result<AppendResult, FoldError> {
        let append = written.add_to(loaded.add_conditions(Append::new()), issued);
        match self.store.append(append).await {
            Ok(appended) => Ok(AppendResult::Done(appended)),
            Err(AppendError::Overlap(_)) if issued.id.is_some() => Ok(AppendResult::Handled),
            Err(AppendError::Conflict(conflict)) => match &conflict {
                Conflict::Query { query, .. }
                    if issued.id.is_some_and(|id| *query == handled(id).to_string()) =>
                {
                    Ok(AppendResult::Handled)
                }
                Conflict::Version { .. } | Conflict::Query { .. } => {
                    Ok(AppendResult::Overtaken(conflict))
                }
                _ => Err(AppendError::Conflict(conflict).into()),
            },
            Err(other) => Err(other.into()),
        }
    }

    /// Returns the answer to a decision without events.
    async fn answer_unwritten<C: Command>(
        &self,
        decision: DecisionOf<C>,
        loaded: &LoadedStates<C::Reads>,
        attempts: u32,
    ) -> Result<Executed<C::Event>, ExecuteError<C::Error>> {
        decision?;
        let cursor = match loaded.sources.is_empty() {
            false => loaded.cursor(),
            true => self.store.head().await?,
        };
        Ok(Executed { events: Vec::new(), cursor, attempts, repeated: false })
    }

    /// Brings the states up to date after a conflict; returns what invalidated the decision.
    async fn refresh<R: Reads>(
        &self,
        loaded: &mut LoadedStates<R>,
        conflict: Conflict,
    ) -> Result<Overtaken, FoldError> {
        let news = loaded.catch_up(&self.store).await?;
        Ok(match conflict {
            Conflict::Version { stream, actual, .. } => {
                loaded.note_version(&stream, actual);
                overtaken_by(news, stream)
            }
            Conflict::Query { position, stream, event_type, .. } => {
                overtaken_by(Some((position, stream, event_type)), String::new())
            }
            _ => overtaken_by(news, String::new()),
        })
    }
}

/// The decision on a command: its events, or why there are none.
pub(crate) type DecisionOf<C> =
    Result<Vec<Emit<<C as Command>::Event>>, ExecuteError<<C as Command>::Error>>;

/// Makes the outcome events of a decision, which are appended with its events.
pub(crate) type OutcomeEvents<C> =
    Box<dyn Fn(&DecisionOf<C>) -> Vec<(String, NewEvent)> + Send + Sync>;

type EventsOf<C> = <<C as Command>::Reads as Decides<<C as Command>::Event>>::Events;

/// Decides a command on these states.
pub(crate) fn decide_on<C: Command>(
    command: &C,
    states: &<C::Reads as Reads>::States,
) -> Result<EventsOf<C>, ExecuteError<C::Error>> {
    match command.waits(states) {
        Some(wait) => Err(ExecuteError::Waits(wait)),
        None => command.decide(states).map_err(ExecuteError::Refused),
    }
}

/// Returns what is written for a decision: its events and its outcome, or the event that remembers
/// that there is nothing to write.
fn encode<C: Command>(
    decision: &DecisionOf<C>,
    stream: Option<&str>,
    id: Uuid,
    issued: &CommandContext,
    outcome: Option<&OutcomeEvents<C>>,
) -> Result<DecisionEvents, FoldError> {
    let mut written = match decision {
        Ok(emits) => DecisionEvents::new(emits, id, issued)?,
        Err(_) => DecisionEvents { events: Vec::new() },
    };
    written.events.extend(outcome.iter().flat_map(|outcome| outcome(decision)));
    match decision {
        Ok(_) if written.events.is_empty() => DecisionEvents::of_nothing(stream, issued),
        _ => Ok(written),
    }
}

/// Returns the answer to a decision that was written.
fn answer_written<E, R>(
    decision: Result<Vec<Emit<E>>, ExecuteError<R>>,
    appended: &Appended,
    attempts: u32,
) -> Result<Executed<E>, ExecuteError<R>> {
    Ok(Executed {
        events: done(decision?, appended),
        cursor: appended.cursor.clone(),
        attempts,
        repeated: appended.repeated,
    })
}

fn overtaken_by(news: News, stream: String) -> Overtaken {
    let (stream, event) = match news {
        Some((position, stream, event_type)) => (stream, Some((position, event_type))),
        None => (stream, None),
    };
    Overtaken { attempts: 0, stream, event }
}
