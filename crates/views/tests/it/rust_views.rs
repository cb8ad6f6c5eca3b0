//! Views in Rust whose tables are in SQLite.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use leftfold::{Coded, Event, NewEvent, Query, Recorded};
use leftfold_views::rusqlite::{self, Connection, Transaction};
use leftfold_views::{
    AskLimits, LiveUpdate, OnError, TableResult, TableView, TypedTableView, ViewPhase, ViewStart,
    Views,
};
use proptest::prelude::*;

use crate::host::{ORDERS, World, ask, code, parse, until};

type Apply = Box<dyn Fn(&Transaction<'_>, &Recorded) -> TableResult + Send + Sync>;

/// Counts the events of each stream, unless an event says to do something else.
struct Counts {
    name: &'static str,
    logic: u32,
    on_error: OnError,
    create: &'static str,
    apply: Apply,
}

impl TableView for Counts {
    fn name(&self) -> &str {
        self.name
    }

    fn query(&self) -> Query {
        Query::category("order")
    }

    fn logic(&self) -> u32 {
        self.logic
    }

    fn on_error(&self) -> OnError {
        self.on_error
    }

    fn create(&self, tables: &Connection) -> TableResult {
        Ok(tables.execute_batch(self.create)?)
    }

    fn apply(&self, tables: &Transaction<'_>, event: &Recorded) -> TableResult {
        (self.apply)(tables, event)
    }
}

fn counts(
    apply: impl Fn(&Transaction<'_>, &Recorded) -> TableResult + Send + Sync + 'static,
) -> Counts {
    Counts {
        name: "counts",
        logic: 1,
        on_error: OnError::Stop,
        create: "create table counts (id text primary key, n integer not null)",
        apply: Box::new(apply),
    }
}

fn add(tables: &Transaction<'_>, event: &Recorded, n: u32) -> TableResult {
    let mut add = tables.prepare_cached(
        "insert into counts values (?1, ?2) on conflict (id) do update set n = n + excluded.n",
    )?;
    add.execute((event.stream(), n))?;
    Ok(())
}

/// Counts each event `times` times, which is its logic.
fn counting(times: u32) -> Counts {
    Counts { logic: times, ..counts(move |tables, event| add(tables, event, times)) }
}

const ALL: &str = "select * from counts order by id";

#[test]
fn each_event_is_in_the_tables_once_through_restarts() {
    let world = World::new();
    for round in 1..4 {
        world.run(async |views| {
            let placed = world.append("order-1", "OrderPlaced", "{}").await;
            views.register(counting(1)).await.unwrap();
            assert_eq!(ask(views, ALL, &placed).await, [format!("order-1 | {}", 2 * round - 1)]);
            let live = world.append("order-1", "OrderPaid", "{}").await;
            assert_eq!(ask(views, ALL, &live).await, [format!("order-1 | {}", 2 * round)]);
        });
    }
    // The view was defined once.
    let facts = world.store.blocking().stream("leftfold.view-counts").unwrap().unwrap();
    assert_eq!(facts.version, 0);
}

#[test]
fn a_view_may_be_registered_before_the_views_run() {
    let world = World::new();
    let views = world.views();
    let registered = views.register(counting(1));
    pollster::block_on(views.run_until(async {
        registered.await.unwrap();
        let placed = world.append("order-1", "OrderPlaced", "{}").await;
        assert_eq!(ask(&views, ALL, &placed).await, ["order-1 | 1"]);
    }))
    .unwrap();
}

/// The second one finds the definition of the first.
#[test]
fn two_processes_register_a_view_at_once() {
    let world = World::new();
    let other = tempfile::tempdir().unwrap();
    let one = world.views();
    let two = Views::open(world.store.clone(), other.path().join("views")).unwrap();
    let placed = pollster::block_on(world.append("order-1", "OrderPlaced", "{}"));
    let registered =
        futures_util::future::join(one.register(counting(1)), two.register(counting(1)));
    let both = async {
        let (one, two) = registered.await;
        one.and(two).unwrap();
    };
    pollster::block_on(one.run_until(async { two.run_until(both).await.unwrap() })).unwrap();
    let facts = world.store.blocking().stream("leftfold.view-counts").unwrap().unwrap();
    assert_eq!(facts.version, 0);
    world.run(async |views| {
        views.register(counting(1)).await.unwrap();
        assert_eq!(ask(views, ALL, &placed).await, ["order-1 | 1"]);
    });
}

#[test]
fn another_logic_is_built_beside_the_old_tables_and_swapped_in() {
    let world = World::new();
    world.run(async |views| {
        let placed = world.append("order-1", "OrderPlaced", "{}").await;
        views.register(counting(1)).await.unwrap();
        assert_eq!(ask(views, ALL, &placed).await, ["order-1 | 1"]);
        views.register(counting(2)).await.unwrap();
        until(views, "counts", |it| !it.replacing && it.phase == ViewPhase::Following).await;
        assert_eq!(ask(views, ALL, &placed).await, ["order-1 | 2"]);
    });
    // A program with other code: its tables replace those whose code is gone.
    world.run(async |views| {
        let paid = world.append("order-1", "OrderPaid", "{}").await;
        views.register(counting(3)).await.unwrap();
        let status = until(views, "counts", |it| !it.replacing).await;
        assert_eq!(ask(views, ALL, &paid).await, ["order-1 | 6"]);
        assert_eq!(status.query, "category:order");
        assert!(status.text.contains("In Rust, logic 3. Tables: counts"), "{}", status.text);
        world.wait_for_one_file("counts").await;
    });
}

#[test]
fn new_code_that_fails_leaves_the_old_tables_answering() {
    let world = World::new();
    world.run(async |views| {
        let placed = world.append("order-1", "OrderPlaced", "{}").await;
        views.register(counting(1)).await.unwrap();
        ask(views, ALL, &placed).await;
        let broken = counts(|_, _| Err("it is broken".into()));
        views.register(Counts { logic: 2, ..broken }).await.unwrap();
        let status = until(views, "counts", |it| it.phase == ViewPhase::Failed).await;
        assert!(status.replacing, "{status:?}");
        let paid = world.append("order-1", "OrderPaid", "{}").await;
        assert_eq!(ask(views, ALL, &paid).await, ["order-1 | 2"]);
    });
}

#[test]
fn a_question_joins_a_view_in_rust_and_one_by_sql_and_follows_both() {
    let world = World::new();
    world.run(async |views| {
        views.add(&parse(ORDERS), ViewStart::Beginning).await.unwrap();
        views.register(counting(1)).await.unwrap();
        world.append("order-1", "OrderPlaced", "{}").await;
        let paid = world.append("order-1", "OrderPaid", "{}").await;
        let join = "select state, n from orders join counts on counts.id = 'order-' || orders.id";
        assert_eq!(ask(views, join, &paid).await, ["paid | 2"]);
        let names: Vec<_> = views.list().await.into_iter().map(|it| it.name).collect();
        assert_eq!(names, ["counts", "orders"]);
        let asked: Vec<_> = views.views_of(join).unwrap().into_iter().map(|it| it.0).collect();
        assert_eq!(asked, ["counts", "orders"]);
        let mut live = views.watch("select n from counts", AskLimits::default(), Duration::ZERO);
        let live = live.as_mut().unwrap();
        assert!(matches!(live.next().await.unwrap(), LiveUpdate::Rows(_)));
        world.append("order-1", "OrderPaid", "{}").await;
        let LiveUpdate::Changes(changes) = live.next().await.unwrap() else { panic!("no change") };
        assert_eq!((changes.added.len(), changes.removed.len()), (1, 1));
    });
}

#[test]
fn a_view_is_paused_reset_removed_and_added_again() {
    let world = World::new();
    world.run(async |views| {
        let placed = world.append("order-1", "OrderPlaced", "{}").await;
        views.register(counting(1)).await.unwrap();
        ask(views, ALL, &placed).await;
        views.pause("counts").await.unwrap();
        until(views, "counts", |it| it.phase == ViewPhase::Paused).await;
        let paid = world.append("order-1", "OrderPaid", "{}").await;
        views.resume("counts").await.unwrap();
        assert_eq!(ask(views, ALL, &paid).await, ["order-1 | 2"]);
        views.reset("counts").await.unwrap();
        until(views, "counts", |it| it.phase == ViewPhase::Following).await;
        assert_eq!(ask(views, ALL, &paid).await, ["order-1 | 2"]);
        views.remove("counts").await.unwrap();
        let gone = views.ask(ALL, None, AskLimits::default()).await;
        assert_eq!(code(gone), "view_unknown");
        views.register(counting(1)).await.unwrap();
        assert_eq!(ask(views, ALL, &paid).await, ["order-1 | 2"]);
    });
}

/// The last definition of a name is the view, whatever it is written in.
#[test]
fn a_view_by_sql_becomes_one_in_rust_and_back() {
    let world = World::new();
    world.run(async |views| {
        let placed = world.append("order-1", "OrderPlaced", "{}").await;
        views.add(&parse(ORDERS), ViewStart::Beginning).await.unwrap();
        assert_eq!(ask(views, "select state from orders", &placed).await, ["placed"]);
        views.register(Counts { name: "orders", ..counting(1) }).await.unwrap();
        until(views, "orders", |it| it.phase == ViewPhase::Following).await;
        assert_eq!(ask(views, "select n from orders.counts", &placed).await, ["1"]);
        assert_eq!(views.plan(&parse(ORDERS)).await.unwrap().change, "rebuild");
        views.replace(&parse(ORDERS)).await.unwrap();
        until(views, "orders", |it| it.phase == ViewPhase::Following).await;
        assert_eq!(ask(views, "select state from orders", &placed).await, ["placed"]);
    });
}

#[test]
fn without_its_code_a_view_says_so_and_answers_only_from_what_it_has() {
    let world = World::new();
    world.run(async |views| {
        let placed = world.append("order-1", "OrderPlaced", "{}").await;
        views.register(counting(1)).await.unwrap();
        ask(views, ALL, &placed).await;
        until(views, "counts", |it| it.phase == ViewPhase::Following).await;
    });
    world.run(async |views| {
        views.wait_until_known().await;
        let status = views.status("counts").await.unwrap();
        assert_eq!((status.phase, &*status.query), (ViewPhase::Failed, "category:order"));
        assert_eq!(status.code.as_deref(), Some("view_code_missing"));
        assert!(status.failure.unwrap().contains("logic 1"));
        let has = world.append("customer-1", "Registered", "{}").await;
        assert_eq!(ask(views, ALL, &has).await, ["order-1 | 1"]);
        let missing = world.append("order-1", "OrderPaid", "{}").await;
        let late = Some((missing.clone(), Duration::from_secs(20)));
        assert_eq!(code(views.ask(ALL, late, AskLimits::default()).await), "view_code_missing");
        // A paused view has no code either.
        views.pause("counts").await.unwrap();
        until(views, "counts", |it| it.code.as_deref() == Some("view_code_missing")).await;
        views.resume("counts").await.unwrap();
        // Another logic than that of the fact is no help, but becomes the view.
        views.register(counting(5)).await.unwrap();
        until(views, "counts", |it| it.phase == ViewPhase::Following).await;
        assert_eq!(ask(views, ALL, &missing).await, ["order-1 | 10"]);
    });
    // A process with other folders has never had the tables.
    let elsewhere = tempfile::tempdir().unwrap();
    let views = Views::open(world.store.clone(), elsewhere.path().join("views")).unwrap();
    pollster::block_on(views.run_until(async {
        views.wait_until_known().await;
        let asked = views.ask(ALL, None, AskLimits::default()).await;
        assert_eq!(code(asked), "view_code_missing");
        views.register(counting(5)).await.unwrap();
        let head = leftfold::EventStore::head(&*world.store).await.unwrap();
        assert_eq!(ask(&views, ALL, &head).await, ["order-1 | 10"]);
    }))
    .unwrap();
}

/// Registers a view, brings it an event, and returns its failure.
fn failure_of(view: Counts) -> String {
    let world = World::new();
    world.run(async |views| {
        world.append("order-1", "OrderPlaced", "{}").await;
        views.register(view).await.unwrap();
        let bad = world.append("order-2", "Bad", "{}").await;
        let status = until(views, "counts", |it| it.phase == ViewPhase::Failed).await;
        assert_eq!(status.code.as_deref(), Some("view_event_unusable"));
        // The event before is committed; other views go on.
        let counted = views.ask(ALL, None, AskLimits::default()).await.unwrap();
        assert_eq!(crate::support::lines(&counted), ["order-1 | 1"]);
        views.add(&parse(ORDERS), ViewStart::Beginning).await.unwrap();
        assert_eq!(ask(views, "select id from orders", &bad).await, ["1"]);
        status.failure.unwrap()
    })
}

fn bad(act: impl Fn(&Transaction<'_>) -> TableResult + Send + Sync + 'static) -> Counts {
    counts(move |tables, event| match event.event_type() {
        "Bad" => {
            add(tables, event, 1)?;
            act(tables)
        }
        _ => add(tables, event, 1),
    })
}

#[test]
fn a_view_stops_before_an_event_that_its_code_fails_on() {
    let failure = failure_of(bad(|_| Err("there is no such order".into())));
    for part in ["view counts", "event Bad at position 3 in stream order-2", "no such order"] {
        assert!(failure.contains(part), "{failure}");
    }
    assert!(!failure.contains("line"), "{failure}");
    let failure = failure_of(bad(|tables| {
        tables.execute("insert into absent values (1)", [])?;
        Ok(())
    }));
    assert!(failure.contains("no such table: absent"), "{failure}");
}

#[test]
fn a_panic_stays_with_its_view() {
    let failure = failure_of(bad(|_| panic!("a planted panic")));
    assert!(failure.contains("it panicked: a planted panic"), "{failure}");
}

#[test]
fn code_can_do_no_more_than_the_statements_of_a_file() {
    for (sql, reason) in [
        ("commit", "a transaction is not allowed"),
        ("attach database ':memory:' as x", "ATTACH is not allowed"),
        (
            "insert or replace into _view values ('cursor', '')",
            "_view belongs to the view's runner",
        ),
        ("create table x (a)", "sqlite_master belongs"),
        ("pragma user_version = 7", "PRAGMA is not allowed"),
        ("insert into counts values (random(), 1)", "the function random"),
    ] {
        let failure = failure_of(bad(move |tables| Ok(tables.execute_batch(sql)?)));
        assert!(failure.contains(reason), "{sql}: {failure}");
    }
    // SQLite rolls the transaction back when it interrupts a statement.
    let endless =
        "insert into counts with recursive n(i) as (select 1 union all select i + 1 from n)
                   select i, i from n where i < 0";
    let failure = failure_of(bad(move |tables| {
        _ = tables.execute(endless, []);
        _ = tables.execute("insert into counts values ('order-3', 1)", []);
        Ok(())
    }));
    assert!(failure.contains("did not come to an end"), "{failure}");
}

#[test]
fn events_that_fail_are_skipped_if_the_view_says_so() {
    let world = World::new();
    world.run(async |views| {
        let view = bad(|_| Err("there is no such order".into()));
        views.register(Counts { on_error: OnError::Skip, ..view }).await.unwrap();
        until(views, "counts", |it| it.phase == ViewPhase::Following).await;
        world.append("order-2", "Bad", "{}").await;
        let placed = world.append("order-1", "OrderPlaced", "{}").await;
        assert_eq!(ask(views, ALL, &placed).await, ["order-1 | 1"]);
        let errors = "select stream, type, reason from counts._errors";
        assert_eq!(ask(views, errors, &placed).await, ["order-2 | Bad | there is no such order"]);
    });
}

/// An error of SQLite about its file is no fault of the event, however the code wraps it.
#[test]
fn a_full_disk_is_retried() {
    #[derive(Debug, thiserror::Error)]
    #[error("it can't be stored")]
    struct Wrapped(#[source] rusqlite::Error);

    let world = World::new();
    world.run(async |views| {
        let is_full = Arc::new(AtomicBool::new(true));
        let of_view = is_full.clone();
        let view = counts(move |tables, event| match of_view.load(Ordering::Relaxed) {
            true => {
                let full = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_FULL);
                Err(Wrapped(rusqlite::Error::SqliteFailure(full, None)).into())
            }
            false => add(tables, event, 1),
        });
        let placed = world.append("order-1", "OrderPlaced", "{}").await;
        views.register(view).await.unwrap();
        let status = until(views, "counts", |it| it.phase == ViewPhase::Failed).await;
        assert_eq!(status.code.as_deref(), Some("view_rows_failed"));
        is_full.store(false, Ordering::Relaxed);
        until(views, "counts", |it| it.phase == ViewPhase::Following).await;
        assert_eq!(ask(views, ALL, &placed).await, ["order-1 | 1"]);
    });
}

#[test]
fn a_view_that_is_wrong_is_not_registered() {
    let world = World::new();
    world.run(async |views| {
        for (view, reason) in [
            (Counts { name: "Counts", ..counting(1) }, "can't be the name of a view"),
            (Counts { create: "create tabel t (a)", ..counting(1) }, "syntax error"),
            (Counts { create: "create table t (a); commit", ..counting(1) }, "a transaction"),
            (
                Counts { create: "create table t (a); insert into t values (1)", ..counting(1) },
                "rows come from events",
            ),
        ] {
            let error = views.register(view).await.unwrap_err();
            assert_eq!(error.code(), "view_invalid");
            assert!(error.to_string().contains(reason), "{error}");
        }
        assert!(views.list().await.is_empty());
    });
}

#[derive(Debug, Event)]
#[event(category = "order")]
enum Order {
    Ordered { product: String, quantity: i64 },
    Cancelled { product: String },
}

/// The same as [`BY_SQL`].
struct Stock;

impl TypedTableView for Stock {
    type Event = Order;

    fn name(&self) -> &str {
        "stock"
    }

    fn create(&self, tables: &Connection) -> TableResult {
        let sql = "create table stock (product text primary key, quantity integer, last integer)";
        Ok(tables.execute_batch(sql)?)
    }

    fn apply(&self, tables: &Transaction<'_>, event: Order, recorded: &Recorded) -> TableResult {
        match event {
            Order::Ordered { product, quantity } => {
                let mut add = tables.prepare_cached(
                    "insert into stock values (?1, ?2, ?3) on conflict (product)
                     do update set quantity = quantity + excluded.quantity, last = excluded.last",
                )?;
                add.execute((product, quantity, i64::try_from(recorded.version())?))?;
            }
            Order::Cancelled { product } => {
                tables.execute("delete from stock where product = ?1", [product])?;
            }
        }
        Ok(())
    }
}

const BY_SQL: &str = "
-- @view by_sql
-- @query type:Ordered,Cancelled
create table by_sql (product text primary key, quantity integer, last integer);
-- @on Ordered
insert into by_sql values (:data.product, :data.quantity, :version) on conflict (product)
do update set quantity = quantity + excluded.quantity, last = excluded.last;
-- @on Cancelled
delete from by_sql where product = :data.product;
";

fn an_order() -> impl Strategy<Value = Order> {
    let product = || (0..4u8).prop_map(|number| format!("p{number}"));
    prop_oneof![
        4 => (product(), -9..9i64).prop_map(|(product, quantity)| Order::Ordered { product, quantity }),
        1 => product().prop_map(|product| Order::Cancelled { product }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn a_view_in_rust_has_the_rows_of_one_by_sql(
        orders in proptest::collection::vec(an_order(), 1..40), live in 0..40usize,
    ) {
        let world = World::new();
        let events: Vec<NewEvent> = orders.iter().map(|order| order.to_new().unwrap()).collect();
        let (stored, live) = events.split_at(live.min(events.len()));
        world.run(async |views| {
            for event in stored {
                world.append_event("order-1", event.clone()).await;
            }
            views.register(Stock).await.unwrap();
            views.add(&parse(BY_SQL), ViewStart::Beginning).await.unwrap();
            for event in live {
                world.append_event("order-1", event.clone()).await;
            }
            let end = leftfold::EventStore::head(&*world.store).await.unwrap();
            let rows = ask(views, "select * from stock order by product", &end).await;
            assert_eq!(rows, ask(views, "select * from by_sql order by product", &end).await);
        });
    }
}
