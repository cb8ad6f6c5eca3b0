//! A command stream with a stash: each command is handled once, and those of a key in order.

use std::sync::Arc;
use std::time::Duration;

use leftfold::testing::{Domain, Running, World, running};
use leftfold::{
    Command, CommandContext, Commands, Decider, Event, Query, Recordable, State, StreamState, Wait,
    decode,
};
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

#[derive(Debug, Clone, PartialEq, Event)]
enum Book {
    Opened,
    Written { line: u64 },
}

#[derive(Default)]
struct Pages {
    open: bool,
}

impl State for Pages {
    type Event = Book;

    fn apply(&mut self, event: &Book) {
        self.open |= *event == Book::Opened;
    }
}

/// Opens a book, or writes a line; a line must wait until the book is open.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Write {
    book: String,
    line: Option<u64>,
}

impl Command for Write {
    type Event = Book;
    type Error = Never;
    type Reads = StreamState<Pages>;

    fn reads(&self) -> StreamState<Pages> {
        StreamState::of(&self.book)
    }

    fn waits(&self, pages: &Pages) -> Option<Wait> {
        let must_wait = self.line.is_some() && !pages.open;
        must_wait.then(|| Wait::at_most(Duration::from_secs(1_000_000_000)))
    }

    fn decide(&self, _: &Pages) -> Result<Vec<Book>, Never> {
        Ok(vec![self.line.map_or(Book::Opened, |line| Book::Written { line })])
    }
}

impl Recordable for Write {}

/// The error of commands that are never refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("never")]
struct Never;

struct Books {
    written: Arc<Mutex<usize>>,
}

impl Domain for Books {
    fn runs(&self, world: &World) -> Vec<Running> {
        let (store, time) = (world.store(), Arc::new(world.time()));
        vec![running(async move {
            let writes = Commands::<Write, _>::new("writes", store.clone());
            let writes = writes.map_err(|error| error.to_string())?;
            let ended = writes.run(Decider::new(store), time).await;
            ended.map(drop).map_err(|error| error.to_string())
        })]
    }

    fn act(&self, world: &World, turn: u64) -> Running {
        let (store, random) = (world.store(), world.random());
        running(async move {
            let book = format!("book-{}", random.below(3));
            let line = (turn >= 12 || random.below(4) > 0).then_some(turn);
            let line = line.filter(|_| turn < 17);
            let writes = Commands::<Write, _>::new("writes", store);
            let writes = writes.map_err(|error| error.to_string())?;
            let id = Uuid::from_u128(u128::from(turn) + 1);
            let accepted = writes.accept(CommandContext::with_id(id), &Write { book, line }).await;
            accepted.map(drop).map_err(|error| error.to_string())
        })
    }

    fn check_at_rest(&self, world: &World) -> Result<(), String> {
        for book in (0..3).map(|n| format!("book-{n}")) {
            let sent: Vec<u64> = accepted(world, &book).into_iter().flatten().collect();
            let events = world.read(Query::stream(&book));
            let events: Vec<Book> =
                events.iter().filter_map(|event| decode(event).ok().flatten()).collect();
            let is_open = events.contains(&Book::Opened);
            let written = events.iter().filter_map(|event| match event {
                Book::Written { line } => Some(*line),
                Book::Opened => None,
            });
            let written: Vec<u64> = written.collect();
            let expected = if is_open { sent } else { Vec::new() };
            *self.written.lock() += written.len();
            if written != expected {
                return Err(format!("{book}: {expected:?} was written as {written:?}"));
            }
        }
        Ok(())
    }
}

/// Returns the lines that were accepted for a book, in order.
fn accepted(world: &World, book: &str) -> Vec<Option<u64>> {
    let sent = world.read(Query::event_type("CommandAccepted"));
    let commands = sent.iter().filter_map(|event| {
        let text: serde_json::Value = serde_json::from_slice(&event.data()).ok()?;
        find(&text)
    });
    commands.filter(|write| write.book == book).map(|write| write.line).collect()
}

/// Finds the command in the data of an accepted command.
fn find(value: &serde_json::Value) -> Option<Write> {
    let own = serde_json::from_value::<Write>(value.clone()).ok();
    own.or_else(|| value.as_object()?.values().find_map(find))
}

#[test]
fn commands_are_handled_once_and_in_the_order_of_their_key() {
    let written = Arc::<Mutex<usize>>::default();
    crate::simulation::simulate(|| Books { written: written.clone() });
    assert!(*written.lock() > 0, "no line was written in any run, so the test checked nothing");
}
