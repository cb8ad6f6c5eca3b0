//! A command in a mailbox. A mailbox holds commands of many types; what it needs of each is here.

use leftfold_api::{Appended, Cursor, NewEvent};
use uuid::Uuid;

use crate::command::Command;
use crate::emit::Emit;
use crate::event::Event;
use crate::execute::{
    Decided, DecisionOf, Done, ExecuteError, Executed, FoldError, Issued, OutcomeOf, Overtaken,
    decided,
};
use crate::reads::By;
use crate::state::State;

/// What came of a batch, for one command of it.
pub(crate) enum Outcome<'a, E> {
    /// The append is durable. So many of its events come before the command's; so many of those are
    /// in the entity's stream.
    Written { appended: &'a Appended, before: u64, in_stream: u64 },
    /// Nothing was written, and what was decided on is as it was.
    Proven { cursor: Cursor },
    /// The command had been handled before.
    Handled(Executed<E>),
    /// Others were faster.
    Overtaken(Overtaken),
    /// The store is in trouble.
    Failed(FoldError),
}

pub(crate) trait Job<S: State>: Send {
    /// Whether nobody waits for its answer any more.
    fn is_abandoned(&self) -> bool;

    /// Its id, if one was given.
    fn given_id(&self) -> Option<Uuid>;

    /// Decides; gives the events to be written, the entity's own first, and how many these are.
    fn decide(&mut self, stream: &str, state: &S) -> (Vec<(String, NewEvent)>, usize);

    /// Takes the events of the decision into the state.
    fn apply(&self, state: &mut S);

    /// Answers.
    fn answer(self: Box<Self>, outcome: Outcome<'_, S::Event>);
}

/// A command whose sender waits.
pub(crate) struct Pending<C: Command> {
    command: C,
    issued: Issued,
    id: Uuid,
    outcome: Option<OutcomeOf<C>>,
    decision: Option<DecisionOf<C>>,
    attempts: u32,
    answer: oneshot::Sender<AnswerOf<C>>,
}

pub(crate) type AnswerOf<C> =
    Result<Executed<<C as Command>::Event>, ExecuteError<<C as Command>::Error>>;

/// The sender's end.
pub(crate) struct Answer<A>(oneshot::Receiver<A>);

impl<A> Answer<A> {
    pub(crate) fn take(&self) -> Option<A> {
        self.0.try_recv().ok()
    }
}

impl<C: Command> Pending<C> {
    pub(crate) fn new(
        issued: Issued,
        command: C,
        outcome: Option<OutcomeOf<C>>,
    ) -> (Self, Answer<AnswerOf<C>>) {
        let (answer, receiver) = oneshot::channel();
        let id = issued.id_or_new();
        let pending = Pending { command, issued, id, outcome, decision: None, attempts: 0, answer };
        (pending, Answer(receiver))
    }
}

impl<S, C> Job<S> for Pending<C>
where
    S: State,
    C: Command<Event = S::Event, Reads = By<S>>,
{
    fn is_abandoned(&self) -> bool {
        self.answer.is_closed()
    }

    fn given_id(&self) -> Option<Uuid> {
        self.issued.id
    }

    fn decide(&mut self, stream: &str, state: &S) -> (Vec<(String, NewEvent)>, usize) {
        self.attempts += 1;
        let mut written = Vec::new();
        let decision = decided(&self.command, state).and_then(|events| {
            let emits: Vec<_> = events.into_iter().map(|event| event.to(stream)).collect();
            let encoded = Decided::new(&emits, self.id, &self.issued).map_err(FoldError::from)?;
            written = encoded.events;
            Ok(emits)
        });
        let own = written.len();
        written.extend(self.outcome.iter().flat_map(|outcome| outcome(&decision)));
        self.decision = Some(decision);
        (written, own)
    }

    fn apply(&self, state: &mut S) {
        if let Some(Ok(emits)) = &self.decision {
            emits.iter().for_each(|emit| state.apply(&emit.event));
        }
    }

    fn answer(self: Box<Self>, outcome: Outcome<'_, S::Event>) {
        let attempts = self.attempts;
        let executed = |cursor, events, repeated| Executed { events, cursor, attempts, repeated };
        let answer = match (outcome, self.decision) {
            (Outcome::Handled(executed), _) => Ok(executed),
            (Outcome::Failed(error), _) => Err(error.into()),
            (Outcome::Overtaken(by), _) => Err(ExecuteError::Conflict(by)),
            (_, Some(Err(refused))) => Err(refused),
            (Outcome::Proven { cursor }, _) => Ok(executed(cursor, Vec::new(), false)),
            (Outcome::Written { appended, before, in_stream }, decision) => {
                let emits = decision.and_then(Result::ok).unwrap_or_default();
                let events = done(emits, appended, before, in_stream);
                Ok(executed(appended.cursor.clone(), events, appended.repeated))
            }
        };
        // Whoever has gone does not want to know.
        _ = self.answer.send(answer);
    }
}

/// Where the events of one command of a batch are: side by side, all in the entity's stream.
fn done<E>(emits: Vec<Emit<E>>, appended: &Appended, before: u64, in_stream: u64) -> Vec<Done<E>> {
    let position = appended.positions.map_or(0, |(first, _)| first) + before;
    let stream = emits.first().map(|emit| emit.stream.as_str());
    let versions = appended.streams.iter().find(|it| Some(it.stream.as_str()) == stream);
    let version = versions.map_or(0, |versions| versions.first) + in_stream;
    let place = (position..).zip(version..);
    let at = |(emit, (position, version)): (Emit<E>, (u64, u64))| Done {
        position,
        stream: emit.stream,
        version,
        event: emit.event,
    };
    emits.into_iter().zip(place).map(at).collect()
}
