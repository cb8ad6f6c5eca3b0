use std::future::Future;
use std::sync::Arc;

use leftfold_api::{Append, AppendError, Appended, Conflict, Cursor, EventStore, NewEvent, Read};
use uuid::Uuid;

use super::answer::{Executed, WrittenEvent};
use super::append::{DecisionEvents, done};
use super::context::CommandContext;
use super::error::{ExecuteError, FoldError, Overtaken};
use super::load::{LoadedStates, News, handled};
use crate::command::Command;
use crate::emit::Emit;
use crate::event::{Event, decode};
use crate::reads::{Decides, Reads};
use crate::snapshot::Snapshots;

/// The default limit of attempts at a command, after which the answer is a conflict.
const ATTEMPTS: u32 = 16;

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

    /// Executes a command with its metadata. Its id makes it idempotent: it is handled once.
    fn execute_as<C: Command>(
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

    async fn execute_as<C: Command>(
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
        Decider { store, snapshots: None, attempts: ATTEMPTS }
    }

    /// Uses snapshots for the states that [have them](crate::State::SNAPSHOTS).
    pub fn snapshots(mut self, snapshots: impl Snapshots) -> Self {
        self.snapshots = Some(Arc::new(snapshots));
        self
    }

    /// Sets how often a command is decided at most; at least 1, the default is 16.
    pub fn attempts(mut self, attempts: u32) -> Self {
        self.attempts = attempts.max(1);
        self
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
        self.execute_as(CommandContext::new(), command).await
    }

    /// Decides a command and appends its events; see [`Execute::execute_as`].
    pub async fn execute_as<C: Command>(
        &self,
        issued: CommandContext,
        command: C,
    ) -> Result<Executed<C::Event>, ExecuteError<C::Error>> {
        self.execute_with(issued, command, None).await
    }

    /// Executes a command and appends its outcome events with its events.
    pub(crate) async fn execute_with<C: Command>(
        &self,
        issued: CommandContext,
        command: C,
        outcome: Option<OutcomeEvents<C>>,
    ) -> Result<Executed<C::Event>, ExecuteError<C::Error>> {
        let reads = command.reads();
        let mut loaded = self.load_states(&reads).await?;
        let id = issued.id_or_new();
        let answer = self.decide(&issued, id, &command, outcome.as_ref(), &mut loaded).await;
        self.save_snapshots(&mut loaded);
        answer
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
        id: Uuid,
        command: &C,
        outcome: Option<&OutcomeEvents<C>>,
        loaded: &mut LoadedStates<C::Reads>,
    ) -> Result<Executed<C::Event>, ExecuteError<C::Error>> {
        let mut last = Overtaken { attempts: 0, stream: String::new(), event: None };
        for attempt in 1..=self.attempts {
            let sources = loaded.sources.iter().map(|progress| &progress.source);
            let decision =
                decide_on(command, &loaded.states).map(|events| C::Reads::emits(sources, events));
            let mut written = match &decision {
                Ok(emits) => DecisionEvents::new(emits, id, issued).map_err(FoldError::from)?,
                Err(_) => DecisionEvents { events: Vec::new() },
            };
            written.events.extend(outcome.iter().flat_map(|outcome| outcome(&decision)));
            // A written decision is proved by the append's conditions: all that was read held at
            // one moment. A decision without events must be proved by reading again.
            last = if written.events.is_empty() {
                match self.prove(issued, loaded).await? {
                    Proof::Holds => {
                        return self.answer_unwritten::<C>(decision, loaded, attempt).await;
                    }
                    Proof::Handled(executed) => return Ok(executed),
                    Proof::News(by) => by,
                }
            } else {
                match self.append(issued, id, loaded, written).await? {
                    AppendResult::Done(appended) => {
                        return answer_written(decision, &appended, attempt);
                    }
                    AppendResult::Handled => return Ok(self.first_answer(id).await?),
                    AppendResult::Overtaken(conflict) => self.refresh(loaded, conflict).await?,
                }
            };
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
            && let Some(executed) = self.handled(id).await?
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
        id: Uuid,
        loaded: &LoadedStates<R>,
        written: DecisionEvents,
    ) -> Result<AppendResult, FoldError> {
        let append = written.add_to(loaded.add_conditions(Append::new()), issued);
        match self.store.append(append).await {
            Ok(appended) => Ok(AppendResult::Done(appended)),
            Err(AppendError::Overlap(_)) if issued.id.is_some() => Ok(AppendResult::Handled),
            Err(AppendError::Conflict(conflict)) => match &conflict {
                Conflict::Query { query, .. }
                    if issued.id.is_some() && *query == handled(id).to_string() =>
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

    /// Returns the first answer to a command that is known to have been handled.
    pub(crate) async fn first_answer<E: Event>(&self, id: Uuid) -> Result<Executed<E>, FoldError> {
        match self.handled(id).await? {
            Some(executed) => Ok(executed),
            // Retention hides its events.
            None => {
                let cursor = self.store.head().await?;
                Ok(Executed { events: Vec::new(), cursor, attempts: 0, repeated: true })
            }
        }
    }

    /// Returns the first answer to a command, or `None` if it was not handled.
    pub(crate) async fn handled<E: Event>(
        &self,
        id: Uuid,
    ) -> Result<Option<Executed<E>>, FoldError> {
        let (mut events, mut cursor, mut found) = (Vec::new(), Cursor::START, false);
        loop {
            let page = self.store.read(Read::forward(handled(id)).after(cursor)).await?;
            cursor = page.cursor;
            for stored in &page.events {
                found = true;
                if let Some(event) = decode::<E>(stored)? {
                    let (position, version) = (stored.position(), stored.version());
                    events.push(WrittenEvent {
                        position,
                        stream: stored.stream().to_owned(),
                        version,
                        event,
                    });
                }
            }
            if !page.more {
                break;
            }
        }
        Ok(found.then_some(Executed { events, cursor, attempts: 0, repeated: true }))
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
