//! A batch of commands: decided one after the other, appended at once, answered when that is durable.
//!
//! The state runs ahead of the log while a batch is decided: the second command sees what the first has
//! decided. So if the append fails, a state that has run ahead is thrown away and loaded again; a state
//! that has not (a batch of one command) is brought up to date.

use leftfold_api::{Append, AppendError, Appended, Conflict, EventStore};

use super::job::{Job, Outcome};
use super::mailbox::Work;
use crate::execute::{Decider, FoldError, Loaded, Overtaken, handled};
use crate::reads::By;
use crate::state::State;

type Jobs<S> = Vec<Box<dyn Job<S>>>;

/// Does a batch.
pub(crate) fn work<S: State, T: EventStore + Clone + 'static>(
    decider: Decider<T>,
    stream: String,
    jobs: Jobs<S>,
    loaded: Option<Loaded<By<S>>>,
) -> Work<S> {
    let mut batch = Batch { decider, stream, loaded, hidden: None };
    Box::pin(async move {
        batch.run(jobs).await;
        batch.loaded
    })
}

struct Batch<S: State, T> {
    decider: Decider<T>,
    stream: String,
    loaded: Option<Loaded<By<S>>>,
    /// The last version of the stream as a conflict told it.
    hidden: Option<u64>,
}

/// What is written for a group of commands.
struct Draft {
    append: Append,
    /// For each command: how many events of the append come before its own, how many of these are in
    /// the entity's stream, and whether it has any.
    spans: Vec<(u64, u64, bool)>,
    /// Whether the state holds events that are not written yet.
    ahead: bool,
    own: Own,
}

/// The events of the entity's own stream in an append.
#[derive(Default)]
struct Own {
    count: u64,
    bytes: u64,
    /// The last one's id, and how many events of the append come before it.
    last: Option<(uuid::Uuid, u64)>,
}

/// What an append of a group comes to.
enum Tried<S: State> {
    Answered,
    Again(Jobs<S>, Option<Overtaken>),
    /// Together they can't be written; maybe each alone can.
    Apart(Jobs<S>),
}

impl<S: State, T: EventStore + Clone + 'static> Batch<S, T> {
    async fn run(&mut self, jobs: Jobs<S>) {
        if let Some(apart) = self.group(jobs).await {
            for job in apart {
                self.group(vec![job]).await;
            }
        }
    }

    /// Decides, appends and answers; gives the commands back if they have to be taken one by one.
    async fn group(&mut self, mut jobs: Jobs<S>) -> Option<Jobs<S>> {
        let mut last = None;
        let mut attempts = 0;
        while attempts < self.decider.bound() {
            attempts += 1;
            if let Err(error) = self.load().await {
                fail(jobs, &error);
                return None;
            }
            match self.attempt(jobs).await {
                Tried::Answered => return None,
                Tried::Apart(apart) => return Some(apart),
                // One that had been handled before is out; the others have not been overtaken.
                Tried::Again(left, None) => {
                    jobs = left;
                    attempts -= 1;
                }
                Tried::Again(left, by) => (jobs, last) = (left, by),
            }
        }
        for job in jobs {
            let by = last.clone().map(|by| Overtaken { attempts, ..by });
            job.answer(Outcome::Overtaken(by.unwrap_or_else(|| Overtaken {
                attempts,
                stream: self.stream.clone(),
                event: None,
            })));
        }
        None
    }

    async fn load(&mut self) -> Result<(), FoldError> {
        if self.loaded.is_none() {
            let mut loaded = self.decider.loaded(&By::stream(&self.stream)).await?;
            loaded.found_at(&self.stream, self.hidden);
            self.loaded = Some(loaded);
        }
        Ok(())
    }

    async fn attempt(&mut self, mut jobs: Jobs<S>) -> Tried<S> {
        // Taken out, so that it is forgotten wherever this ends without knowing it.
        let Some(mut loaded) = self.loaded.take() else { return Tried::Again(jobs, None) };
        let draft = draft(&mut jobs, &mut loaded, &self.stream);
        if !draft.spans.iter().any(|(.., writes)| *writes) {
            return self.prove(jobs, loaded).await;
        }
        let Draft { append, spans, ahead, own } = draft;
        match self.decider.store().append(append).await {
            Ok(appended) => {
                self.written(jobs, loaded, own, Written { spans, appended }).await;
                Tried::Answered
            }
            Err(AppendError::Conflict(conflict)) => {
                self.conflict(jobs, loaded, ahead, conflict).await
            }
            Err(AppendError::Invalid(_) | AppendError::Overlap(_)) if jobs.len() > 1 => {
                Tried::Apart(jobs)
            }
            Err(AppendError::Overlap(overlap)) => {
                match jobs.first().and_then(|job| job.given_id()) {
                    Some(id) => self.was_handled(jobs, id).await,
                    None => fail(jobs, &AppendError::Overlap(overlap).into()),
                }
            }
            Err(other) => fail(jobs, &other.into()),
        }
    }

    /// The state is where the log is again; everybody is answered.
    async fn written(
        &mut self,
        jobs: Jobs<S>,
        mut loaded: Loaded<By<S>>,
        own: Own,
        written: Written,
    ) {
        if let Some(last) = jobs.last() {
            last.apply(&mut loaded.states);
        }
        let Own { count, bytes, last } = own;
        let first = written.appended.positions.map_or(0, |(first, _)| first);
        let last = last.map(|(id, before)| (id, first + before));
        loaded.has_written(&written.appended, [count, bytes], last);
        self.decider.keep(&mut loaded);
        self.loaded = Some(loaded);
        let appended = &written.appended;
        for (job, (before, in_stream, writes)) in jobs.into_iter().zip(written.spans) {
            match writes {
                true => job.answer(Outcome::Written { appended, before, in_stream }),
                false => {
                    self.answer_one(job, Outcome::Proven { cursor: appended.cursor.clone() }).await;
                }
            }
        }
    }

    /// Answers commands that write nothing, if the state is what it was.
    async fn prove(&mut self, jobs: Jobs<S>, mut loaded: Loaded<By<S>>) -> Tried<S> {
        match loaded.catch_up(self.decider.store()).await {
            Ok(None) => {
                let cursor = loaded.cursor();
                self.loaded = Some(loaded);
                for job in jobs {
                    self.answer_one(job, Outcome::Proven { cursor: cursor.clone() }).await;
                }
                Tried::Answered
            }
            Ok(Some((position, stream, event_type))) => {
                self.loaded = Some(loaded);
                let event = Some((position, event_type));
                Tried::Again(jobs, Some(Overtaken { attempts: 0, stream, event }))
            }
            Err(error) => fail(jobs, &error),
        }
    }

    /// Answers a command that has written nothing: if it was handled before, with what came of it.
    async fn answer_one(&self, job: Box<dyn Job<S>>, outcome: Outcome<'_, S::Event>) {
        let handled = match job.given_id() {
            Some(id) => self.decider.handled::<S::Event>(id).await,
            None => Ok(None),
        };
        match handled {
            Ok(None) => job.answer(outcome),
            Ok(Some(executed)) => job.answer(Outcome::Handled(executed)),
            Err(error) => job.answer(Outcome::Failed(error)),
        }
    }

    async fn conflict(
        &mut self,
        jobs: Jobs<S>,
        loaded: Loaded<By<S>>,
        ahead: bool,
        conflict: Conflict,
    ) -> Tried<S> {
        match &conflict {
            Conflict::Version { actual, .. } => {
                self.hidden = self.hidden.max(*actual);
                self.refresh(jobs, loaded, ahead).await
            }
            Conflict::Query { query, .. } => {
                let of_query = |id: &uuid::Uuid| handled(*id).to_string() == *query;
                let id = jobs.iter().find_map(|job| job.given_id().filter(of_query));
                let Some(id) = id else {
                    return fail(jobs, &AppendError::Conflict(conflict).into());
                };
                self.loaded = (!ahead).then_some(loaded);
                self.was_handled(jobs, id).await
            }
            _ => fail(jobs, &AppendError::Conflict(conflict).into()),
        }
    }

    /// Somebody else has written to the stream. What came in between is looked for also if the state
    /// is thrown away: the answer names it.
    async fn refresh(&mut self, jobs: Jobs<S>, mut loaded: Loaded<By<S>>, ahead: bool) -> Tried<S> {
        let news = match loaded.catch_up(self.decider.store()).await {
            Ok(news) => news,
            Err(error) => return fail(jobs, &error),
        };
        let event = news.map(|(position, _, event_type)| (position, event_type));
        loaded.found_at(&self.stream, self.hidden);
        self.loaded = (!ahead).then_some(loaded);
        Tried::Again(jobs, Some(Overtaken { attempts: 0, stream: self.stream.clone(), event }))
    }

    /// Answers the command that had been handled before; the others go on without it.
    async fn was_handled(&self, jobs: Jobs<S>, id: uuid::Uuid) -> Tried<S> {
        let (done, left): (Jobs<S>, Jobs<S>) =
            jobs.into_iter().partition(|job| job.given_id() == Some(id));
        for job in done {
            match self.decider.first_answer::<S::Event>(id).await {
                Ok(first) => job.answer(Outcome::Handled(first)),
                Err(error) => job.answer(Outcome::Failed(error)),
            }
        }
        if left.is_empty() { Tried::Answered } else { Tried::Again(left, None) }
    }
}

struct Written {
    spans: Vec<(u64, u64, bool)>,
    appended: Appended,
}

/// Decides one after the other. The last one's events are not taken into the state: nobody has to see
/// them before they are durable.
fn draft<S: State>(jobs: &mut Jobs<S>, loaded: &mut Loaded<By<S>>, stream: &str) -> Draft {
    let mut draft = Draft {
        append: loaded.guard(Append::new()),
        spans: Vec::with_capacity(jobs.len()),
        ahead: false,
        own: Own::default(),
    };
    let (mut before, count) = (0, jobs.len());
    for (nth, job) in jobs.iter_mut().enumerate() {
        let (events, own) = job.decide(stream, &loaded.states);
        if own > 0 && nth + 1 < count {
            job.apply(&mut loaded.states);
            draft.ahead = true;
        }
        draft.spans.push((before, draft.own.count, !events.is_empty()));
        if let (Some(id), false) = (job.given_id(), events.is_empty()) {
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

fn fail<S: State>(jobs: Jobs<S>, error: &FoldError) -> Tried<S> {
    jobs.into_iter().for_each(|job| job.answer(Outcome::Failed(error.clone())));
    Tried::Answered
}
