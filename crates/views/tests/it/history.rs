//! Views that keep their history are asked as of a past moment.

use std::path::{Path, PathBuf};
use std::time::Duration;

use leftfold::{Coded, Cursor, EventStore, NewEvent, Recorded, Timestamp};
use leftfold_views::{AsOf, AskLimits, Definition, Rows, ViewStart, ask_as_of};
use proptest::prelude::*;

use crate::host::{ORDERS, World, ask, code, parse};
use crate::support::{self, cursor, definition, lines, of};

/// Tables of all kinds, and statements that change them in all ways: several of each event, and some that fail.
const TABLES: &str = "
-- @view v
-- @query category:a
-- @history
-- @on_error skip
create table t (id integer primary key, a, b text collate nocase unique, c int generated always as (id * 2));
create table w (k text collate nocase, n integer, v real, d decimal(5, 2), primary key (k collate binary, n)) without rowid;
create table r (x text, \"order\" any);
create table s (x any primary key on conflict replace, rowid text) strict;
create table child (id integer, of integer references t on delete cascade on update cascade);
create view joined as select t.id, w.k, count(*) as number from t join w on w.n = t.id group by 1, 2;
-- @on Insert
insert into t (id, a, b) values (:data.x, :data.y, :data.text);
insert into w values (:data.text, :data.x, :data.y, :data.y);
insert into r values (:data.x, :data.text);
insert into s values (:data.x, 'new');
insert into child values (:data.y, :data.x);
-- @on Replace
insert or replace into t (id, a, b) values (:data.x, 1.5, :data.text);
replace into w values (:data.text, :data.y, :data.x, '1.0');
insert into s values (:data.text, :data.y);
-- @on Upsert
insert into t (id, a) values (:data.x, 0) on conflict do update set a = coalesce(a, 0) + 1, b = null;
insert into w values (:data.text, :data.x, null, 0) on conflict do update set v = n / 2.0;
-- @on Key
update or replace t set id = :data.y where id = :data.x;
update or ignore w set n = :data.y, k = upper(k) where n = :data.x;
update s set rowid = rowid || 'x';
-- @on Shift
update t set id = id + 10, b = b || 'x';
update w set n = n - 1;
-- @on Delete
delete from t where id = :data.x;
delete from w where k = :data.text;
delete from r where rowid = (select min(rowid) from r);
-- @on Clear
delete from w;
delete from r;
-- @on Again
delete from t where id = :data.x;
insert into t (id, a, b) values (:data.x, :data.y, :data.text);
update t set a = a + 1 where id = :data.x;
delete from t where id = :data.y;
insert or replace into t (id, a) values (:data.y, 'x'), (:data.y, 'y');
";

const QUESTIONS: [&str; 9] = [
    "select *, typeof(a), typeof(b), c from t order by id",
    "select *, typeof(v), typeof(d) from w order by k collate binary, n",
    "select x, \"order\", typeof(\"order\"), count(*) from r group by 1, 2, 3 order by 1, 2, 3",
    "select x, typeof(x), rowid from s order by 1, 2, 3",
    "select id, of from child order by 1, 2",
    "select * from joined order by 1, 2, 3",
    "select id from t where b = 'A' union all select n from w where k = 'B' order by 1",
    "select v.t.id, (select count(*) from v.w) from v.t left join v.r on r.x = t.id group by 1 order by 1",
    "select count(*) from t",
];

/// Asks a table that has no rows of the past, so that nothing else answers in its place.
fn asked(path: &Path, sql: &str, as_of: AsOf) -> Result<Vec<String>, &'static str> {
    let views = [("v".to_owned(), path.to_owned())];
    let answer = ask_as_of(&views, sql, as_of, AskLimits::default());
    answer.map(|answer| lines(&answer)).map_err(|error| error.code())
}

fn apply(rows: &mut Rows, events: &[Recorded]) {
    let saved = rows.saved().unwrap();
    rows.apply(events, saved.as_ref(), &cursor(events.last().unwrap().position())).unwrap();
}

fn open(dir: &Path, name: &str, definition: &Definition) -> (PathBuf, Rows) {
    let path = dir.join(name);
    let rows = Rows::open(&path, definition).unwrap();
    (path, rows)
}

fn events() -> impl Strategy<Value = Vec<Recorded>> {
    let types = vec!["Insert", "Replace", "Upsert", "Key", "Shift", "Delete", "Clear", "Again"];
    let event = (proptest::sample::select(types), 0..4i8, 0..4i8, "[aAbB]|null");
    proptest::collection::vec(event, 1..16).prop_map(|events| {
        let recorded = |(at, (event_type, x, y, text)): (u64, (&str, i8, i8, String))| {
            let text = if text == "null" { text } else { format!("\"{text}\"") };
            let data = format!(r#"{{"x":{x},"y":{y},"text":{text}}}"#);
            // Positions have gaps.
            of(at * 3, "a-1", NewEvent::json(event_type, data))
        };
        (1..).zip(events).map(recorded).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    /// As of a moment, the answer is that of a view without history that was built only up to there.
    #[test]
    fn as_of_a_moment_is_a_view_built_up_to_it(events in events(), batch in 1..6usize) {
        let dir = tempfile::tempdir().unwrap();
        let (path, mut rows) = open(dir.path(), "all.sqlite", &definition(TABLES));
        events.chunks(batch).for_each(|events| apply(&mut rows, events));
        let plain = TABLES.replace("-- @history\n", "");
        let (plain, mut rows) = open(dir.path(), "plain.sqlite", &definition(&plain));
        for (number, event) in events.iter().enumerate() {
            apply(&mut rows, std::slice::from_ref(event));
            let (position, time) = (event.position(), event.commit_time());
            for sql in QUESTIONS {
                let expected = support::ask(&plain, sql);
                // At the event, and just before the next one.
                let behind = if number % 2 == 0 { 0 } else { 2 };
                let time = time + Duration::from_micros(behind);
                for as_of in [AsOf::Position(position + behind), AsOf::Time(time)] {
                    assert_eq!(asked(&path, sql, as_of).as_ref(), Ok(&expected), "{sql} at {as_of:?}");
                }
            }
        }
        // The present is that of the last event.
        for sql in QUESTIONS {
            assert_eq!(support::ask(&path, sql), support::ask(&plain, sql), "{sql}");
        }
        assert_eq!(asked(&path, "select * from t", AsOf::Position(2)), Ok(Vec::new()));
    }
}

#[test]
fn versions_say_from_when_to_when_they_were_there() {
    let dir = tempfile::tempdir().unwrap();
    let (path, mut rows) = open(dir.path(), "v.sqlite", &definition(TABLES));
    let event = |position, event_type: &str, y: u8| {
        let data = format!(r#"{{"x":1,"y":{y},"text":"a"}}"#);
        of(position, "a-1", NewEvent::json(event_type, data))
    };
    apply(&mut rows, &[event(3, "Insert", 1), event(5, "Delete", 1), event(8, "Insert", 2)]);
    let of_row = |sql: &str| support::ask(&path, sql);
    assert_eq!(
        of_row("select id, a, b, valid_from, valid_to from t_history order by valid_from"),
        ["1 | 1 | a | 3 | 5", "1 | 2 | a | 8 | null"]
    );
    let times = "select strftime('%s', valid_from_time / 1e6, 'unixepoch'), valid_to_time - valid_from_time from t_history";
    assert_eq!(of_row(times), ["1700000000 | 2", "1700000000 | null"]);
}

/// The history is the runner's: statements can't change it, and a question of the past reads nothing else.
#[test]
fn histories_are_read_alone() {
    for statement in [
        "delete from t_history",
        "update t_history set valid_to = null",
        "insert into T_History (id, valid_from, valid_from_time) values (1, 1, 1)",
        "insert into t (id) values (_history_position())",
    ] {
        let text = format!("{TABLES}-- @on Bad\n{statement};\n");
        let error = definition(&text).check().unwrap_err();
        assert_eq!(error.code, "view_sql_forbidden", "{statement}: {error}");
    }
    for (from, to, says) in [
        ("a, b text", "valid_to, b text", "the history of t can't be made: duplicate column"),
        ("create table r (", "create table t_history (z);\ncreate table r (", "already exists"),
        ("-- @history", "-- @history\n-- @history", "twice"),
        ("-- @history", "-- @history yes", "stands alone"),
    ] {
        let error =
            Definition::parse(&TABLES.replace(from, to)).and_then(|it| it.check().map(drop));
        let error = error.unwrap_err();
        assert!(error.to_string().contains(says), "{error}");
    }
    let dir = tempfile::tempdir().unwrap();
    let (path, rows) = open(dir.path(), "v.sqlite", &definition(TABLES));
    for sql in [
        "select * from _errors",
        "select count(*) from _errors",
        "select 1 from _v.t",
        "select * from _v._view",
    ] {
        assert_eq!(asked(&path, sql, AsOf::Position(1)), Err("view_query_refused"), "{sql}");
    }
    assert_eq!(asked(&path, "select count(*) from t_history", AsOf::Position(1)).unwrap(), ["0"]);
    drop(rows);
    let views = ["v", "w"].map(|name| (name.to_owned(), path.clone()));
    let both = ask_as_of(&views, "select 1", AsOf::Position(1), AskLimits::default());
    assert_eq!(both.unwrap_err().code(), "view_query_refused");
    let plain = definition(&TABLES.replace("-- @history\n", ""));
    assert!(definition(TABLES).has_history() && !plain.has_history());
    assert_ne!(definition(TABLES).digest(), plain.digest());
    let (path, _rows) = open(dir.path(), "plain.sqlite", &plain);
    assert_eq!(asked(&path, "select * from t", AsOf::Position(1)), Err("view_query_refused"));
}

#[test]
fn a_view_of_a_store_is_asked_as_of_a_past_moment() {
    let world = World::new();
    world.run(async |views| {
        let text = ORDERS.replace("-- @query", "-- @history\n-- @query");
        let added = views.add(&parse(&text), ViewStart::Beginning).await.unwrap();
        ask(views, "select 1 from orders", &added.cursor).await;
        let placed = world.append("order-1", "OrderPlaced", "{}").await;
        world.append("order-1", "OrderPaid", "{}").await;
        let other = world.append("other-1", "Other", "{}").await;
        let position = |cursor: &Cursor| AsOf::Position(cursor.position().unwrap());
        let past = async |as_of| {
            let sql = "select state from orders.orders";
            let wait = Duration::from_secs(20);
            views.ask_as_of(sql, as_of, wait, AskLimits::default()).await
        };
        let answer = async |as_of| lines(&past(as_of).await.unwrap());
        assert_eq!(answer(position(&placed)).await, ["placed"]);
        assert_eq!(answer(position(&other)).await, ["paid"]);
        assert!(answer(position(&added.cursor)).await.is_empty());
        let read = leftfold::Read::forward("stream:order-1".parse::<leftfold::Query>().unwrap());
        let events = world.store.read(read).await.unwrap().events;
        let before = Timestamp(events[0].commit_time().micros() - 1);
        assert!(answer(AsOf::Time(before)).await.is_empty());
        assert_eq!(answer(AsOf::Time(events[1].commit_time())).await, ["paid"]);
        let ahead = AsOf::Position(other.position().unwrap() + 1);
        assert_eq!(code(past(ahead).await), "view_query_invalid");
        assert_eq!(code(past(AsOf::Time(Timestamp::MAX)).await), "view_query_invalid");
        assert_eq!(ask(views, "select count(*) from orders_history", &other).await, ["2"]);
    });
}
