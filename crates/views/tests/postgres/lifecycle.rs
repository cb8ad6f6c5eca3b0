//! Views in PostgreSQL: added, replaced, reset, paused and removed.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use leftfold::Coded;
use leftfold_views::{AskLimits, Definition, ViewPhase, ViewStart};

use crate::support::{Database, PATIENCE, Reader, World, until};

const COUNTS: &str = "
-- @view counts
-- @query category:a
create table t (position bigint primary key, n integer);
-- @on E
insert into t values (:position, 1);
";

#[test]
fn a_view_is_added_asked_paused_reset_and_removed() {
    let database = Database::new();
    let world = World::new(&database.url);
    let reader = &database.reader;
    world.run(async |views| {
        let definition = world.definition(COUNTS);
        assert_eq!(views.plan(&definition).await.unwrap().change, "add");
        views.add(&definition, ViewStart::Beginning).await.unwrap();
        let first = world.append("a-1", "E", "{}").await;
        views.wait_for_cursor("counts", &first, PATIENCE).await.unwrap();
        assert_eq!(reader.query("select count(*) from counts.t"), ["1"]);
        assert_eq!(reader.query("select cursor from counts._view"), [first.to_string()]);
        let status = until(views, "counts", |it| it.phase == ViewPhase::Following).await;
        assert_eq!((status.lag_micros, status.failure), (Some(0), None));
        for sql in ["select * from t", "select * from counts.t"] {
            let error = views.ask(sql, None, AskLimits::default()).await.unwrap_err();
            assert_eq!(error.code(), "view_elsewhere");
            assert!(error.to_string().contains("the schema counts"), "{error}");
            let watched = views.watch(sql, AskLimits::default(), Duration::ZERO);
            assert_eq!(watched.err().unwrap().code(), "view_elsewhere");
        }

        views.pause("counts").await.unwrap();
        until(views, "counts", |it| it.phase == ViewPhase::Paused).await;
        let second = world.append("a-1", "E", "{}").await;
        let late = views.wait_for_cursor("counts", &second, Duration::from_millis(50)).await;
        assert_eq!(late.unwrap_err().code(), "view_late");
        assert_eq!(reader.query("select count(*) from counts.t"), ["1"]);
        views.resume("counts").await.unwrap();
        views.wait_for_cursor("counts", &second, PATIENCE).await.unwrap();
        assert_eq!(reader.query("select count(*) from counts.t"), ["2"]);

        assert_eq!(views.plan(&definition).await.unwrap().change, "keep");
        let generation = || reader.query("select generation from counts._view");
        let before = generation();
        views.replace(&definition).await.unwrap();
        assert_eq!(generation(), before, "the same definition keeps its tables");
        views.reset("counts").await.unwrap();
        until(views, "counts", |it| !it.replacing).await;
        assert_ne!(generation(), before);
        assert_eq!(reader.query("select count(*) from counts.t"), ["2"]);
        assert_eq!(reader.schemas(), ["counts"]);

        views.remove("counts").await.unwrap();
        until_schemas(reader, &[]).await;
    });
}

/// Waits until only these schemas are left.
async fn until_schemas(reader: &Reader, wanted: &[&str]) {
    while reader.schemas() != wanted {
        crate::support::yield_once().await;
    }
}

/// The view moves from SQLite to PostgreSQL and back, and nothing stays behind.
#[test]
fn a_view_moves_from_one_database_to_another() {
    let database = Database::new();
    let world = World::new(&database.url);
    let reader = &database.reader;
    world.run(async |views| {
        let first = world.append("a-1", "E", "{}").await;
        let (local, remote) = (Definition::parse(COUNTS).unwrap(), world.definition(COUNTS));
        views.add(&local, ViewStart::Beginning).await.unwrap();
        views.wait_for_cursor("counts", &first, PATIENCE).await.unwrap();
        assert_eq!(views.plan(&remote).await.unwrap().change, "rebuild");
        views.replace(&remote).await.unwrap();
        until(views, "counts", |it| !it.replacing).await;
        assert_eq!(reader.query("select count(*) from counts.t"), ["1"]);
        views.replace(&local).await.unwrap();
        until(views, "counts", |it| !it.replacing).await;
        let answer = views.ask("select count(*) from t", None, AskLimits::default()).await.unwrap();
        assert_eq!(answer.rows.len(), 1);
        until_schemas(reader, &[]).await;
    });
}

#[test]
fn a_view_begins_after_a_cursor() {
    let database = Database::new();
    let world = World::new(&database.url);
    world.run(async |views| {
        let first = world.append("a-1", "E", "{}").await;
        let start = ViewStart::After(first.to_string());
        views.add(&world.definition(COUNTS), start).await.unwrap();
        let second = world.append("a-1", "E", "{}").await;
        views.wait_for_cursor("counts", &second, PATIENCE).await.unwrap();
        assert_eq!(database.reader.query("select count(*) from counts.t"), ["1"]);
    });
}

/// A reader who asks all the time sees tables at any moment, and rows that never go back.
#[test]
fn readers_see_no_gap_while_tables_are_swapped() {
    let database = Database::new();
    let world = World::new(&database.url);
    let has_ended = AtomicBool::new(false);
    std::thread::scope(|scope| {
        world.run(async |views| {
            views.add(&world.definition(COUNTS), ViewStart::Beginning).await.unwrap();
            let mut last = world.append("a-1", "E", "{}").await;
            views.wait_for_cursor("counts", &last, PATIENCE).await.unwrap();
            let (url, has_ended) = (database.url.clone(), &has_ended);
            let polling = scope.spawn(move || {
                let reader = Reader::new(&url);
                let (mut seen, mut most, mut generations) = (0, 0, Vec::new());
                while !has_ended.load(Ordering::Acquire) {
                    let sql = "select (select count(*) from counts.t), (select generation from counts._view)";
                    let row = reader.query(sql).pop().unwrap();
                    let (count, generation) = row.split_once(" | ").unwrap();
                    let count: u64 = count.parse().unwrap();
                    assert!(count >= most, "{count} rows after {most}");
                    (seen, most) = (seen + 1, count);
                    if generations.last().map(String::as_str) != Some(generation) {
                        generations.push(generation.to_owned());
                    }
                }
                (seen, generations.len())
            });
            for n in 2..6 {
                let other = COUNTS.replace(":position, 1", &format!(":position, {n}"));
                views.replace(&world.definition(&other)).await.unwrap();
                loop {
                    last = world.append("a-1", "E", "{}").await;
                    // No faster than the tables that answer follow: the new ones could never catch up.
                    views.wait_for_cursor("counts", &last, PATIENCE).await.unwrap();
                    let status = views.status("counts").await.unwrap();
                    assert_eq!(status.failure, None);
                    if !status.replacing {
                        break;
                    }
                }
            }
            views.wait_for_cursor("counts", &last, PATIENCE).await.unwrap();
            has_ended.store(true, Ordering::Release);
            let (seen, generations) = polling.join().unwrap();
            assert!(seen > generations && generations >= 3, "{seen} answers, {generations} tables");
            let rows = database.reader.query("select distinct n from counts.t");
            assert_eq!(rows, ["5"]);
        });
    });
}

/// A reader's open transaction holds the old tables: the swap waits, and the old tables are followed.
#[test]
fn a_reader_in_a_transaction_holds_the_swap_up() {
    let database = Database::new();
    let world = World::new(&database.url);
    world.run(async |views| {
        views.add(&world.definition(COUNTS), ViewStart::Beginning).await.unwrap();
        let first = world.append("a-1", "E", "{}").await;
        views.wait_for_cursor("counts", &first, PATIENCE).await.unwrap();
        let holding = Reader::new(&database.url);
        holding.query("begin; select count(*) from counts.t");
        let other = COUNTS.replace(":position, 1", ":position, 2");
        views.replace(&world.definition(&other)).await.unwrap();
        // It has tried to swap, and was refused the lock.
        let waits = "select count(*) from pg_stat_activity where wait_event_type = 'Lock'";
        while database.reader.query(waits) == ["0"] {
            crate::support::yield_once().await;
        }
        let second = world.append("a-1", "E", "{}").await;
        views.wait_for_cursor("counts", &second, PATIENCE).await.unwrap();
        assert_eq!(database.reader.query("select distinct n from counts.t"), ["1"]);
        holding.query("commit");
        until(views, "counts", |it| !it.replacing).await;
        assert_eq!(database.reader.query("select n from counts.t"), ["2", "2"]);
    });
}

/// A failing new definition leaves the old tables in their place.
#[test]
fn the_old_tables_go_on_if_the_new_ones_fail() {
    let database = Database::new();
    let world = World::new(&database.url);
    world.run(async |views| {
        views.add(&world.definition(COUNTS), ViewStart::Beginning).await.unwrap();
        let mut last = world.append("a-1", "E", r#"{"by":"x"}"#).await;
        views.wait_for_cursor("counts", &last, PATIENCE).await.unwrap();
        let other = COUNTS.replace(":position, 1", ":position, :data.by");
        views.replace(&world.definition(&other)).await.unwrap();
        until(views, "counts", |it| it.phase == ViewPhase::Failed).await;
        last = world.append("a-1", "E", "{}").await;
        views.wait_for_cursor("counts", &last, PATIENCE).await.unwrap();
        assert_eq!(database.reader.query("select n from counts.t"), ["1", "1"]);
    });
}
