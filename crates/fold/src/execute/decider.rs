use std::future::Future;
use std::sync::Arc;

use leftfold_api::{Append, AppendError, Appended, Conflict, Cursor, EventStore, NewEvent, Read};
use uuid::Uuid;

use super::answer::{Done, Executed};
use super::append::{Decided, done};
use super::error::{ExecuteError, FoldError, Overtaken};
use super::issued::Issued;
use super::load::{Loaded, News, handled};
use crate::command::Command;
use crate::emit::Emit;
use crate::event::{Event, decode};
use crate::reads::Reads;
use crate::snapshot::Snapshots;

/// So often a command is decided before the answer is that others were faster.
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
    /// Dropping the future may leave the events written or not.
    fn execute<C: Command>(
        &self,
        command: C,
    ) -> impl Future<Output = Result<Executed<C::Event>, ExecuteError<C::Error>>> + Send;

    /// The same, with what is said of the command beside it: above all its id, by which it is
    /// handled once.
    fn execute_as<C: Command>(
        &self,
        issued: Issued,
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
        issued: Issued,
        command: C,
    ) -> Result<Executed<C::Event>, ExecuteError<C::Error>> {
        Decider::new(self).execute_as(issued, command).await
    }
}

/// What an append of a decision comes to.
enum Tried {
    Done(Appended),
    /// Something had come in between.
    Overtaken(Conflict),
    /// The command was handled before.
    Handled,
}

/// Whether a decision that writes nothing stands.
enum Proof<E> {
    Holds,
    Handled(Executed<E>),
    News(Overtaken),
}

impl<T: EventStore> Decider<T> {
    /// Decides on a store: owned, borrowed or in an [`Arc`].
    pub fn new(store: T) -> Self {
        Decider { store, snapshots: None, attempts: ATTEMPTS }
    }

    /// With snapshots of the states that are [kept](crate::State::KEPT).
    pub fn snapshots(mut self, snapshots: impl Snapshots) -> Self {
        self.snapshots = Some(Arc::new(snapshots));
        self
    }

    /// With at most so many decisions of one command, at least one; 16 unless said otherwise.
    pub fn attempts(mut self, attempts: u32) -> Self {
        self.attempts = attempts.max(1);
        self
    }

    /// The store.
    pub fn store(&self) -> &T {
        &self.store
    }

    /// What a command would be decided on: for looking at states.
    pub async fn load<R: Reads>(&self, reads: &R) -> Result<R::States, FoldError> {
        let mut loaded = self.loaded(reads).await?;
        self.keep(&mut loaded);
        Ok(loaded.states)
    }

    /// Decides a command and appends its events; see [`Execute::execute`].
    pub async fn execute<C: Command>(
        &self,
        command: C,
    ) -> Result<Executed<C::Event>, ExecuteError<C::Error>> {
        self.execute_as(Issued::anonymously(), command).await
    }

    /// Decides a command and appends its events; see [`Execute::execute_as`].
    pub async fn execute_as<C: Command>(
        &self,
        issued: Issued,
        command: C,
    ) -> Result<Executed<C::Event>, ExecuteError<C::Error>> {
        self.execute_with(issued, command, None).await
    }

    /// The same, with what is to be written beside the events.
    pub(crate) async fn execute_with<C: Command>(
        &self,
        issued: Issued,
        command: C,
        outcome: Option<OutcomeOf<C>>,
    ) -> Result<Executed<C::Event>, ExecuteError<C::Error>> {
        let reads = command.reads();
        let mut loaded = self.loaded(&reads).await?;
        let id = issued.id_or_new();
        let answer = self.decide(&issued, id, &command, outcome.as_ref(), &mut loaded).await;
        self.keep(&mut loaded);
        answer
    }

    pub(crate) async fn loaded<R: Reads>(&self, reads: &R) -> Result<Loaded<R>, FoldError> {
        Loaded::load(reads, &self.store, self.snapshots.as_deref()).await
    }

    /// So often a command is decided.
    pub(crate) fn bound(&self) -> u32 {
        self.attempts
    }

    pub(crate) fn keep<R: Reads>(&self, loaded: &mut Loaded<R>) {
        if let Some(snapshots) = &self.snapshots {
            loaded.keep(&**snapshots);
        }
    }

    async fn decide<C: Command>(
        &self,
        issued: &Issued,
        id: Uuid,
        command: &C,
        outcome: Option<&OutcomeOf<C>>,
        loaded: &mut Loaded<C::Reads>,
    ) -> Result<Executed<C::Event>, ExecuteError<C::Error>> {
        let mut last = Overtaken { attempts: 0, stream: String::new(), event: None };
        for attempt in 1..=self.attempts {
            let sources = loaded.places.iter().map(|place| &place.source);
            let decision =
                decided(command, &loaded.states).map(|events| C::Reads::emits(sources, events));
            let mut written = match &decision {
                Ok(emits) => Decided::new(emits, id, issued).map_err(FoldError::from)?,
                Err(_) => Decided { events: Vec::new() },
            };
            written.events.extend(outcome.iter().flat_map(|outcome| outcome(&decision)));
            // What is written proves by its conditions that all that was read was so at one moment.
            // What is not written has to be proved by reading again.
            last = if written.events.is_empty() {
                match self.prove(issued, loaded).await? {
                    Proof::Holds => return self.unwritten::<C>(decision, loaded, attempt).await,
                    Proof::Handled(executed) => return Ok(executed),
                    Proof::News(by) => by,
                }
            } else {
                match self.append(issued, id, loaded, written).await? {
                    Tried::Done(appended) => return written_as(decision, &appended, attempt),
                    Tried::Handled => return Ok(self.first_answer(id).await?),
                    Tried::Overtaken(conflict) => self.refresh(loaded, conflict).await?,
                }
            };
        }
        Err(ExecuteError::Conflict(Overtaken { attempts: self.attempts, ..last }))
    }

    /// Whether a decision that writes nothing stands. With one read it does: that was of one moment.
    async fn prove<E: Event, R: Reads>(
        &self,
        issued: &Issued,
        loaded: &mut Loaded<R>,
    ) -> Result<Proof<E>, FoldError> {
        if let Some(id) = issued.id
            && let Some(executed) = self.handled(id).await?
        {
            return Ok(Proof::Handled(executed));
        }
        let news = match loaded.places.len() {
            0 | 1 => None,
            _ => loaded.catch_up(&self.store).await?,
        };
        Ok(news.map_or(Proof::Holds, |news| Proof::News(overtaken(Some(news), String::new()))))
    }

    async fn append<R: Reads>(
        &self,
        issued: &Issued,
        id: Uuid,
        loaded: &Loaded<R>,
        written: Decided,
    ) -> Result<Tried, FoldError> {
        let append = written.add_to(loaded.guard(Append::new()), issued);
        match self.store.append(append).await {
            Ok(appended) => Ok(Tried::Done(appended)),
            Err(AppendError::Overlap(_)) if issued.id.is_some() => Ok(Tried::Handled),
            Err(AppendError::Conflict(conflict)) => match &conflict {
                Conflict::Query { query, .. }
                    if issued.id.is_some() && *query == handled(id).to_string() =>
                {
                    Ok(Tried::Handled)
                }
                Conflict::Version { .. } | Conflict::Query { .. } => Ok(Tried::Overtaken(conflict)),
                _ => Err(AppendError::Conflict(conflict).into()),
            },
            Err(other) => Err(other.into()),
        }
    }

    /// The answer to a decision that writes nothing.
    async fn unwritten<C: Command>(
        &self,
        decision: DecisionOf<C>,
        loaded: &Loaded<C::Reads>,
        attempts: u32,
    ) -> Result<Executed<C::Event>, ExecuteError<C::Error>> {
        decision?;
        let cursor = match loaded.places.is_empty() {
            false => loaded.cursor(),
            true => self.store.head().await?,
        };
        Ok(Executed { events: Vec::new(), cursor, attempts, repeated: false })
    }

    /// Brings what was read up to date after a conflict, and says what it was.
    async fn refresh<R: Reads>(
        &self,
        loaded: &mut Loaded<R>,
        conflict: Conflict,
    ) -> Result<Overtaken, FoldError> {
        let news = loaded.catch_up(&self.store).await?;
        Ok(match conflict {
            Conflict::Version { stream, actual, .. } => {
                loaded.found_at(&stream, actual);
                overtaken(news, stream)
            }
            Conflict::Query { position, stream, event_type, .. } => {
                overtaken(Some((position, stream, event_type)), String::new())
            }
            _ => overtaken(news, String::new()),
        })
    }

    /// The answer to a command that is known to have been handled.
    pub(crate) async fn first_answer<E: Event>(&self, id: Uuid) -> Result<Executed<E>, FoldError> {
        match self.handled(id).await? {
            Some(executed) => Ok(executed),
            // Retention hides what was done.
            None => {
                let cursor = self.store.head().await?;
                Ok(Executed { events: Vec::new(), cursor, attempts: 0, repeated: true })
            }
        }
    }

    /// What a command has led to, if it was handled.
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
                    events.push(Done {
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

/// What a command was decided to.
pub(crate) type DecisionOf<C> =
    Result<Vec<Emit<<C as Command>::Event>>, ExecuteError<<C as Command>::Error>>;

/// What is written beside the events of a decision, in the same append: what came of the command.
pub(crate) type OutcomeOf<C> = Box<dyn Fn(&DecisionOf<C>) -> Vec<(String, NewEvent)> + Send + Sync>;

type EventsOf<C> = <<C as Command>::Reads as Reads>::Events<<C as Command>::Event>;

/// What the command says to these states.
pub(crate) fn decided<C: Command>(
    command: &C,
    states: &<C::Reads as Reads>::States,
) -> Result<EventsOf<C>, ExecuteError<C::Error>> {
    match command.waits(states) {
        Some(wait) => Err(ExecuteError::Waits(wait)),
        None => command.decide(states).map_err(ExecuteError::Refused),
    }
}

/// The answer to a decision that was written.
fn written_as<E, R>(
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

fn overtaken(news: News, stream: String) -> Overtaken {
    let (stream, event) = match news {
        Some((position, stream, event_type)) => (stream, Some((position, event_type))),
        None => (stream, None),
    };
    Overtaken { attempts: 0, stream, event }
}
