//! Events that fail are parked: order per stream is kept, nothing is lost, and requests are facts.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use leftfold::{Append, EventStore, NewEvent};
use leftfold_views::{
    AskLimits, ListParked, ParkedEvent, Rows, ViewPhase, ViewStart, Views, ViewsError,
};
use proptest::prelude::*;

use crate::host::{ORDERS, World, ask, code, parse, until};
use crate::support::{ask as ask_file, cursor, definition, event, lines, of, view};

/// A key is taken once, until it is freed.
const KEYS: &str = "
-- @view keys
-- @query category:key
-- @on_error park
create table seen (n integer primary key, stream text, version integer);
create table taken (key text primary key, stream text);
-- @on Take
insert into seen (stream, version) values (:stream, :version);
insert into taken values (:data.key, :stream);
-- @on Free
insert into seen (stream, version) values (:stream, :version);
delete from taken where key = :data.key;
";
const SEEN: &str = "select stream, version from seen order by n";
const ERRORS: &str =
    "select stream, version, position, type, state, reason from keys._errors order by 1, 2";

#[derive(Debug, Clone)]
enum Step {
    Take(u8, u8),
    Free(u8, u8),
    RetryAll,
    Retry(u8),
    /// Skips the parked event of this number.
    Skip(u8),
    /// The run is dropped, as by a crash, and begins anew.
    Restart,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (0..4u8, 0..3u8).prop_map(|(stream, key)| Step::Take(stream, key)),
        3 => (0..4u8, 0..3u8).prop_map(|(stream, key)| Step::Free(stream, key)),
        1 => Just(Step::RetryAll),
        1 => (0..4u8).prop_map(Step::Retry),
        2 => (0..4u8).prop_map(Step::Skip),
        1 => Just(Step::Restart),
    ];
    proptest::collection::vec(step, 1..30)
}

/// What the tables should be: each stream goes on until its first failure.
#[derive(Default)]
struct Model {
    versions: BTreeMap<String, u64>,
    taken: BTreeSet<u8>,
    seen: Vec<String>,
    /// The events of each stream that wait, the parked one first. They have the number of their append.
    waiting: BTreeMap<String, VecDeque<ModelEvent>>,
    appended: u64,
}

struct ModelEvent {
    version: u64,
    appended: u64,
    takes: bool,
    key: u8,
}

impl Model {
    fn append(&mut self, stream: &str, takes: bool, key: u8) {
        let next = self.versions.entry(stream.to_owned()).or_default();
        let event = ModelEvent { version: *next, appended: self.appended, takes, key };
        (*next, self.appended) = (*next + 1, self.appended + 1);
        let queue = self.waiting.entry(stream.to_owned()).or_default();
        queue.push_back(event);
        if queue.len() == 1 {
            self.retry(stream);
        }
    }

    fn retry(&mut self, stream: &str) {
        let Some(queue) = self.waiting.get_mut(stream) else { return };
        while let Some(event) = queue.front() {
            let succeeds = match event.takes {
                true => self.taken.insert(event.key),
                false => {
                    self.taken.remove(&event.key);
                    true
                }
            };
            if !succeeds {
                return;
            }
            self.seen.push(format!("{stream} | {}", event.version));
            queue.pop_front();
        }
    }

    /// Returns the streams with parked events, in the order of these.
    fn parked(&self) -> Vec<(String, u64)> {
        let mut parked: Vec<_> = self
            .waiting
            .iter()
            .filter_map(|(stream, queue)| Some((queue.front()?, stream)))
            .collect();
        parked.sort_by_key(|(event, _)| event.appended);
        parked.into_iter().map(|(event, stream)| (stream.clone(), event.version)).collect()
    }

    fn waiting(&self) -> usize {
        self.waiting.values().map(VecDeque::len).sum()
    }
}

/// Lists what is parked, and what waits behind it, once the view has all events.
async fn list(views: &Views<leftfold::Embedded>, world: &World, all: bool) -> Vec<ParkedEvent> {
    let head = world.store.head().await.unwrap();
    let at_least = Some((head, Duration::from_secs(60)));
    let list = ListParked { view: "keys", all, at_least };
    views.list_parked(list, |_, _| Ok::<_, ViewsError>(())).await.unwrap()
}

fn place(event: &ParkedEvent) -> (String, u64) {
    (event.stream.clone(), event.version)
}

async fn take(world: &World, stream: &str, key: u8) {
    world.append(stream, "Take", &format!(r#"{{"key":{key}}}"#)).await;
}

async fn free(world: &World, stream: &str, key: u8) {
    world.append(stream, "Free", &format!(r#"{{"key":{key}}}"#)).await;
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn streams_go_on_until_their_first_failure_whatever_comes_between(steps in steps()) {
        let world = World::new();
        let mut model = Model::default();
        let mut steps: VecDeque<_> = steps.into();
        world.run(async |views| views.add(&parse(KEYS), ViewStart::Beginning).await.unwrap());
        while !steps.is_empty() {
            world.run(async |views| {
                views.wait_until_known().await;
                while let Some(step) = steps.pop_front() {
                    match step {
                        Step::Take(stream, key) => {
                            let stream = format!("key-{stream}");
                            take(&world, &stream, key).await;
                            model.append(&stream, true, key);
                        }
                        Step::Free(stream, key) => {
                            let stream = format!("key-{stream}");
                            free(&world, &stream, key).await;
                            model.append(&stream, false, key);
                        }
                        Step::RetryAll => {
                            views.retry("keys", None).await.unwrap();
                            for (stream, _) in model.parked() {
                                model.retry(&stream);
                            }
                        }
                        Step::Retry(stream) => {
                            list(views, &world, false).await;
                            let stream = format!("key-{stream}");
                            let is_parked = model.parked().iter().any(|(one, _)| *one == stream);
                            let retried = views.retry("keys", Some(&stream)).await;
                            match is_parked {
                                true => _ = retried.unwrap(),
                                false => assert_eq!(code(retried), "event_not_parked"),
                            }
                            model.retry(&stream);
                        }
                        Step::Skip(number) => {
                            let parked = list(views, &world, false).await;
                            let Some(event) = parked.get(usize::from(number)) else { continue };
                            views.skip("keys", event.position, None).await.unwrap();
                            let queue = model.waiting.get_mut(&event.stream).unwrap();
                            assert_eq!(queue.pop_front().unwrap().version, event.version);
                            model.retry(&event.stream);
                        }
                        Step::Restart => break,
                    }
                }
            });
        }
        let (rows, errors) = world.run(async |views| {
            views.wait_until_known().await;
            let parked = list(views, &world, false).await;
            assert_eq!(parked.iter().map(place).collect::<Vec<_>>(), model.parked());
            assert_eq!(list(views, &world, true).await.len(), model.waiting());
            assert_eq!(views.status("keys").await.unwrap().waiting, model.waiting() as u64);
            let head = world.store.head().await.unwrap();
            (ask(views, SEEN, &head).await, ask(views, ERRORS, &head).await)
        });
        prop_assert_eq!(&rows, &model.seen);
        // Tables that are made anew from the log, as on another node, are the same, and know the same of each event.
        std::fs::remove_dir_all(world.dir.path().join("views")).unwrap();
        let fresh = world.run(async |views| {
            views.wait_until_known().await;
            let head = world.store.head().await.unwrap();
            (ask(views, SEEN, &head).await, ask(views, ERRORS, &head).await)
        });
        prop_assert_eq!(fresh, (rows, errors));
    }
}

/// With the cause gone, each stream is as if nothing had ever failed.
#[test]
fn what_waited_follows_in_order_when_the_cause_is_gone() {
    let world = World::new();
    world.run(async |views| {
        views.add(&parse(KEYS), ViewStart::Beginning).await.unwrap();
        take(&world, "key-a", 1).await;
        for key in [1, 2, 3] {
            take(&world, "key-b", key).await;
        }
        take(&world, "key-c", 4).await;
        let waiting = list(views, &world, true).await;
        let reasons: Vec<_> =
            waiting.iter().map(|event| (event.is_parked, &*event.reason)).collect();
        let behind = format!("waits behind position {}", waiting[0].position);
        assert!(reasons[0].0 && reasons[0].1.starts_with("line 9: UNIQUE constraint failed"));
        assert_eq!(reasons[1..], [(false, &*behind), (false, &*behind)]);
        // It fails again, and says why again.
        views.retry("keys", None).await.unwrap();
        assert_eq!(list(views, &world, true).await, waiting);
        free(&world, "key-a", 1).await;
        // Another stream has the second key meanwhile.
        take(&world, "key-d", 2).await;
        views.retry("keys", Some("key-b")).await.unwrap();
        let waiting = list(views, &world, true).await;
        let behind = format!("waits behind position {}", waiting[0].position);
        assert_eq!(waiting.iter().map(|event| event.version).collect::<Vec<_>>(), [1, 2]);
        assert!(waiting[0].is_parked && waiting[0].reason.contains("UNIQUE"), "{waiting:?}");
        assert_eq!(waiting[1].reason, behind);
        free(&world, "key-d", 2).await;
        views.retry("keys", None).await.unwrap();
        assert_eq!(list(views, &world, true).await, []);
        let head = world.store.head().await.unwrap();
        let of_b = "select version from seen where stream = 'key-b' order by n";
        assert_eq!(ask(views, of_b, &head).await, ["0", "1", "2"]);
        assert_eq!(ask(views, "select count(*) from keys._errors", &head).await, ["0"]);
    });
}

#[test]
fn what_is_skipped_stays_noted_and_what_is_not_parked_is_refused() {
    let world = World::new();
    world.run(async |views| {
        views.add(&parse(KEYS), ViewStart::Beginning).await.unwrap();
        take(&world, "key-a", 1).await;
        take(&world, "key-b", 1).await;
        take(&world, "key-b", 2).await;
        let waiting = list(views, &world, true).await;
        // It is not the first of its stream.
        let behind = views.skip("keys", waiting[1].position, None).await;
        assert_eq!(code(behind), "event_not_parked");
        let other = views.skip("keys", waiting[0].position, Some("key-'a")).await;
        assert_eq!(code(other), "event_not_parked");
        views.skip("keys", waiting[0].position, Some("key-b")).await.unwrap();
        assert_eq!(list(views, &world, true).await, []);
        let head = world.store.head().await.unwrap();
        let noted =
            ask(views, "select stream, version, state, reason from keys._errors", &head).await;
        assert!(noted[0].starts_with("key-b | 0 | skipped | line 9: UNIQUE"), "{noted:?}");
        let of_b = "select version from seen where stream = 'key-b'";
        assert_eq!(ask(views, of_b, &head).await, ["1"]);
        assert_eq!(code(views.parked("other").await), "view_unknown");
        assert_eq!(code(views.retry("other", None).await), "view_unknown");
    });
}

/// The requests about the tables before a reset are no requests about those after it.
#[test]
fn a_reset_view_forgets_what_was_skipped() {
    let world = World::new();
    world.run(async |views| {
        views.add(&parse(KEYS), ViewStart::Beginning).await.unwrap();
        take(&world, "key-a", 1).await;
        take(&world, "key-b", 1).await;
        let parked = list(views, &world, false).await;
        views.skip("keys", parked[0].position, None).await.unwrap();
        views.reset("keys").await.unwrap();
        // Beside the old tables, the new ones stop.
        let status = until(views, "keys", |it| it.phase == ViewPhase::Failed).await;
        assert_eq!(status.code.as_deref(), Some("view_event_unusable"));
        assert!(status.failure.unwrap().contains("UNIQUE constraint failed"));
    });
    std::fs::remove_dir_all(world.dir.path().join("views")).unwrap();
    world.run(async |views| {
        views.wait_until_known().await;
        let parked = list(views, &world, false).await;
        assert_eq!(parked.iter().map(place).collect::<Vec<_>>(), [("key-b".to_owned(), 0)]);
    });
}

/// What waits goes on waiting if the view is told to stop at what fails, and can be retried.
#[test]
fn what_is_parked_stays_parked_when_the_view_parks_no_more() {
    let world = World::new();
    world.run(async |views| {
        views.add(&parse(KEYS), ViewStart::Beginning).await.unwrap();
        take(&world, "key-a", 1).await;
        take(&world, "key-b", 1).await;
        assert_eq!(list(views, &world, true).await.len(), 1);
        views.replace(&parse(&KEYS.replace("@on_error park", "@on_error stop"))).await.unwrap();
        take(&world, "key-b", 2).await;
        assert_eq!(list(views, &world, true).await.len(), 2);
        free(&world, "key-a", 1).await;
        views.retry("keys", None).await.unwrap();
        assert_eq!(list(views, &world, true).await, []);
        take(&world, "key-c", 2).await;
        until(views, "keys", |it| it.phase == ViewPhase::Failed).await;
    });
}

/// Events that the store no longer has can't be applied, and hold nothing back.
#[test]
fn events_that_are_gone_are_left_out() {
    let world = World::new();
    world.run(async |views| {
        views.add(&parse(KEYS), ViewStart::Beginning).await.unwrap();
        take(&world, "key-a", 1).await;
        take(&world, "key-b", 1).await;
        take(&world, "key-b", 2).await;
        take(&world, "key-b", 3).await;
        assert_eq!(list(views, &world, true).await.len(), 3);
        let retention = leftfold::Retention { truncate_before: Some(2), ..Default::default() };
        world.store.set_retention("key-b", retention).await.unwrap();
        views.retry("keys", None).await.unwrap();
        assert_eq!(list(views, &world, true).await, []);
        let head = world.store.head().await.unwrap();
        let noted = ask(views, "select version, state, reason from keys._errors", &head).await;
        let gone = "skipped | the store does not have the event any more";
        assert_eq!(noted, [format!("0 | {gone}"), format!("1 | {gone}")]);
        let of_b = "select version from seen where stream = 'key-b'";
        assert_eq!(ask(views, of_b, &head).await, ["2"]);
    });
}

/// A view of all events reads its requests, and takes them for no events of its own.
#[test]
fn requests_are_no_events_of_a_view_of_all_events() {
    let all = "-- @view keys\n-- @query *\n-- @on_error park\n-- @history\ncreate table t (type text unique);\n-- @on *\n\
               insert into t values (:type);\n-- @on Free\ndelete from t where type = 'Take';\n";
    let world = World::new();
    world.run(async |views| {
        views.add(&parse(all), ViewStart::Beginning).await.unwrap();
        take(&world, "key-a", 1).await;
        take(&world, "key-b", 1).await;
        views.retry("keys", None).await.unwrap();
        assert_eq!(list(views, &world, true).await.len(), 1);
        free(&world, "key-a", 1).await;
        let retried = views.retry("keys", None).await.unwrap();
        assert_eq!(list(views, &world, true).await, []);
        let types = ask(views, "select type from t order by 1", &retried.cursor).await;
        assert_eq!(types, ["Free", "Take"]);
        // The row is there since the request, not since the event.
        let since = "select max(valid_from) from t_history where type = 'Take'";
        let position = retried.cursor.position().unwrap();
        assert_eq!(ask(views, since, &retried.cursor).await, [position.to_string()]);
    });
}

/// A statement that ends the transaction counts as one that fails, and the batch is done again without it.
#[test]
fn a_statement_without_an_end_is_noted_and_the_others_go_on() {
    let endless = "insert into t (a) with recursive n(i) as (values(1) union all select i + 1 from n where :data.a) select count(*) from n;";
    for (what, states) in
        [("skip", "skipped | skipped | "), ("park", "parked | parked | waiting | ")]
    {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("v.sqlite");
        let text = view(&format!("{endless} insert into u values (:data.id, 1);"));
        let text = text.replace("-- @query", &format!("-- @on_error {what}\n-- @query"));
        let mut rows = Rows::open(&path, &definition(&text)).unwrap();
        let endless = NewEvent::json("E", r#"{"a":1,"id":"2"}"#);
        let doubled = NewEvent::json("E", r#"{"a":0,"id":"1"}"#);
        let events = [
            event(1, r#"{"a":0,"id":"1"}"#),
            of(2, "a-2", endless),
            of(3, "a-3", doubled),
            of(4, "a-3", NewEvent::json("E", r#"{"a":0,"id":"4"}"#)),
            event(5, r#"{"a":0,"id":"5"}"#),
        ];
        rows.apply(&events, None, &cursor(5)).unwrap();
        let expected: &[&str] = if what == "skip" { &["1", "4", "5"] } else { &["1", "5"] };
        assert_eq!(ask_file(&path, "select id from u"), expected);
        let noted = ask_file(&path, "select group_concat(state, ' | ') || ' | ' from _errors");
        assert_eq!(noted, [states]);
        let reason = ask_file(&path, "select reason from _errors where stream = 'a-2'");
        assert!(reason[0].contains("does not come to an end"), "{reason:?}");
    }
}

/// At most 100,000 events wait: the view stops before the next one with its own code, and has all before.
#[test]
fn a_view_with_too_many_parked_events_says_so() {
    let world = World::new();
    let parking = ORDERS.replace("-- @query", "-- @on_error park\n-- @query");
    let append = async |stream: &str, count: usize| {
        let placed = || NewEvent::json("OrderPlaced", "{}");
        let events = (0..count).fold(Append::new(), |append, _| append.event(stream, placed()));
        world.store.append(events).await.unwrap()
    };
    world.run(async |views| {
        for _ in 0..100 {
            append("order-1", 1_000).await;
        }
        // The first was placed; those behind the second wait.
        append("order-1", 1).await;
        append("order-2", 1).await;
        append("order-1", 1).await;
        append("order-3", 1).await;
        views.add(&parse(&parking), ViewStart::Beginning).await.unwrap();
        let status = until(views, "orders", |it| it.phase == ViewPhase::Failed).await;
        assert_eq!(status.code.as_deref(), Some("view_parked_too_many"));
        assert!(status.failure.unwrap().starts_with("100000 events are parked"));
        assert_eq!(status.waiting, 100_000);
        let answer =
            views.ask("select id from orders order by id", None, AskLimits::default()).await;
        assert_eq!(lines(&answer.unwrap()), ["1", "2"]);
    });
}
