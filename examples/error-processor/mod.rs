#![doc = include_str!("README.md")]

use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use leftfold::react::{Cause, Handler, HandlerError, Parked, Reaction, Reactor, Retry};
use leftfold::time::FakeTime;
use leftfold::{Append, Embedded, Event, EventStore, Options, Query, Read, Timestamp, decode};
use pollster::block_on;

use crate::running::heading;

/// The events of the mail room.
#[derive(Debug, Event)]
#[event(category = "files")]
enum Mail {
    ParentArrived,
    /// A message that belongs to a parent.
    MessageSent {
        parent: String,
        text: String,
    },
    MessageFiled {
        text: String,
    },
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
        Reactor::new("filing", Mail::of_message_sent(), self.store.clone(), file)
            .retry(Retry { attempts: 4, first, longest })
            .time(self.time.clone())
    }

    fn post(&self, stream: &str, parent: &str, text: &str) -> anyhow::Result<()> {
        self.append(stream, Mail::MessageSent { parent: parent.into(), text: text.into() })
    }

    fn arrive(&self, parent: &str) -> anyhow::Result<()> {
        self.append(parent, Mail::ParentArrived)
    }

    fn append(&self, stream: &str, event: Mail) -> anyhow::Result<()> {
        self.store.blocking().append(Append::new().event(stream, event.to_new()?))?;
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
        let read = Read::forward(Mail::of_message_filed().into());
        let mut texts = Vec::new();
        for event in self.store.blocking().read(read)?.events {
            if let Some(Mail::MessageFiled { text }) = decode(&event)? {
                texts.push(text);
            }
        }
        Ok(texts)
    }
}

async fn file(
    store: &Embedded,
    printer_works: &AtomicBool,
    cause: &Cause,
) -> Result<Reaction, HandlerError> {
    let Some(Mail::MessageSent { parent, text }) = decode(&cause.event)? else {
        return Ok(Reaction::none());
    };
    if store.stream(&parent).await?.is_none() {
        return Err(HandlerError::wait_for(Query::stream(parent)));
    }
    if text.contains("in colour") && !printer_works.load(Ordering::SeqCst) {
        return Err(HandlerError::retry("the printer is out of cyan"));
    }
    Ok(Reaction::none().emit(Mail::MessageFiled { text }.to(Mail::stream(parent))))
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
