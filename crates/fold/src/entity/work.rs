//! A batch of commands: decided in order, appended at once, answered when that is durable.
//!
//! While a batch is decided, the state runs ahead of the log: the second command sees the first
//! one's events. If the append fails, a state that has run ahead is discarded and loaded again. A
//! state that has not (a batch of one command) is brought up to date.

use leftfold_api::{Append, AppendError, Appended, Conflict, EventStore};

use super::job::{Job, JobResult};
use super::mailbox::BatchFuture;
use crate::execute::{Decider, Effort, FoldError, LoadedStates, Overtaken, handled};
use crate::reads::StreamState;
use crate::state::State;

type Jobs<S> = Vec<Box<dyn Job<S>>>;

/// Runs a batch.
pub(crate) fn run_batch<S: State, T: EventStore + Clone + 'static>(
    decider: Decider<T>,
    stream: String,
    jobs: Jobs<S>,
    loaded: Option<LoadedStates<StreamState<S>>>,
) -> BatchFuture<S> {
    let mut batch = Batch { decider, stream, loaded, hidden: None, conflicts: 0 };
    Box::pin(async move {
        batch.run(jobs).await;
        batch.loaded
    })
}

struct Batch<S: State, T> {
    decider: Decider<T>,
    stream: String,
    loaded: Option<LoadedStates<StreamState<S>>>,
    /// The last version of the stream as a conflict reported it.
    hidden: Option<u64>,
    /// How often another process has written to the stream.
    conflicts: u32,
}

/// The append of a group of commands.
struct Draft {
    append: Append,
    /// For each command: the number of events of the append before its own, the number of these in
    /// the entity's stream, and whether it has any events.
    spans: Vec<(u64, u64, bool)>,
    /// Whether the state includes events that are not written yet.
    ahead: bool,
    own: OwnEvents,
}

/// The events of an append that are in the entity's own stream.
#[derive(Default)]
struct OwnEvents {
    count: u64,
    bytes: u64,
    /// The last one's id, and the number of events of the append before it.
    last: Option<(uuid::Uuid, u64)>,
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
                // A command that had been handled before is removed; the others have lost no
                // attempt.
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
                stream: self.stream.clone(),
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

    async fn load(&mut self) -> Result<(), FoldError> {
        if self.loaded.is_none() {
            let mut loaded = self.decider.load_states(&StreamState::of(&self.stream)).await?;
            loaded.note_version(&self.stream, self.hidden);
            self.loaded = Some(loaded);
        }
        Ok(())
    }

    async fn attempt(&mut self, mut jobs: Jobs<S>) -> GroupResult<S> {
        // Take it out, so that every return that does not know the state drops it.
        let Some(mut loaded) = self.loaded.take() else { return GroupResult::Retry(jobs, None) };
        let draft = draft(&mut jobs, &mut loaded, &self.stream);
        self.count(jobs.len(), 0);
        if !draft.spans.iter().any(|(.., writes)| *writes) {
            return self.prove(jobs, loaded).await;
        }
        let Draft { append, spans, ahead, own } = draft;
        match self.decider.store().append(append).await {
            Ok(appended) => {
                self.record_written(jobs, loaded, own, WrittenGroup { spans, appended }).await;
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
        mut loaded: LoadedStates<StreamState<S>>,
        own: OwnEvents,
        written: WrittenGroup,
    ) {
        if let Some(last) = jobs.last() {
            last.apply(&mut loaded.states);
        }
        let OwnEvents { count, bytes, last } = own;
        let first = written.appended.positions.map_or(0, |(first, _)| first);
        let last = last.map(|(id, before)| (id, first + before));
        loaded.record_append(&written.appended, [count, bytes], last);
        self.decider.save_snapshots(&mut loaded);
        self.loaded = Some(loaded);
        let appended = &written.appended;
        for (job, (before, in_stream, writes)) in jobs.into_iter().zip(written.spans) {
            match writes {
                true => job.answer(JobResult::Written { appended, before, in_stream }),
                false => {
                    self.answer_one(job, JobResult::Proven { cursor: appended.cursor.clone() })
                        .await;
                }
            }
        }
    }

    /// Answers commands that write nothing, if the state is current.
    async fn prove(
        &mut self,
        jobs: Jobs<S>,
        mut loaded: LoadedStates<StreamState<S>>,
    ) -> GroupResult<S> {
        match loaded.catch_up(self.decider.store()).await {
            Ok(None) => {
                let cursor = loaded.cursor();
                self.loaded = Some(loaded);
                for job in jobs {
                    self.answer_one(job, JobResult::Proven { cursor: cursor.clone() }).await;
                }
                GroupResult::Answered
            }
            Ok(Some((position, stream, event_type))) => {
                self.loaded = Some(loaded);
                let event = Some((position, event_type));
                GroupResult::Retry(jobs, Some(Overtaken { attempts: 0, stream, event }))
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
        loaded: LoadedStates<StreamState<S>>,
        ahead: bool,
        conflict: Conflict,
    ) -> GroupResult<S> {
        match &conflict {
            Conflict::Version { actual, .. } => {
                self.hidden = self.hidden.max(*actual);
                self.refresh(jobs, loaded, ahead).await
            }
            Conflict::Query { query, .. } => {
                let of_query = |id: &uuid::Uuid| handled(*id).to_string() == *query;
                let id = jobs.iter().find_map(|job| job.issued().id.filter(of_query));
                let Some(id) = id else {
                    return fail(jobs, &AppendError::Conflict(conflict).into());
                };
                self.loaded = (!ahead).then_some(loaded);
                self.answer_handled(jobs, id).await
            }
            _ => fail(jobs, &AppendError::Conflict(conflict).into()),
        }
    }

    /// Another process has written to the stream. The events in between are read even if the state
    /// is discarded, because the answer names the first of them.
    async fn refresh(
        &mut self,
        jobs: Jobs<S>,
        mut loaded: LoadedStates<StreamState<S>>,
        ahead: bool,
    ) -> GroupResult<S> {
        self.conflicts += 1;
        if self.conflicts < self.decider.max_attempts() {
            self.decider.pause(self.conflicts).await;
        }
        let news = match loaded.catch_up(self.decider.store()).await {
            Ok(news) => news,
            Err(error) => return fail(jobs, &error),
        };
        let event = news.map(|(position, _, event_type)| (position, event_type));
        loaded.note_version(&self.stream, self.hidden);
        self.loaded = (!ahead).then_some(loaded);
        GroupResult::Retry(
            jobs,
            Some(Overtaken { attempts: 0, stream: self.stream.clone(), event }),
        )
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

struct WrittenGroup {
    spans: Vec<(u64, u64, bool)>,
    appended: Appended,
}

/// Decides the commands in order. The last one's events are not applied to the state: no command
/// needs them before they are durable.
fn draft<S: State>(
    jobs: &mut Jobs<S>,
    loaded: &mut LoadedStates<StreamState<S>>,
    stream: &str,
) -> Draft {
    let mut draft = Draft {
        append: loaded.add_conditions(Append::new()),
        spans: Vec::with_capacity(jobs.len()),
        ahead: false,
        own: OwnEvents::default(),
    };
    let (mut before, count) = (0, jobs.len());
    for (nth, job) in jobs.iter_mut().enumerate() {
        let (events, own) = job.decide(stream, &loaded.states);
        if own > 0 && nth + 1 < count {
            job.apply(&mut loaded.states);
            draft.ahead = true;
        }
        draft.spans.push((before, draft.own.count, !events.is_empty()));
        if let (Some(id), false) = (job.issued().id, events.is_empty()) {
            draft.append = draft.append.none_after(handled(id), leftfold_api::Cursor::START);
        }
        draft.own.count += own as u64;
        for (nth, (stream, event)) in events.into_iter().enumerate() {
            if nth < own {
                draft.own.bytes += event.data.len() as u64;
                draft.own.last = event.id.map(|id| (id, before));
            }
            draft.append = draft.append.event(stream, event);
            before += 1;
        }
    }
    draft
}

fn fail<S: State>(jobs: Jobs<S>, error: &FoldError) -> GroupResult<S> {
    jobs.into_iter().for_each(|job| job.answer(JobResult::Failed(error.clone())));
    GroupResult::Answered
}
