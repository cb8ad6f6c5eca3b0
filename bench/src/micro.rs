//! The smallest operations for every event, each as a closure that runs it once. The benchmark
//! `micro` times them; the program `instructions` counts their instructions.

use std::hint::black_box;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use leftfold::{
    Append, AppendError, EventStore, Expected, NewEvent, Options, Query, Read, Recorded, Timestamp,
};
use leftfold_index::{ActivePart, Expr, IndexSet, Key, KeyHasher, Kind, Order, Part};
use leftfold_io::fake::{FakeDisk, ManualClock, SeededRandom};
use leftfold_store::{Embedded, Manual};

/// An operation and its name.
pub struct Micro {
    /// The name, which stays the same from release to release.
    pub name: &'static str,
    /// Runs it once.
    pub run: Box<dyn FnMut()>,
}

/// Returns all operations, with their setup done.
pub fn all() -> anyhow::Result<Vec<Micro>> {
    let mut all = events()?;
    all.push(checksum());
    all.extend(postings()?);
    all.extend(store()?);
    Ok(all)
}

fn micro(name: &'static str, run: impl FnMut() + 'static) -> Micro {
    Micro { name, run: Box::new(run) }
}

fn event() -> NewEvent {
    let event = NewEvent::new("OrderPlaced", vec![b'x'; 256]);
    event.tag("customer", "c-17").correlation("checkout-4711")
}

fn events() -> anyhow::Result<Vec<Micro>> {
    let new = event();
    let encode = move || Recorded::from_parts("order-1", 7, 1_000, Timestamp(5), &new);
    let record: Bytes = encode()?.record().clone();
    let decode =
        move || Recorded::from_record(1_000, Timestamp(5), Timestamp(5), black_box(record.clone()));
    let whole = decode()?;
    Ok(vec![
        micro("encode an event of 256 bytes, and read it back", move || drop(black_box(encode()))),
        micro("decode an event of 256 bytes", move || drop(black_box(decode()))),
        micro("read stream, type, version and tags of an event", move || {
            let tags = whole.tags().count();
            black_box((whole.stream(), whole.event_type(), whole.version(), tags));
        }),
    ])
}

fn checksum() -> Micro {
    let bytes = vec![7_u8; 4096];
    micro("checksum of 4 KiB", move || _ = black_box(crc32c::crc32c(black_box(&bytes))))
}

/// Sets up three keys: one with every position, one with every third, one with every thousandth.
fn postings() -> anyhow::Result<Vec<Micro>> {
    const POSITIONS: u64 = 100_000;
    let hasher = KeyHasher::new(&[1; 16]);
    let key = |name: &str| hasher.key(Kind(6), &[name.as_bytes()]);
    let (every, third, seldom) = (key("every"), key("third"), key("seldom"));
    let active = Arc::new(ActivePart::new(1));
    let mut adding = active.writer();
    for position in 1..=POSITIONS {
        adding.add_posting(every, position);
        if position % 3 == 0 {
            adding.add_posting(third, position);
        }
        if position % 1_000 == 0 {
            adding.add_posting(seldom, position);
        }
    }
    let set = IndexSet::new(vec![Part::Active(active)]);
    let count = move |of: &[Key]| -> anyhow::Result<u64> {
        let expr = Expr::And(of.iter().map(|key| Expr::Key(*key)).collect());
        let mut found = set.matches(&expr, [1, POSITIONS], Order::Ascending)?;
        let mut n = 0;
        while found.next()?.is_some() {
            n += 1;
        }
        Ok(n)
    };
    anyhow::ensure!(count(&[every, seldom])? == 100 && count(&[every, third])? == 33_333);
    let both = count.clone();
    let growing = Arc::new(ActivePart::new(1));
    let mut next = 0;
    Ok(vec![
        micro("hash the key of a tag", move || {
            _ = black_box(hasher.key_of_pieces(Kind(6), &[b"customer", b"=", b"c-17"]));
        }),
        micro("add a posting", move || {
            next += 1;
            growing.writer().add_posting(every, next);
        }),
        micro("intersect 100,000 postings with 100", move || {
            _ = black_box(count(&[every, seldom]))
        }),
        micro("intersect 100,000 postings with 33,333", move || {
            _ = black_box(both(&[every, third]))
        }),
    ])
}

/// A store in memory whose writer this thread steps, so that every instruction of an append counts.
fn store() -> anyhow::Result<Vec<Micro>> {
    const STREAMS: u64 = 1_000;
    let (disk, clock) = (Arc::new(FakeDisk::new()), Arc::new(ManualClock::at(1)));
    let random = Arc::new(SeededRandom::new(1));
    let (store, mut manual) = Embedded::open_manual(disk, clock, random, Options::default())?;
    for n in 0..STREAMS {
        written(&store, &mut manual, Append::new().event(format!("order-{n}"), event()))?;
    }
    let store = Arc::new(store);
    let (heads, reads, writes) = (store.clone(), store.clone(), store);
    let mut nth = 0;
    let mut version = 0;
    Ok(vec![
        micro("look up a stream's head", move || {
            nth = (nth + 7) % STREAMS;
            _ = black_box(heads.blocking().stream(&format!("order-{nth}")));
        }),
        micro("read a stream of one event that was read before", move || {
            _ = black_box(reads.blocking().read(Read::forward(Query::stream("order-77"))));
        }),
        micro(
            "append an event of 256 bytes under its expected version, on a disk in memory",
            move || {
                let append = Append::new().event("order-5", event());
                let append = append.expect("order-5", Expected::Exactly(version));
                version += u64::from(written(&writes, &mut manual, append).is_ok());
            },
        ),
    ])
}

fn written(store: &Embedded, manual: &mut Manual, append: Append) -> Result<(), AppendError> {
    let mut waiting = pin!(store.append(append));
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(done) = waiting.as_mut().poll(&mut context) {
            return done.map(drop);
        }
        manual.write();
    }
}
