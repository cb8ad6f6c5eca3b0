//! A command in a mailbox. A mailbox holds commands of several types; this trait hides the type.

use leftfold_api::{Appended, Cursor, NewEvent};
use uuid::Uuid;

use super::reads::{EntityReads, OwnEvents};
use crate::command::Command;
use crate::emit::Emit;
use crate::execute::{
    CommandContext, DecisionEvents, DecisionOf, ExecuteError, Executed, FoldError, OutcomeEvents,
    Overtaken, WrittenEvent, decide_on,
};
use crate::panic::catch;
use crate::reads::{Decides, Source};
use crate::state::State;

/// The result of a batch for one of its commands.
pub(crate) enum JobResult<'a, E> {
    /// The append is durable. The command's events have these positions and versions.
    Written { appended: &'a Appended, numbers: &'a [(u64, u64)] },
    /// Nothing was appended, and the state that was decided on is current.
    Proven { cursor: Cursor },
    /// The command had been handled before.
    Handled(Executed<E>),
    /// Other writers changed the state at every attempt.
    Overtaken(Overtaken),
    /// The store failed, or the command panicked.
    Failed(FoldError),
}

/// A command of an entity.
pub(crate) trait Job<S: State>: Send {
    /// Returns whether its caller has dropped the future that waits for the answer.
    fn is_abandoned(&self) -> bool;

    /// Returns its metadata; the id is there if the caller gave one.
    fn issued(&self) -> &CommandContext;

    /// Decides; returns the events to append. A panic is a decision without events.
    fn decide(&mut self, source: &Source, state: &S) -> Vec<(String, NewEvent)>;

    /// Returns the number of each event in the decision that the entity's state is folded from.
    fn own_events(&self) -> &[usize];

    /// Applies the decision to the state, which must not be used after a panic.
    fn apply(&self, state: &mut S) -> Result<(), FoldError>;

    /// Sends the answer to the caller.
    fn answer(self: Box<Self>, outcome: JobResult<'_, S::Event>);
}

/// A command whose caller waits for the answer.
pub(crate) struct PendingCommand<S: State, C: Command> {
    command: C,
    issued: CommandContext,
    id: Uuid,
    outcome: Option<OutcomeEvents<C>>,
    decision: Option<DecisionOf<C>>,
    own: OwnEvents<S>,
    attempts: u32,
    answer: oneshot::Sender<AnswerOf<C>>,
}

pub(crate) type AnswerOf<C> =
    Result<Executed<<C as Command>::Event>, ExecuteError<<C as Command>::Error>>;

/// The caller's end of the answer channel.
pub(crate) struct Answer<C: Command>(oneshot::Receiver<AnswerOf<C>>);

impl<C: Command> Answer<C> {
    /// Returns the answer, if there is one.
    pub(crate) fn take(&self) -> Option<AnswerOf<C>> {
        match self.0.try_recv() {
            Ok(answer) => Some(answer),
            Err(oneshot::TryRecvError::Empty) => None,
            // Every other end of a batch answers its commands.
            Err(oneshot::TryRecvError::Disconnected) => {
                let message = "its batch ended without an answer".to_owned();
                Some(Err(FoldError::Panicked { message }.into()))
            }
        }
    }
}

impl<S: State, C: Command> PendingCommand<S, C> {
    pub(crate) fn new(
        issued: CommandContext,
        command: C,
        outcome: Option<OutcomeEvents<C>>,
    ) -> (Self, Answer<C>) {
        let (answer, receiver) = oneshot::channel();
        let (id, own) = (issued.id_or_new(), OwnEvents::NONE);
        let pending = PendingCommand {
            command,
            issued,
            id,
            outcome,
            decision: None,
            own,
            attempts: 0,
            answer,
        };
        (pending, Answer(receiver))
    }
}

impl<S, C> PendingCommand<S, C>
where
    S: State,
    C: Command<Event = S::Event, Reads: EntityReads<S>>,
{
    /// Returns the decision and what it writes, and remembers its own events.
    fn draft(&mut self, source: &Source, state: &S) -> (DecisionOf<C>, Vec<(String, NewEvent)>) {
        let mut written = Vec::new();
        let decision = decide_on(&self.command, state).and_then(|events| {
            let emits = C::Reads::emits([source], events);
            written = DecisionEvents::new(&emits, self.id, &self.issued)?.events;
            Ok(emits)
        });
        written.extend(self.outcome.iter().flat_map(|outcome| outcome(&decision)));
        let decision = decision.and_then(|emits| {
            if written.is_empty() {
                let stream = source.stream.as_deref();
                written = DecisionEvents::of_nothing(stream, &self.issued)?.events;
            }
            Ok(emits)
        });
        let emits = decision.as_ref().map_or(0, Vec::len);
        match C::Reads::find_own(source, emits, &written) {
            Ok(own) => self.own = own,
            Err(error) => return (Err(error.into()), Vec::new()),
        }
        (decision, written)
    }
}

impl<S, C> Job<S> for PendingCommand<S, C>
where
    S: State,
    C: Command<Event = S::Event, Reads: EntityReads<S>>,
{
    fn is_abandoned(&self) -> bool {
        self.answer.is_closed()
    }

    fn issued(&self) -> &CommandContext {
        &self.issued
    }

    fn decide(&mut self, source: &Source, state: &S) -> Vec<(String, NewEvent)> {
        self.attempts += 1;
        self.own = OwnEvents::NONE;
        let (decision, written) = catch(|| self.draft(source, state))
            .unwrap_or_else(|panicked| (Err(panicked.into()), Vec::new()));
        self.decision = Some(decision);
        written
    }

    fn own_events(&self) -> &[usize] {
        &self.own.numbers
    }

    fn apply(&self, state: &mut S) -> Result<(), FoldError> {
        match &self.decision {
            Some(Ok(emits)) => catch(|| C::Reads::apply_own(state, emits, &self.own)),
            _ => Ok(()),
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
            (JobResult::Written { appended, numbers }, decision) => {
                let emits = decision.and_then(Result::ok).unwrap_or_default();
                let events = emits.into_iter().zip(numbers).filter_map(written_event).collect();
                Ok(executed(appended.cursor.clone(), events, appended.repeated))
            }
        };
        // A send fails if the caller is gone; then the answer is not needed.
        _ = self.answer.send(answer);
    }
}

fn written_event<E>(
    (emit, (position, version)): (Emit<E>, &(u64, u64)),
) -> Option<WrittenEvent<E>> {
    match emit {
        Emit::Event { stream, event, .. } => {
            Some(WrittenEvent { position: *position, stream, version: *version, event })
        }
        Emit::Timer { .. } | Emit::CancelTimer { .. } => None,
    }
}
