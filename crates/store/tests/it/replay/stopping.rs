//! Replays that end early: errors and panics of the caller's code, and damage in the store.

use std::convert::Infallible;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use leftfold_api::{Append, Coded, NewEvent, Query, Recorded};
use leftfold_io::fake::{FakeDisk, ManualClock, SeededRandom};
use leftfold_store::{Compression, Embedded, Options, Replay, ReplayError, ReplayKey};

use crate::replay::support::Fixture;

fn number(event: &Recorded) -> u64 {
    std::str::from_utf8(&event.data()).unwrap().parse().unwrap()
}

fn replays() -> impl Iterator<Item = Replay> {
    let replay = |(threads, chunk_bytes)| {
        Replay::of(Query::All).threads(threads).chunk_bytes(chunk_bytes).partitions(5)
    };
    let all = (1..=8).flat_map(|threads| [(threads, 1), (threads, 1_000), (threads, 1 << 20)]);
    all.map(replay)
}

#[test]
fn the_first_error_in_the_order_of_the_log_is_returned() {
    let fixture = Fixture::filled(Compression::Fast, 200);
    // Many events are refused, in every partition, and a replay may reach any of them first.
    let refuse = |event: &Recorded| match number(event) {
        n if n >= 83 => Err(format!("{n} is too much")),
        n => Ok(n),
    };
    for replay in replays() {
        let by_key = fixture.store.replay(&replay, |_| (), |(), _, event| refuse(event).map(drop));
        let decoding = fixture.store.replay_in_order(&replay, refuse, |_| Ok(()));
        let applying = fixture.store.replay_in_order(
            &replay,
            |event| Ok(number(event)),
            |n| if n >= 83 { Err(format!("{n} is too much")) } else { Ok(()) },
        );
        for error in [by_key.map(drop).unwrap_err(), decoding.unwrap_err(), applying.unwrap_err()] {
            let told = "the replay stopped at the event at position 84: 83 is too much";
            assert_eq!(error.to_string(), told);
        }
    }
}

#[test]
fn a_replay_in_order_applies_nothing_after_an_error() {
    let fixture = Fixture::filled(Compression::Off, 100);
    for replay in replays() {
        let mut met = Vec::new();
        let stopped = fixture.store.replay_in_order(
            &replay,
            |event| Ok(number(event)),
            |n| {
                met.push(n);
                if n == 40 { Err(n) } else { Ok(()) }
            },
        );
        assert!(matches!(stopped, Err(ReplayError::Stopped { position: 41, error: 40 })));
        assert_eq!(met, (0..=40).collect::<Vec<_>>());
    }
}

#[test]
fn a_panic_becomes_a_panic_of_the_caller_and_no_hang() {
    let fixture = Fixture::filled(Compression::Off, 200);
    let store = &fixture.store;
    for replay in replays() {
        let message = |run: &dyn Fn()| {
            let panic = catch_unwind(AssertUnwindSafe(run)).unwrap_err();
            panic.downcast_ref::<&str>().map(|text| (*text).to_owned())
        };
        let by_key = message(&|| {
            _ = store.replay(
                &replay,
                |_| (),
                |(), _, event| {
                    assert!(number(event) != 120, "the caller's own");
                    Ok::<(), Infallible>(())
                },
            );
        });
        let decoding = message(&|| {
            let decode = |event: &Recorded| {
                assert!(number(event) != 120, "the caller's own");
                Ok::<(), Infallible>(())
            };
            _ = store.replay_in_order(&replay, decode, |()| Ok(()));
        });
        let applying = message(&|| {
            let apply = |n| {
                assert!(n != 120, "the caller's own");
                Ok::<(), Infallible>(())
            };
            _ = store.replay_in_order(&replay, |event| Ok(number(event)), apply);
        });
        for found in [by_key, decoding, applying] {
            assert_eq!(found.as_deref(), Some("the caller's own"));
        }
    }
    // The store still takes appends.
    fixture.append("after", NewEvent::new("Counted", "1"));
}

#[test]
fn damage_is_reported_after_all_earlier_events_were_applied() {
    let disk = FakeDisk::new();
    let mut options = Options { compression: Compression::Off, ..Options::default() };
    options.log.segment_bytes = 40_000;
    let open = || {
        let random = Arc::new(SeededRandom::new(1));
        let clock = Arc::new(ManualClock::at(1));
        Embedded::open_on(Arc::new(disk.clone()), clock, random, options.clone()).unwrap()
    };
    let store = open();
    for n in 0..2_000 {
        let event = NewEvent::new("Counted", n.to_string());
        store.blocking().append(Append::new().event(format!("s-{}", n % 7), event)).unwrap();
    }
    store.settle().unwrap();
    store.close();
    let store = open();
    disk.rot("log/0000000000000002.0.seg", 20_000, 1);
    for replay in replays() {
        let mut last = 0;
        let error = store
            .replay_in_order(
                &replay,
                |event| Ok::<u64, Infallible>(event.position()),
                |position| {
                    last = position;
                    Ok(())
                },
            )
            .unwrap_err();
        let ReplayError::Read(error) = error else { unreachable!("nothing else fails") };
        assert_eq!(error.code(), "data_damaged");
        assert!(error.to_string().contains(&format!("position {}", last + 1)), "{last}: {error}");
    }
}

#[test]
fn an_invalid_replay_is_refused() {
    let fixture = Fixture::filled(Compression::Off, 1);
    let code = |replay: Replay| {
        let done = fixture.store.replay(&replay, |_| (), |(), _, _| Ok::<(), Infallible>(()));
        let ReplayError::Read(error) = done.map(drop).unwrap_err() else {
            unreachable!("the closure can't fail")
        };
        error.code()
    };
    assert_eq!(code(Replay::of(Query::index("absent"))), "index_unknown");
    for key in ["", "a=b"] {
        let replay = Replay::of(Query::All).by(ReplayKey::Tag(key.to_owned()));
        assert_eq!(code(replay), "tag_invalid");
    }
    let random = Arc::new(SeededRandom::new(8));
    let (disk, clock) = (Arc::new(FakeDisk::new()), Arc::new(ManualClock::at(1)));
    let other = Embedded::open_on(disk, clock, random, Options::default()).unwrap();
    other.blocking().append(Append::new().event("a", NewEvent::new("Counted", "1"))).unwrap();
    let foreign = Replay::of(Query::All).after(other.blocking().head());
    assert_eq!(code(foreign), "cursor_foreign");
}
