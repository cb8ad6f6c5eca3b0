//! Views in Rust whose tables are in PostgreSQL.

use std::path::PathBuf;

use leftfold::{Coded, Embedded, Query, Recorded};
use leftfold_views::tokio_postgres::Transaction;
use leftfold_views::{
    AskLimits, OnError, PostgresView, TableResult, UrlSource, ViewPhase, ViewStart, ViewStatus,
    Views,
};

use crate::failures::{COUNTS, append, equals_a_rebuild, reach};
use crate::support::{Database, PATIENCE, World, until};

/// What the code does at an event of the type `Bad`, after a change of the rows.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Bad {
    Nothing,
    Error,
    Statement,
    Value,
    Panic,
    GoesOn,
    GoesOnWithAStatement,
    Commit,
    Rollback,
    NeverReady,
}

/// The view of the tests of failures, in Rust.
pub(crate) struct Counts {
    url: PathBuf,
    logic: u32,
    on_error: OnError,
    bad: Bad,
}

impl Counts {
    pub(crate) fn new(world: &World) -> Self {
        let (on_error, bad) = (OnError::Stop, Bad::Nothing);
        Counts { url: world.url_file(), logic: 1, on_error, bad }
    }

    async fn add(&self, tables: &Transaction<'_>, event: &Recorded) -> TableResult {
        let data: serde_json::Value = serde_json::from_slice(&event.data())?;
        let version = i64::try_from(event.version())?;
        let (one, n) = (i64::from(self.logic), data["n"].to_string());
        let add = "insert into counts values ($1, $2, $3::text::numeric, $4)
                   on conflict (stream) do update set n = counts.n + excluded.n,
                   sum = counts.sum + excluded.sum, last = excluded.last";
        tables.execute(add, &[&event.stream(), &one, &n, &version]).await?;
        let entry = "insert into entries values ($1, $2, $3)";
        let position = i64::try_from(event.position())?;
        tables.execute(entry, &[&position, &event.stream(), &version]).await?;
        Ok(())
    }
}

impl PostgresView for Counts {
    fn name(&self) -> &str {
        "counts"
    }

    fn query(&self) -> Query {
        Query::category("count")
    }

    fn url(&self) -> UrlSource {
        UrlSource::File(self.url.clone())
    }

    fn logic(&self) -> u32 {
        self.logic
    }

    fn on_error(&self) -> OnError {
        self.on_error
    }

    fn create(&self) -> String {
        let head = COUNTS.split("-- @on").next().unwrap();
        head.lines().filter(|line| !line.starts_with("--")).collect()
    }

    async fn apply(&self, tables: &Transaction<'_>, event: &Recorded) -> TableResult {
        self.add(tables, event).await?;
        if event.event_type() != "Bad" {
            return Ok(());
        }
        match self.bad {
            Bad::Nothing => {}
            Bad::Error => return Err("there is no such count".into()),
            Bad::Statement => tables.batch_execute("insert into absent values (1)").await?,
            Bad::Value => {
                tables.query_one("select 1 where $1", &[&"text"]).await?;
            }
            Bad::Panic => panic!("a planted panic"),
            Bad::GoesOn => _ = tables.batch_execute("insert into absent values (1)").await,
            Bad::GoesOnWithAStatement => {
                _ = tables.batch_execute("insert into absent values (1)").await;
                tables.batch_execute("select 1").await?;
            }
            Bad::Commit => tables.batch_execute("commit").await?,
            Bad::Rollback => tables.batch_execute("rollback").await?,
            Bad::NeverReady => std::future::pending().await,
        }
        Ok(())
    }
}

async fn append_bad(world: &World) -> leftfold::Cursor {
    world.append("count-9", "Bad", r#"{"n":1}"#).await
}

const ENTRIES: &str = "select count(*), count(distinct position) from counts.entries";

/// Registers a view, brings it events of which one is bad, and returns its failure.
fn failure_of(bad: Bad) -> String {
    let database = Database::new();
    let world = World::new(&database.url);
    let counts = || Counts { bad, ..Counts::new(&world) };
    let reader = &database.reader;
    let failure = world.run(async |views| {
        views.register_in_postgres(counts()).await.unwrap();
        let good = append(&world, 0, 10).await;
        reach(views, "counts", &good).await;
        views.pause("counts").await.unwrap();
        until(views, "counts", |it| it.phase == ViewPhase::Paused).await;
        // All of these would be one batch.
        append(&world, 10, 5).await;
        append_bad(&world).await;
        append(&world, 20, 5).await;
        views.resume("counts").await.unwrap();
        // On a busy machine a connection may come too late first; that is tried again.
        let has_stopped = |it: &ViewStatus| it.code.as_deref() == Some("view_event_unusable");
        let status = until(views, "counts", has_stopped).await;
        assert_eq!(status.phase, ViewPhase::Failed, "{status:?}");
        let rows = reader.query(ENTRIES);
        assert!(["10 | 10", "15 | 15"].contains(&&*rows[0]), "{rows:?}");
        status.failure.unwrap()
    });
    // The cursor is where the rows are: code without the fault goes on there.
    world.run(async |views| {
        views.register_in_postgres(Counts::new(&world)).await.unwrap();
        let last = append(&world, 30, 1).await;
        reach(views, "counts", &last).await;
        assert_eq!(reader.query(ENTRIES), ["22 | 22"]);
    });
    failure
}

#[test]
fn a_view_stops_before_an_event_that_its_code_fails_on() {
    for (bad, reason) in [
        (Bad::Error, "there is no such count"),
        (Bad::Statement, "relation \"absent\" does not exist"),
        (Bad::Value, "error serializing parameter 0"),
        (Bad::Panic, "it panicked: a planted panic"),
        (Bad::GoesOn, "the code went on"),
        (Bad::GoesOnWithAStatement, "the code went on"),
        (Bad::Commit, "ended the transaction"),
        (Bad::NeverReady, "the code does not come to an end"),
    ] {
        let failure = failure_of(bad);
        for part in [reason, "event Bad at position", "in stream count-9"] {
            assert!(failure.contains(part), "{bad:?}: {failure}");
        }
        assert!(!failure.contains("line"), "{failure}");
    }
}

/// What the code did before that is undone, and what it does later is not counted as done.
#[test]
fn code_that_rolls_back_is_noticed() {
    let database = Database::new();
    let world = World::new(&database.url);
    world.run(async |views| {
        let counts = Counts { bad: Bad::Rollback, ..Counts::new(&world) };
        views.register_in_postgres(counts).await.unwrap();
        let last = append(&world, 0, 5).await;
        reach(views, "counts", &last).await;
        append_bad(&world).await;
        let status = until(views, "counts", |it| it.phase == ViewPhase::Failed).await;
        assert!(status.failure.unwrap().contains("ended the transaction"));
        assert_eq!(database.reader.query(ENTRIES), ["5 | 5"]);
        assert_eq!(database.reader.query("select cursor from counts._view"), [last.to_string()]);
    });
}

#[test]
fn a_view_skips_events_that_its_code_fails_on() {
    for bad in [Bad::Error, Bad::Statement, Bad::Panic, Bad::GoesOn, Bad::GoesOnWithAStatement] {
        let database = Database::new();
        let world = World::new(&database.url);
        world.run(async |views| {
            let counts = Counts { bad, on_error: OnError::Skip, ..Counts::new(&world) };
            views.register_in_postgres(counts).await.unwrap();
            append(&world, 0, 5).await;
            append_bad(&world).await;
            let last = append(&world, 10, 5).await;
            reach(views, "counts", &last).await;
            assert_eq!(database.reader.query(ENTRIES), ["10 | 10"], "{bad:?}");
            let noted = database.reader.query("select stream, version, type from counts._errors");
            assert_eq!(noted, ["count-9 | 0 | Bad"], "{bad:?}");
        });
    }
}

#[test]
fn a_view_in_rust_is_asked_paused_reset_and_removed() {
    let database = Database::new();
    let world = World::new(&database.url);
    let reader = &database.reader;
    world.run(async |views| {
        views.register_in_postgres(Counts::new(&world)).await.unwrap();
        let first = append(&world, 0, 5).await;
        views.wait_for_cursor("counts", &first, PATIENCE).await.unwrap();
        assert_eq!(reader.query(ENTRIES), ["5 | 5"]);
        assert_eq!(reader.query("select cursor from counts._view"), [first.to_string()]);
        let status = until(views, "counts", |it| it.phase == ViewPhase::Following).await;
        assert_eq!((status.lag_micros, status.failure), (Some(0), None));
        for part in ["In Rust, logic 1. Tables: counts, entries", "@target postgres file:"] {
            assert!(status.text.contains(part), "{}", status.text);
        }
        for sql in ["select * from entries", "select * from counts.entries"] {
            let error = views.ask(sql, None, AskLimits::default()).await.unwrap_err();
            assert_eq!(error.code(), "view_elsewhere");
        }
        assert!(!world.facts("counts").contains("postgres://"));

        views.pause("counts").await.unwrap();
        until(views, "counts", |it| it.phase == ViewPhase::Paused).await;
        let second = append(&world, 5, 5).await;
        assert_eq!(reader.query(ENTRIES), ["5 | 5"]);
        views.resume("counts").await.unwrap();
        views.wait_for_cursor("counts", &second, PATIENCE).await.unwrap();
        assert_eq!(reader.query(ENTRIES), ["10 | 10"]);
        views.reset("counts").await.unwrap();
        until(views, "counts", |it| !it.replacing).await;
        assert_eq!(
            (reader.query(ENTRIES), reader.schemas()),
            (vec!["10 | 10".to_owned()], vec!["counts".to_owned()])
        );
        equals_a_rebuild(&world, views, reader).await;
        views.remove("counts").await.unwrap();
        while reader.schemas() != ["fresh"] {
            crate::support::yield_once().await;
        }
    });
}

/// Registers code of a logic and waits until its tables answer; returns the sum of their counts.
async fn count_by(
    logic: u32,
    world: &World,
    views: &Views<Embedded>,
    database: &Database,
) -> String {
    views.register_in_postgres(Counts { logic, ..Counts::new(world) }).await.unwrap();
    until(views, "counts", |it| !it.replacing && it.phase == ViewPhase::Following).await;
    let head = leftfold::EventStore::head(&*world.store).await.unwrap();
    reach(views, "counts", &head).await;
    database.reader.query("select sum(n) from counts.counts").remove(0)
}

#[test]
fn another_logic_is_built_beside_the_old_tables_and_swapped_in() {
    let database = Database::new();
    let world = World::new(&database.url);
    world.run(async |views| {
        append(&world, 0, 10).await;
        assert_eq!(count_by(1, &world, views, &database).await, "10");
        assert_eq!(count_by(2, &world, views, &database).await, "20");
        // A view by SQL of the name takes its place, and gives it back.
        views.replace(&world.definition(COUNTS)).await.unwrap();
        until(views, "counts", |it| !it.replacing && it.phase == ViewPhase::Following).await;
        assert_eq!(database.reader.query("select sum(n) from counts.counts"), ["10"]);
        assert_eq!(count_by(3, &world, views, &database).await, "30");
        // New code that fails leaves the old tables following.
        let broken = Counts { logic: 4, bad: Bad::Error, ..Counts::new(&world) };
        append_bad(&world).await;
        views.register_in_postgres(broken).await.unwrap();
        let status = until(views, "counts", |it| it.phase == ViewPhase::Failed).await;
        assert!(status.replacing, "{status:?}");
        let last = append(&world, 10, 1).await;
        reach(views, "counts", &last).await;
        assert_eq!(database.reader.query("select sum(n) from counts.counts"), ["36"]);
    });
}

#[test]
fn without_its_code_a_view_says_so_and_keeps_its_tables() {
    let database = Database::new();
    let world = World::new(&database.url);
    world.run(async |views| {
        append(&world, 0, 10).await;
        assert_eq!(count_by(1, &world, views, &database).await, "10");
    });
    world.run(async |views| {
        let status = until(views, "counts", |it| it.phase == ViewPhase::Failed).await;
        assert_eq!(status.code.as_deref(), Some("view_code_missing"));
        let missing = append(&world, 10, 1).await;
        let late = views.wait_for_cursor("counts", &missing, PATIENCE).await;
        assert_eq!(late.unwrap_err().code(), "view_code_missing");
        assert_eq!(database.reader.query(ENTRIES), ["10 | 10"]);
        assert_eq!(count_by(1, &world, views, &database).await, "11");
    });
}

#[test]
fn tables_that_can_not_be_made_are_refused_and_no_fact_is_written() {
    struct Other(Counts, &'static str);
    impl PostgresView for Other {
        fn name(&self) -> &str {
            "counts"
        }
        fn query(&self) -> Query {
            Query::All
        }
        fn url(&self) -> UrlSource {
            self.0.url()
        }
        fn on_error(&self) -> OnError {
            self.0.on_error
        }
        fn create(&self) -> String {
            self.1.to_owned()
        }
        async fn apply(&self, _: &Transaction<'_>, _: &Recorded) -> TableResult {
            Ok(())
        }
    }
    let database = Database::new();
    let world = World::new(&database.url);
    world.run(async |views| {
        for (sql, code) in [
            ("create table t (a nothing)", "view_sql_invalid"),
            ("create table t (a integer); drop table t", "view_sql_forbidden"),
            ("create table public.t (a integer)", "view_sql_forbidden"),
            ("", "view_invalid"),
        ] {
            let registered = views.register_in_postgres(Other(Counts::new(&world), sql)).await;
            assert_eq!(registered.unwrap_err().code(), code, "{sql}");
        }
        let parking = Counts { on_error: OnError::Park, ..Counts::new(&world) };
        let parking = Other(parking, "create table t (a integer)");
        let registered = views.register_in_postgres(parking).await;
        assert_eq!(registered.unwrap_err().code(), "view_invalid");
        assert!(views.status("counts").await.is_err());
        assert_eq!(world.facts("counts"), "");
        // A schema that is not the store's is not touched.
        database.reader.query("create schema counts");
        let registered = views.register_in_postgres(Counts::new(&world)).await;
        assert_eq!(registered.unwrap_err().code(), "view_schema_taken");
        views
            .add(
                &world.definition(&COUNTS.replace("@view counts", "@view other")),
                ViewStart::Beginning,
            )
            .await
            .unwrap();
    });
}
