//! A batch of commands: decided in order, appended at once, answered when that is durable.
//!
//! While a batch is decided, the state runs ahead of the log: the second command sees the first
//! one's events. If the append fails, a state that has run ahead is discarded and loaded again. A
//! state that has not (a batch of one command) is brought up to date. A state whose `apply` has
//! panicked is discarded too.

use std::collections::HashMap;
use std::ops::Range;

use leftfold_api::{Append, AppendError, Appended, Conflict, EventStore, NewEvent, Read};

use super::job::{Job, JobResult};
use super::mailbox::BatchFuture;
use super::reads::{EntityState, LoadedEntity, is_known_before_append};
use crate::execute::{Decider, Effort, FoldError, Overtaken, handled};
use crate::panic::{catch, catch_async};
use crate::reads::Source;
use crate::snapshot::Anchor;
use crate::state::State;

type Jobs<S> = Vec<Box<dyn Job<S>>>;

/// Runs a batch.
pub(crate) fn run_batch<S: State, T: EventStore + Clone + 'static>(
    decider: Decider<T>,
    source: Source,
    jobs: Jobs<S>,
    loaded: Option<LoadedEntity<S>>,
) -> BatchFuture<S> {
    let predicts = is_known_before_append(&source);
    let mut batch = Batch { decider, source, predicts, loaded, hidden: None, conflicts: 0 };
    Box::pin(async move {
        batch.run(jobs).await;
        batch.loaded
    })
}

struct Batch<S: State, T> {
    decider: Decider<T>,
    source: Source,
    /// Whether the state's new events are known before the store has them. If not, commands are
    /// handled one by one, and the store is read before each.
    predicts: bool,
    loaded: Option<LoadedEntity<S>>,
    /// The last version of the stream as a conflict reported it.
    hidden: Option<u64>,
    /// How often another process has written to the stream.
    conflicts: u32,
}

/// The append of a group of commands.
struct Draft {
    append: Append,
    /// Each command's events, as numbers in the append.
    spans: Vec<Range<usize>>,
    /// Whether the state includes events that are not written yet.
    ahead: bool,
    own: OwnSummary,
}

/// The events of an append that the entity's state is folded from.
#[derive(Default)]
struct OwnSummary {
    count: u64,
    bytes: u64,
    /// The last one's id, and its number in the append.
    last: Option<(uuid::Uuid, usize)>,
}

/// The result of an attempt to append a group.
enum GroupResult<S: State> {
    Answered,
    Retry(Jobs<S>, Option<Overtaken>),
    /// They cannot be written together; each alone perhaps can.
    Split(Jobs<S>),
}

impl<S: State, T: EventStore + Clone + 'static> Batch<S, T> {
    async fn run(&mut self, jobs: Jobs<S>) {
        if let Some(apart) = self.group(jobs).await {
            for job in apart {
                self.group(vec![job]).await;
            }
        }
    }

    /// Decides, appends and answers; returns the commands if they have to be handled one by one.
    async fn group(&mut self, mut jobs: Jobs<S>) -> Option<Jobs<S>> {
        if jobs.len() > 1 && !self.predicts {
            return Some(jobs);
        }
        let mut last = None;
        let mut attempts = 0;
        while attempts < self.decider.max_attempts() {
            attempts += 1;
            if let Err(error) = self.load().await {
                fail(jobs, &error);
                return None;
            }
            match self.attempt(jobs).await {
                GroupResult::Answered => return None,
                GroupResult::Split(apart) => return Some(apart),
                // A command that had been handled before or has panicked is removed; the others
                // have lost no attempt.
                GroupResult::Retry(left, None) => {
                    jobs = left;
                    attempts -= 1;
                }
                GroupResult::Retry(left, by) => {
                    self.count(0, left.len());
                    (jobs, last) = (left, by);
                }
            }
        }
        for job in jobs {
            let by = last.clone().map(|by| Overtaken { attempts, ..by });
            job.answer(JobResult::Overtaken(by.unwrap_or_else(|| Overtaken {
                attempts,
                stream: self.stream().to_owned(),
                event: None,
            })));
        }
        None
    }

    fn count(&self, attempts: usize, conflicts: usize) {
        let count = |count| u32::try_from(count).unwrap_or(u32::MAX);
        let (attempts, conflicts) = (count(attempts), count(conflicts));
        self.decider.counters().add_effort(&Effort { attempts, conflicts });
    }

    /// Returns the stream, or an empty text for an entity of a query.
    fn stream(&self) -> &str {
        self.source.stream.as_deref().unwrap_or_default()
    }

    async fn load(&mut self) -> Result<(), FoldError> {
        let loaded = match self.loaded.take() {
            Some(loaded) if self.predicts => loaded,
            Some(mut loaded) => {
                self.catch_up(&mut loaded).await?;
                loaded
            }
            None => {
                let state = EntityState::new(self.source.clone());
                let mut loaded = catch_async(self.decider.load_states(&state)).await??;
                loaded.note_version(self.stream(), self.hidden);
                loaded
            }
        };
        self.loaded = Some(loaded);
        Ok(())
    }

    /// Reads new events into the state, which must not be used after an error.
    async fn catch_up(&self, loaded: &mut LoadedEntity<S>) -> Result<Option<Overtaken>, FoldError> {
        let news = catch_async(loaded.catch_up(self.decider.store())).await??;
        Ok(news.map(|(position, stream, event_type)| {
            let event = Some((position, event_type));
            Overtaken { attempts: 0, stream, event }
        }))
    }

    async fn attempt(&mut self, mut jobs: Jobs<S>) -> GroupResult<S> {
        // Take it out, so that every return that does not know the state drops it.
        let Some(mut loaded) = self.loaded.take() else { return GroupResult::Retry(jobs, None) };
        let draft = match draft(&mut jobs, &mut loaded, &self.source) {
            Ok(draft) => draft,
            Err((nth, error)) => {
                jobs.remove(nth).answer(JobResult::Failed(error));
                return GroupResult::Retry(jobs, None);
            }
        };
        self.count(jobs.len(), 0);
        if draft.spans.iter().all(Range::is_empty) {
            return self.prove(jobs, loaded).await;
        }
        let Draft { append, spans, ahead, own } = draft;
        let in_streams = numbers_in_streams(&append);
        match self.decider.store().append(append).await {
            Ok(appended) => {
                let numbers = numbers(&appended, &in_streams);
                let written = WrittenGroup { appended, numbers, spans, own };
                self.record_written(jobs, loaded, written).await;
                GroupResult::Answered
            }
            Err(AppendError::Conflict(conflict)) => {
                self.conflict(jobs, loaded, ahead, conflict).await
            }
            Err(AppendError::Invalid(_) | AppendError::Overlap(_)) if jobs.len() > 1 => {
                GroupResult::Split(jobs)
            }
            Err(AppendError::Overlap(overlap)) => {
                match jobs.first().and_then(|job| job.issued().id) {
                    Some(id) => self.answer_handled(jobs, id).await,
                    None => fail(jobs, &AppendError::Overlap(overlap).into()),
                }
            }
            Err(other) => fail(jobs, &other.into()),
        }
    }

    /// Records the append in the state and answers all commands.
    async fn record_written(
        &mut self,
        jobs: Jobs<S>,
        loaded: LoadedEntity<S>,
        written: WrittenGroup,
    ) {
        let last = jobs.last().map(|last| &**last);
        self.loaded = self.state_after(last, loaded, &written);
        let WrittenGroup { appended, numbers, spans, .. } = &written;
        for (job, span) in jobs.into_iter().zip(spans) {
            match numbers.get(span.clone()) {
                Some(numbers) if !numbers.is_empty() => {
                    job.answer(JobResult::Written { appended, numbers });
                }
                _ => {
                    self.answer_one(job, JobResult::Proven { cursor: appended.cursor.clone() })
                        .await;
                }
            }
        }
    }

    /// Returns the state with the events of an append, or `None` if it has to be loaded again.
    fn state_after(
        &self,
        last: Option<&dyn Job<S>>,
        mut loaded: LoadedEntity<S>,
        written: &WrittenGroup,
    ) -> Option<LoadedEntity<S>> {
        let WrittenGroup { appended, numbers, own, .. } = written;
        if !self.predicts {
            return Some(loaded);
        }
        // A repeated append was applied long ago. In a store of several partitions an append's
        // cursor has not seen what the reads of a query have.
        let is_behind = self.source.stream.is_none() && !appended.cursor.covers(&loaded.cursor());
        if appended.repeated || is_behind {
            return None;
        }
        // The events are durable: a panic only costs the state.
        last.map_or(Ok(()), |last| last.apply(&mut loaded.states)).ok()?;
        let anchor = own.last.and_then(|(id, number)| {
            let (position, version) = *numbers.get(number)?;
            Some(Anchor { position, version, id })
        });
        loaded.record_append(appended.cursor.clone(), [own.count, own.bytes], anchor);
        catch(|| self.decider.save_snapshots(&mut loaded)).ok()?;
        Some(loaded)
    }

    /// Answers commands that write nothing, if the state is current.
    async fn prove(&mut self, jobs: Jobs<S>, mut loaded: LoadedEntity<S>) -> GroupResult<S> {
        match self.catch_up(&mut loaded).await {
            Ok(None) => {
                let cursor = loaded.cursor();
                self.loaded = Some(loaded);
                for job in jobs {
                    self.answer_one(job, JobResult::Proven { cursor: cursor.clone() }).await;
                }
                GroupResult::Answered
            }
            Ok(by) => {
                self.loaded = Some(loaded);
                GroupResult::Retry(jobs, by)
            }
            Err(error) => fail(jobs, &error),
        }
    }

    /// Answers a command that wrote nothing; if it was handled before, with the first answer.
    async fn answer_one(&self, job: Box<dyn Job<S>>, outcome: JobResult<'_, S::Event>) {
        let handled = match job.issued().id {
            Some(id) => self.decider.handled::<S::Event>(job.issued(), id).await,
            None => Ok(None),
        };
        match handled {
            Ok(None) => job.answer(outcome),
            Ok(Some(executed)) => job.answer(JobResult::Handled(executed)),
            Err(error) => job.answer(JobResult::Failed(error)),
        }
    }

    async fn conflict(
        &mut self,
        jobs: Jobs<S>,
        loaded: LoadedEntity<S>,
        ahead: bool,
        conflict: Conflict,
    ) -> GroupResult<S> {
        match &conflict {
            Conflict::Version { stream, actual, .. } => {
                self.hidden = self.hidden.max(*actual);
                let by = Overtaken { attempts: 0, stream: stream.clone(), event: None };
                self.refresh(jobs, loaded, ahead, by).await
            }
            Conflict::Query { query, position, stream, event_type } => {
                let of_query = |id: &uuid::Uuid| handled(*id).to_string() == *query;
                let id = jobs.iter().find_map(|job| job.issued().id.filter(of_query));
                match id {
                    Some(id) => {
                        self.loaded = (!ahead).then_some(loaded);
                        self.answer_handled(jobs, id).await
                    }
                    None if self.source.stream.is_none() => {
                        let event = Some((*position, event_type.clone()));
                        let by = Overtaken { attempts: 0, stream: stream.clone(), event };
                        self.refresh(jobs, loaded, ahead, by).await
                    }
                    None => fail(jobs, &AppendError::Conflict(conflict).into()),
                }
            }
            _ => fail(jobs, &AppendError::Conflict(conflict).into()),
        }
    }

    /// Another process has changed the state: reads its events, or discards a state that has run
    /// ahead, which they don't follow.
    async fn refresh(
        &mut self,
        jobs: Jobs<S>,
        mut loaded: LoadedEntity<S>,
        ahead: bool,
        by: Overtaken,
    ) -> GroupResult<S> {
        self.conflicts += 1;
        if self.conflicts < self.decider.max_attempts() {
            self.decider.pause(self.conflicts).await;
        }
        let news = match ahead {
            true if by.event.is_some() => Ok(None),
            true => self.first_news(&loaded).await,
            false => self.catch_up(&mut loaded).await,
        };
        let news = match news {
            Ok(news) => news,
            Err(error) => return fail(jobs, &error),
        };
        loaded.note_version(self.stream(), self.hidden);
        self.loaded = (!ahead).then_some(loaded);
        GroupResult::Retry(jobs, Some(news.unwrap_or(by)))
    }

    /// Returns the first event that the state does not have yet.
    async fn first_news(&self, loaded: &LoadedEntity<S>) -> Result<Option<Overtaken>, FoldError> {
        let mut cursor = loaded.cursor();
        loop {
            let read = Read::forward(self.source.query.clone()).after(cursor).limit(1);
            let page = self.decider.store().read(read).await?;
            if let Some(event) = page.events.first() {
                let stream = event.stream().to_owned();
                let event = Some((event.position(), event.event_type().to_owned()));
                return Ok(Some(Overtaken { attempts: 0, stream, event }));
            }
            if !page.more {
                return Ok(None);
            }
            cursor = page.cursor;
        }
    }

    /// Answers the command that had been handled before; the others are retried without it.
    async fn answer_handled(&self, jobs: Jobs<S>, id: uuid::Uuid) -> GroupResult<S> {
        let (done, left): (Jobs<S>, Jobs<S>) =
            jobs.into_iter().partition(|job| job.issued().id == Some(id));
        for job in done {
            match self.decider.first_answer::<S::Event>(job.issued(), id).await {
                Ok(first) => job.answer(JobResult::Handled(first)),
                Err(error) => job.answer(JobResult::Failed(error)),
            }
        }
        if left.is_empty() { GroupResult::Answered } else { GroupResult::Retry(left, None) }
    }
}

/// An append that is durable.
struct WrittenGroup {
    appended: Appended,
    /// Each event's position and version.
    numbers: Vec<(u64, u64)>,
    /// Each command's events, as numbers in the append.
    spans: Vec<Range<usize>>,
    own: OwnSummary,
}

/// Decides the commands in order. The last one's events are not applied to the state: no command
/// needs them before they are durable. Returns the number of the command whose events can't be
/// applied, if there is one.
fn draft<S: State>(
    jobs: &mut Jobs<S>,
    loaded: &mut LoadedEntity<S>,
    source: &Source,
) -> Result<Draft, (usize, FoldError)> {
    let mut draft = Draft {
        append: loaded.add_conditions(Append::new()),
        spans: Vec::with_capacity(jobs.len()),
        ahead: false,
        own: OwnSummary::default(),
    };
    let (mut before, count) = (0, jobs.len());
    for (nth, job) in jobs.iter_mut().enumerate() {
        let events = job.decide(source, &loaded.states);
        if !job.own_events().is_empty() && nth + 1 < count {
            job.apply(&mut loaded.states).map_err(|error| (nth, error))?;
            draft.ahead = true;
        }
        if let (Some(id), false) = (job.issued().id, events.is_empty()) {
            draft.append = draft.append.none_after(handled(id), leftfold_api::Cursor::START);
        }
        draft.own.add(job.own_events(), &events, before);
        draft.spans.push(before..before + events.len());
        before += events.len();
        for (stream, event) in events {
            draft.append = draft.append.event(stream, event);
        }
    }
    Ok(draft)
}

impl OwnSummary {
    /// Adds a command's own events: those with these numbers in its events, which come after
    /// `before` others in the append.
    fn add(&mut self, own: &[usize], events: &[(String, NewEvent)], before: usize) {
        for number in own {
            let Some((_, event)) = events.get(*number) else { continue };
            self.count += 1;
            self.bytes += event.data.len() as u64;
            self.last = event.id.map(|id| (id, before + number));
        }
    }
}

/// Returns, for each event of an append, the number of its stream in the order of their first
/// events, and its own number among the events of the stream.
fn numbers_in_streams(append: &Append) -> Vec<(usize, u64)> {
    let mut streams: HashMap<&str, (usize, u64)> = HashMap::new();
    let mut all = Vec::with_capacity(append.events().len());
    for (stream, _) in append.events() {
        let nth = streams.len();
        let (nth, next) = streams.entry(stream).or_insert((nth, 0));
        all.push((*nth, *next));
        *next += 1;
    }
    all
}

/// Returns the position and the version of each event of an append.
fn numbers(appended: &Appended, in_streams: &[(usize, u64)]) -> Vec<(u64, u64)> {
    let first = appended.positions.map_or(0, |(first, _)| first);
    let version = |(stream, number): &(usize, u64)| {
        appended.streams.get(*stream).map_or(0, |versions| versions.first) + number
    };
    (first..).zip(in_streams.iter().map(version)).collect()
}

fn fail<S: State>(jobs: Jobs<S>, error: &FoldError) -> GroupResult<S> {
    jobs.into_iter().for_each(|job| job.answer(JobResult::Failed(error.clone())));
    GroupResult::Answered
}
