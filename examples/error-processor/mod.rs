#![doc = include_str!("README.md")]

use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use leftfold::react::{Cause, Handler, HandlerError, Parked, Reaction, Reactor, Retry};
use leftfold::time::FakeTime;
use leftfold::{Append, Embedded, EventStore, NewEvent, Options, Query, Read, Timestamp};
use pollster::block_on;
use serde::{Deserialize, Serialize};

use crate::running::heading;

/// A message that belongs to a parent.
#[derive(Serialize, Deserialize)]
struct Message {
    parent: String,
    text: String,
}

struct Mailroom {
    store: Arc<Embedded>,
    time: FakeTime,
    /// Whether the printer works; an operator repairs it later.
    printer_works: Arc<AtomicBool>,
}

impl Mailroom {
    /// Makes the reactor that files each message with its parent.
    fn filing(&self) -> Reactor<Embedded, impl Handler + use<>> {
        let (store, works) = (self.store.clone(), self.printer_works.clone());
        let file = move |cause: Cause| {
            let (store, works) = (store.clone(), works.clone());
            async move { file(&store, &works, &cause).await }
        };
        let (first, longest) = (Duration::from_secs(60), Duration::from_secs(3_600));
        Reactor::new("filing", Query::category("message"), self.store.clone(), file)
            .retry(Retry { attempts: 4, first, longest })
            .time(self.time.clone())
    }

    fn post(&self, stream: &str, parent: &str, text: &str) -> anyhow::Result<()> {
        let (parent, text) = (parent.to_owned(), text.to_owned());
        let data = serde_json::to_vec(&Message { parent, text })?;
        let append = Append::new().event(stream, NewEvent::json("MessageSent", data));
        self.store.blocking().append(append)?;
        Ok(())
    }

    fn arrive(&self, parent: &str) -> anyhow::Result<()> {
        let append = Append::new().event(parent, NewEvent::json("ParentArrived", "{}"));
        self.store.blocking().append(append)?;
        Ok(())
    }

    /// Runs the reactor until nothing is left to do now; writes what was filed meanwhile.
    fn work(&self, when: &str, out: &mut dyn Write) -> anyhow::Result<()> {
        let before = self.filed()?.len();
        let held = block_on(self.filing().catch_up())?.held_lanes;
        let filed = self.filed()?.split_off(before).join(", ");
        writeln!(out, "{when}: filed [{filed}], {held} stream(s) held up")?;
        Ok(())
    }

    fn filed(&self) -> anyhow::Result<Vec<String>> {
        let read = Read::forward(Query::event_type("MessageFiled"));
        let events = self.store.blocking().read(read)?.events;
        let text = |event: &leftfold::Recorded| Ok(serde_json::from_slice(&event.data())?);
        events.iter().map(text).collect()
    }
}

async fn file(
    store: &Embedded,
    printer_works: &AtomicBool,
    cause: &Cause,
) -> Result<Reaction, HandlerError> {
    let message: Message = serde_json::from_slice(&cause.event.data())?;
    if store.stream(&message.parent).await?.is_none() {
        return Err(HandlerError::wait_for(Query::stream(message.parent)));
    }
    if message.text.contains("in colour") && !printer_works.load(Ordering::SeqCst) {
        return Err(HandlerError::retry("the printer is out of cyan"));
    }
    let filed = NewEvent::json("MessageFiled", serde_json::to_vec(&message.text)?);
    Ok(Reaction::none().event(format!("files-{}", message.parent), filed))
}

/// Runs the example on a store in a directory, and writes the output that the README shows.
pub fn story(dir: &Path, out: &mut dyn Write) -> anyhow::Result<()> {
    let time = FakeTime::at(Timestamp(1_700_000_000_000_000));
    let open = || -> anyhow::Result<Mailroom> {
        let store = Arc::new(Embedded::open(dir, Options::default())?);
        let printer_works = Arc::new(AtomicBool::new(false));
        Ok(Mailroom { store, time: time.clone(), printer_works })
    };
    {
        heading(out, "messages arrive; one of them before its parent")?;
        let room = open()?;
        room.arrive("acme")?;
        room.post("message-ann", "acme", "ann 1")?;
        room.post("message-bob", "umbrella", "bob 1")?;
        room.post("message-bob", "acme", "bob 2")?;
        room.post("message-cid", "acme", "cid 1 in colour")?;
        room.post("message-cid", "acme", "cid 2")?;
        room.work("on the first day", out)?;
        time.advance(Duration::from_secs(24 * 3_600));
        room.post("message-ann", "acme", "ann 2")?;
        room.work("a day later", out)?;
    }
    let room = open()?;
    for _ in 0..3 {
        time.advance(Duration::from_secs(8 * 3_600));
        block_on(room.filing().catch_up())?;
    }
    heading(out, "another process, a day later")?;
    room.arrive("umbrella")?;
    room.work("the parent has arrived", out)?;
    decide(&room, out)
}

/// An operator looks at parked messages and replays them.
fn decide(room: &Mailroom, out: &mut dyn Write) -> anyhow::Result<()> {
    heading(out, "an operator looks at what is parked")?;
    let parked = Parked::of("filing", &*room.store);
    for item in block_on(parked.list())? {
        let (stream, attempts, reason) = (&item.stream, item.attempts, &item.reason);
        writeln!(out, "parked: {stream}@{} after {attempts} attempts: {reason}", item.version)?;
        room.printer_works.store(true, Ordering::SeqCst);
        block_on(parked.replay(&item))?;
    }
    room.work("the printer is repaired, and the event is replayed", out)?;
    writeln!(out, "{} of 6 messages are filed", room.filed()?.len())?;
    Ok(())
}
