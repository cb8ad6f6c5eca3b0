//! Tests of decisions without a store: given these events, when this command, then that.

use leftfold_api::{Limits, NewEvent, Timestamp};

use crate::command::{Command, Wait};
use crate::emit::Fact;
use crate::event::Event;
use crate::reads::{Decides, Reads, StreamState, Unknown};
use crate::state::State;
use crate::unstored::UnstoredEvent;

/// Returns the events before a decision, for tests.
///
/// The events are encoded and decoded as in a store, so their shapes are tested too. An event
/// without a stream counts as one of the single stream that the command reads. For a command that
/// reads queries or several streams, name the stream: `event.to("account-1")`; without it the test
/// fails. It also fails if a store would refuse an event, because of a name or a tag: one of the
/// past, or one that was decided.
///
/// ```
/// # use leftfold::{StreamState, Command, Event, State, given};
/// # #[derive(Debug, PartialEq, Event)]
/// # enum Bank { Opened, Deposited { cents: u64 }, Withdrawn { cents: u64 } }
/// # #[derive(Default)]
/// # struct Account { cents: u64 }
/// # impl State for Account {
/// #     type Event = Bank;
/// #     fn apply(&mut self, event: &Bank) {
/// #         if let Bank::Deposited { cents } = event { self.cents += cents }
/// #     }
/// # }
/// # #[derive(Debug, PartialEq, thiserror::Error)]
/// # enum Refused { #[error("only {cents} cents")] Insufficient { cents: u64 } }
/// # struct Withdraw { cents: u64 }
/// # impl Command for Withdraw {
/// #     type Event = Bank;
/// #     type Error = Refused;
/// #     type Reads = StreamState<Account>;
/// #     fn reads(&self) -> StreamState<Account> { StreamState::of("account-1") }
/// #     fn decide(&self, account: &Account) -> Result<Vec<Bank>, Refused> {
/// #         match account.cents < self.cents {
/// #             true => Err(Refused::Insufficient { cents: account.cents }),
/// #             false => Ok(vec![Bank::Withdrawn { cents: self.cents }]),
/// #         }
/// #     }
/// # }
/// # let (opened, deposited) = (Bank::Opened, Bank::Deposited { cents: 10 });
/// # let withdraw = |cents| Withdraw { cents };
/// assert_eq!(
///     given([opened, deposited]).when(withdraw(11)),
///     Err(Refused::Insufficient { cents: 10 }),
/// );
/// ```
pub fn given<F: Fact>(events: impl IntoIterator<Item = F>) -> Given {
    Given::default().and(events)
}

/// The events before a decision; see [`given`].
#[derive(Debug, Clone, Default)]
pub struct Given {
    events: Vec<GivenEvent>,
}

/// An event of a test.
#[derive(Debug, Clone)]
struct GivenEvent {
    stream: Option<String>,
    event: NewEvent,
}

impl Given {
    /// Adds events after these, perhaps of another enum.
    pub fn and<F: Fact>(mut self, events: impl IntoIterator<Item = F>) -> Self {
        for fact in events {
            let (stream, event) = must(fact.fact());
            check(stream.as_deref().unwrap_or("stream"), &event);
            self.events.push(GivenEvent { stream, event });
        }
        self
    }

    /// Decides a command on the events and returns the decision.
    pub fn when<C: Command>(
        &self,
        command: C,
    ) -> Result<<C::Reads as Decides<C::Event>>::Events, C::Error> {
        let reads = command.reads();
        let decided = command.decide(&self.states::<C::Reads>(&reads))?;
        C::Reads::each(&reads.sources(), &decided, &mut |stream, event| {
            check(stream, &must(event.to_new()));
        });
        Ok(decided)
    }

    /// Returns whether and how long a command would wait, given the events.
    pub fn waits<C: Command>(&self, command: C) -> Option<Wait> {
        command.waits(&self.states::<C::Reads>(&command.reads()))
    }

    /// Returns the state that all the events fold to.
    pub fn state<S: State>(&self) -> S {
        let mut state = S::default();
        for given in &self.events {
            must(<StreamState<S> as Reads>::apply(
                &mut state,
                0,
                Unknown::Skip,
                &given.unstored(""),
            ));
        }
        state
    }

    fn states<R: Reads>(&self, reads: &R) -> R::States {
        let mut states = R::States::default();
        let sources = reads.sources();
        let alone = match &sources[..] {
            [source] => source.stream.as_deref(),
            _ => None,
        };
        for given in &self.events {
            let given = must(given.in_stream(alone));
            for (nth, source) in sources.iter().enumerate() {
                if source.query.matches(&given) {
                    must(R::apply(&mut states, nth, source.unknown, &given));
                }
            }
        }
        states
    }
}

impl GivenEvent {
    /// Returns the event in its stream; without one it belongs to the single stream that is read.
    fn in_stream<'a>(&'a self, alone: Option<&'a str>) -> Result<UnstoredEvent<'a>, String> {
        let stream = self.stream.as_deref().or(alone).ok_or_else(|| {
            let event_type = &self.event.event_type;
            format!(
                "event {event_type} has no stream. Only a command that reads a single stream takes \
                 events without one; name the stream: `event.to(\"...\")`"
            )
        })?;
        Ok(self.unstored(stream))
    }

    fn unstored<'a>(&'a self, stream: &'a str) -> UnstoredEvent<'a> {
        UnstoredEvent { stream, event: &self.event, correlation: None, time: Timestamp(0) }
    }
}

/// Checks the form of an event, as a store does before it appends it.
fn check(stream: &str, event: &NewEvent) {
    let checked = event.check(stream, &Limits::default());
    must(checked.map_err(|invalid| {
        let event_type = &event.event_type;
        format!("a store refuses event {event_type} in stream {stream:?}: {invalid}")
    }));
}

/// Panics on an error: a test whose events cannot be encoded and decoded is wrong.
#[expect(clippy::panic, reason = "for tests: an event that can't be written and read fails them")]
pub(crate) fn must<T, E: std::fmt::Display>(result: Result<T, E>) -> T {
    result.unwrap_or_else(|error| panic!("given: {error}"))
}
