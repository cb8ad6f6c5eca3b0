//! The rows in PostgreSQL.

use leftfold::Cursor;
use leftfold_views::{AskLimits, Definition, ViewPhase, ViewStart};

use crate::support::{Database, PATIENCE, World, until};

/// In the words that both databases have.
const ORDERS: &str = "
-- @view remote
-- @query category:order
create table orders (id text primary key, customer text, state text, lines integer, placed text, n bigint);
create index orders_by_customer on orders (customer, state);
create table entries (position bigint primary key, type text, total text);
-- @on OrderPlaced
insert into orders values (:stream_id, :data.customer, 'placed', 0, :event_time, :data.n);
-- @on LineAdded
update orders set lines = lines + 1, n = n + :data.n where id = :stream_id;
-- @on OrderPaid
insert into orders (id, state) values (:stream_id, 'new') on conflict (id) do update set state = 'paid';
-- @on OrderRemoved
delete from orders where id = :stream_id;
-- @on *
insert into entries values (:position, :type, :data.total);
";

/// Appends events of all types, with texts that need quoting and numbers that no float can hold.
async fn append_all(world: &World) -> Cursor {
    let mut last = Cursor::START;
    for n in 0..300 {
        let order = format!("order-{}", n % 17);
        let (kind, data) = match n % 7 {
            _ if n < 17 => {
                ("OrderPlaced", r#"{"customer":"O'Neil \"\\ \u00e4","n":9007199254740993}"#)
            }
            0 | 1 => ("OrderPaid", r#"{"total":0.1000000000000000055}"#),
            2 if n > 200 => ("OrderRemoved", r#"{"total":null}"#),
            _ => ("LineAdded", r#"{"n":-3,"total":{"a":[1,"x"]}}"#),
        };
        last = world.append(&order, kind, data).await;
    }
    last
}

#[test]
fn the_rows_are_those_of_the_same_view_in_sqlite() {
    let database = Database::new();
    let world = World::new(&database.url);
    world.run(async |views| {
        let in_sqlite = Definition::parse(&ORDERS.replace("@view remote", "@view local")).unwrap();
        views.add(&in_sqlite, ViewStart::Beginning).await.unwrap();
        views.add(&world.definition(ORDERS), ViewStart::Beginning).await.unwrap();
        let last = append_all(&world).await;
        views.wait_for_cursor("remote", &last, PATIENCE).await.unwrap();
        views.wait_for_cursor("local", &last, PATIENCE).await.unwrap();
        for (table, order) in [("orders", "id"), ("entries", "position")] {
            let sql = |schema: &str| format!("select * from {schema}.{table} order by {order}");
            let answer = views.ask(&sql("local"), None, AskLimits::default()).await.unwrap();
            let rows = answer
                .rows
                .iter()
                .map(|row| row.iter().map(ToString::to_string).collect::<Vec<_>>().join(" | "));
            let rows: Vec<String> = rows.collect();
            assert!(rows.len() > 10);
            assert_eq!(rows, database.reader.query(&sql("remote")));
        }
    });
}

/// A value is a text that PostgreSQL converts to the type of its column.
#[test]
fn values_get_the_types_of_their_columns() {
    const VIEW: &str = "
-- @view typed
-- @query category:a
create table t (
    id bigint primary key, price numeric(10, 2), at timestamptz, body jsonb, ok boolean, day date, names text[]
);
-- @on E
insert into t values (:position, :data.price, :event_time, :data, :data.ok, :data.day::date,
    array(select jsonb_array_elements_text(:data.names::jsonb)));
update t set price = price * 2 where body @> '{\"double\": true}' and body ? 'price' and id = :position;
";
    let database = Database::new();
    let world = World::new(&database.url);
    world.run(async |views| {
        views.add(&world.definition(VIEW), ViewStart::Beginning).await.unwrap();
        let data = r#"{"price":9.90,"ok":true,"day":"2024-02-29","names":["x","y z"],"double":true}"#;
        world.append("a-1", "E", data).await;
        let last = world.append("a-1", "E", "{}").await;
        views.wait_for_cursor("typed", &last, PATIENCE).await.unwrap();
        let select = "select price, at is not null, body ->> 'price', ok, day, names from typed.t order by id";
        assert_eq!(
            database.reader.query(select),
            [
                "19.80 | t | 9.90 | t | 2024-02-29 | {x,\"y z\"}",
                "null | t | null | null | null | {}"
            ]
        );
    });
}

const FAILING: &str = "
-- @view strict
-- @query category:a
create table t (id bigint primary key, n integer not null);
-- @on E
insert into t values (:position, 1);
update t set n = 100 / :data.by::integer where id = :position;
";

#[test]
fn a_view_stops_before_an_event_that_fails() {
    let database = Database::new();
    let world = World::new(&database.url);
    world.run(async |views| {
        for by in [1, 2, 0, 4] {
            world.append("a-1", "E", &format!(r#"{{"by":{by}}}"#)).await;
        }
        views.add(&world.definition(FAILING), ViewStart::Beginning).await.unwrap();
        let status = until(views, "strict", |it| it.phase == ViewPhase::Failed).await;
        assert_eq!(status.code.as_deref(), Some("view_event_unusable"));
        let failure = status.failure.unwrap();
        assert!(failure.contains("position 3") && failure.contains("line 8"), "{failure}");
        assert!(failure.contains("division by zero"), "{failure}");
        let schema = database.reader.schemas().pop().unwrap();
        let rows = database.reader.query(&format!("select n from \"{schema}\".t order by id"));
        assert_eq!(rows, ["100", "50"]);
    });
}

#[test]
fn a_view_that_skips_notes_the_event_and_goes_on() {
    let database = Database::new();
    let world = World::new(&database.url);
    let skipping = FAILING.replace("-- @query", "-- @on_error skip\n-- @query");
    world.run(async |views| {
        views.add(&world.definition(&skipping), ViewStart::Beginning).await.unwrap();
        let mut last = Cursor::START;
        for by in ["1", "0", "\"x\"", "4"] {
            last = world.append("a-1", "E", &format!(r#"{{"by":{by}}}"#)).await;
        }
        views.wait_for_cursor("strict", &last, PATIENCE).await.unwrap();
        assert_eq!(database.reader.query("select n from strict.t order by id"), ["100", "25"]);
        let noted = "select version, type, stream, reason from strict._errors order by position";
        assert_eq!(
            database.reader.query(noted),
            [
                "1 | E | a-1 | line 9: division by zero",
                "2 | E | a-1 | line 9: invalid input syntax for type integer: \"x\""
            ]
        );
    });
}

/// PostgreSQL counts no steps: a statement has a second, and five when it is tried alone.
#[test]
fn a_statement_without_an_end_stops_a_view_that_skips() {
    const VIEW: &str = "
-- @view endless
-- @on_error skip
-- @query category:a
create table t (n bigint);
-- @on E
insert into t select count(*) from generate_series(1, 1000000) a, generate_series(1, 1000000) b;
";
    let database = Database::new();
    let world = World::new(&database.url);
    world.run(async |views| {
        world.append("a-1", "E", "{}").await;
        views.add(&world.definition(VIEW), ViewStart::Beginning).await.unwrap();
        let status = until(views, "endless", |it| it.phase == ViewPhase::Failed).await;
        let failure = status.failure.unwrap();
        assert!(failure.contains("does not come to an end"), "{failure}");
        assert_eq!(status.code.as_deref(), Some("view_event_unusable"));
    });
}
