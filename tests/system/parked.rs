//! What a program's reactor has parked, decided upon from the command line.

use std::path::Path;
use std::sync::Arc;

use leftfold::react::{Cause, HandlerError, Reaction, Reactor};
use leftfold::{Append, Embedded, NewEvent, Options, Query, Read};

use crate::binary::{stderr, stdout};

/// A program that mails every order, all but the second of `order-1` while the server is down.
fn program(data: &Path, is_down: bool) -> usize {
    let store = Arc::new(Embedded::open(data, Options::default()).unwrap());
    let mail = move |cause: Cause| async move {
        match is_down && cause.event.version() == 1 {
            true => Err(HandlerError::park("no such address")),
            false => Ok(Reaction::none().event("mails", NewEvent::json("Mailed", "1"))),
        }
    };
    let reactor = Reactor::new("mails", Query::category("order"), store.clone(), mail);
    pollster::block_on(reactor.catch_up()).unwrap();
    store.blocking().read(Read::forward(Query::stream("mails"))).unwrap().events.len()
}

#[test]
fn what_is_parked_is_listed_replayed_and_skipped() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path();
    {
        let store = Embedded::open(data, Options::default()).unwrap();
        for order in ["order-1", "order-2"] {
            for _ in 0..3 {
                let append = Append::new().event(order, NewEvent::json("Placed", "1"));
                store.blocking().append(append).unwrap();
            }
        }
    }
    assert_eq!(program(data, true), 2);
    let listed = stdout(data, &["parked", "list"]);
    let listed: Vec<serde_json::Value> =
        listed.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(listed.len(), 2);
    assert_eq!(listed[0]["stream"], "order-1");
    assert_eq!((&listed[0]["version"], &listed[0]["why"]), (&1.into(), &"no such address".into()));
    stdout(data, &["parked", "replay", "mails", "order-1", "1"]);
    stdout(data, &["parked", "skip", "mails", "order-2", "1"]);
    let wrong = stderr(data, &["parked", "skip", "mails", "order-2", "7"]);
    let code = wrong.split(['[', ']']).nth(1);
    assert_eq!(code, Some("event_not_parked"), "{wrong}");
    // Of the six all are mailed but the one that was skipped.
    assert_eq!(program(data, false), 5);
    assert_eq!(stdout(data, &["parked", "list", "mails", "--all"]), "");
}
