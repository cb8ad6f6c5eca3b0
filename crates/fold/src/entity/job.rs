//! A command in a mailbox. A mailbox holds commands of several types; this trait hides the type.

use leftfold_api::{Appended, Cursor, NewEvent};
use uuid::Uuid;

use crate::command::Command;
use crate::emit::Emit;
use crate::event::Event;
use crate::execute::{
    CommandContext, DecisionEvents, DecisionOf, ExecuteError, Executed, FoldError, OutcomeEvents,
    Overtaken, WrittenEvent, decide_on,
};
use crate::reads::StreamState;
use crate::state::State;

/// The result of a batch for one of its commands.
pub(crate) enum JobResult<'a, E> {
    /// The append is durable. `before` events of the append precede the command's, and `in_stream`
    /// of those are in the entity's stream.
    Written { appended: &'a Appended, before: u64, in_stream: u64 },
    /// Nothing was appended, and the state that was decided on is current.
    Proven { cursor: Cursor },
    /// The command had been handled before.
    Handled(Executed<E>),
    /// Other writers changed the state at every attempt.
    Overtaken(Overtaken),
    /// The store failed.
    Failed(FoldError),
}

pub(crate) trait Job<S: State>: Send {
    /// Returns whether its caller has dropped the future that waits for the answer.
    fn is_abandoned(&self) -> bool;

    /// Returns its metadata; the id is there if the caller gave one.
    fn issued(&self) -> &CommandContext;

    /// Decides; returns the events to append, the entity's own first, and the number of these.
    fn decide(&mut self, stream: &str, state: &S) -> (Vec<(String, NewEvent)>, usize);

    /// Applies the events of the decision to the state.
    fn apply(&self, state: &mut S);

    /// Sends the answer to the caller.
    fn answer(self: Box<Self>, outcome: JobResult<'_, S::Event>);
}

/// A command whose caller waits for the answer.
pub(crate) struct PendingCommand<C: Command> {
    command: C,
    issued: CommandContext,
    id: Uuid,
    outcome: Option<OutcomeEvents<C>>,
    decision: Option<DecisionOf<C>>,
    attempts: u32,
    answer: oneshot::Sender<AnswerOf<C>>,
}

pub(crate) type AnswerOf<C> =
    Result<Executed<<C as Command>::Event>, ExecuteError<<C as Command>::Error>>;

/// The caller's end of the answer channel.
pub(crate) struct Answer<A>(oneshot::Receiver<A>);

impl<A> Answer<A> {
    pub(crate) fn take(&self) -> Option<A> {
        self.0.try_recv().ok()
    }
}

impl<C: Command> PendingCommand<C> {
    pub(crate) fn new(
        issued: CommandContext,
        command: C,
        outcome: Option<OutcomeEvents<C>>,
    ) -> (Self, Answer<AnswerOf<C>>) {
        let (answer, receiver) = oneshot::channel();
        let id = issued.id_or_new();
        let pending =
            PendingCommand { command, issued, id, outcome, decision: None, attempts: 0, answer };
        (pending, Answer(receiver))
    }
}

impl<S, C> Job<S> for PendingCommand<C>
where
    S: State,
    C: Command<Event = S::Event, Reads = StreamState<S>>,
{
    fn is_abandoned(&self) -> bool {
        self.answer.is_closed()
    }

    fn issued(&self) -> &CommandContext {
        &self.issued
    }

    fn decide(&mut self, stream: &str, state: &S) -> (Vec<(String, NewEvent)>, usize) {
        self.attempts += 1;
        let mut written = Vec::new();
        let decision = decide_on(&self.command, state).and_then(|events| {
            let emits: Vec<_> = events.into_iter().map(|event| event.to(stream)).collect();
            written = DecisionEvents::new(&emits, self.id, &self.issued)?.events;
            Ok(emits)
        });
        let own = written.len();
        written.extend(self.outcome.iter().flat_map(|outcome| outcome(&decision)));
        let decision = decision.and_then(|emits| {
            if written.is_empty() {
                written = DecisionEvents::of_nothing(Some(stream), &self.issued)?.events;
            }
            Ok(emits)
        });
        self.decision = Some(decision);
        (written, own)
    }

    fn apply(&self, state: &mut S) {
        if let Some(Ok(emits)) = &self.decision {
            emits.iter().filter_map(Emit::event).for_each(|(_, event)| state.apply(event));
        }
    }

    fn answer(self: Box<Self>, outcome: JobResult<'_, S::Event>) {
        let attempts = self.attempts;
        let executed = |cursor, events, repeated| Executed { events, cursor, attempts, repeated };
        let answer = match (outcome, self.decision) {
            (JobResult::Handled(executed), _) => Ok(executed),
            (JobResult::Failed(error), _) => Err(error.into()),
            (JobResult::Overtaken(by), _) => Err(ExecuteError::Conflict(by)),
            (_, Some(Err(refused))) => Err(refused),
            (JobResult::Proven { cursor }, _) => Ok(executed(cursor, Vec::new(), false)),
            (JobResult::Written { appended, before, in_stream }, decision) => {
                let emits = decision.and_then(Result::ok).unwrap_or_default();
                let events = done(emits, appended, before, in_stream);
                Ok(executed(appended.cursor.clone(), events, appended.repeated))
            }
        };
        // A send fails if the caller is gone; then the answer is not needed.
        _ = self.answer.send(answer);
    }
}

/// Returns the positions and versions of a command's events: contiguous, all in the entity's
/// stream.
fn done<E>(
    emits: Vec<Emit<E>>,
    appended: &Appended,
    before: u64,
    in_stream: u64,
) -> Vec<WrittenEvent<E>> {
    let position = appended.positions.map_or(0, |(first, _)| first) + before;
    let stream = emits.first().and_then(Emit::event).map(|(stream, _)| stream);
    let versions = appended.streams.iter().find(|it| Some(it.stream.as_str()) == stream);
    let version = versions.map_or(0, |versions| versions.first) + in_stream;
    let progress = (position..).zip(version..);
    let written = |(emit, (position, version))| match emit {
        Emit::Event { stream, event, .. } => {
            Some(WrittenEvent { position, stream, version, event })
        }
        // A command that reads one stream can't decide timers.
        Emit::Timer { .. } | Emit::CancelTimer { .. } => None,
    };
    emits.into_iter().zip(progress).filter_map(written).collect()
}
