//! A view that is held or fails delays neither appends nor the other views.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};

use leftfold::{Embedded, Query, Recorded};
use leftfold_views::rusqlite::{Connection, Transaction};
use leftfold_views::{AskLimits, TableResult, TableView, ViewPhase, ViewStart, Views};

use crate::host::{ORDERS, World, ask, parse, until};
use crate::support::lines;

/// Returns the view of orders under another name.
fn named(name: &str) -> String {
    ORDERS.replace("view orders", &format!("view {name}"))
}

/// Appends, and adds, replaces and removes views: all of it comes to its end, and the views follow.
async fn do_all(world: &World, views: &Views<Embedded>) {
    let last = world.append("order-2", "OrderPlaced", "{}").await;
    assert_eq!(ask(views, "select id from follows.orders order by id", &last).await, ["1", "2"]);
    views.add(&parse(&named("added")), ViewStart::Beginning).await.unwrap();
    assert_eq!(ask(views, "select id from added.orders order by id", &last).await, ["1", "2"]);
    let other = named("follows").replace("'placed'", "'new'");
    views.replace(&parse(&other)).await.unwrap();
    until(views, "follows", |it| it.phase == ViewPhase::Following).await;
    let last = world.append("order-3", "OrderPlaced", "{}").await;
    let sql = "select id, state from follows.orders order by id";
    assert_eq!(ask(views, sql, &last).await, ["1 | new", "2 | new", "3 | new"]);
    views.remove("added").await.unwrap();
}

/// A view in Rust that is held until the test lets it go: by an event of the type `Held`, or while it makes its tables.
struct Held {
    name: &'static str,
    holds_tables: bool,
    /// How often its tables were made; the first time is a trial in memory.
    made: AtomicUsize,
    reached: Sender<()>,
    /// Ends when the test drops its end.
    released: Mutex<Receiver<()>>,
}

/// The end of the test: what is received when the view is held, and what lets it go when it is dropped.
struct Hold {
    reached: Receiver<()>,
    _release: Sender<()>,
}

impl Held {
    fn new(name: &'static str, holds_tables: bool) -> (Self, Hold) {
        let ((reached, of_test), (release, released)) = (channel(), channel());
        let (made, released) = (AtomicUsize::new(0), Mutex::new(released));
        let held = Held { name, holds_tables, made, reached, released };
        (held, Hold { reached: of_test, _release: release })
    }

    fn hold(&self) {
        self.reached.send(()).unwrap();
        _ = self.released.lock().unwrap().recv();
    }
}

impl TableView for Held {
    fn name(&self) -> &str {
        self.name
    }

    fn query(&self) -> Query {
        Query::category("order")
    }

    fn create(&self, tables: &Connection) -> TableResult {
        if self.made.fetch_add(1, Ordering::Relaxed) == 1 && self.holds_tables {
            self.hold();
        }
        Ok(tables.execute_batch("create table orders (id text, state text)")?)
    }

    fn apply(&self, tables: &Transaction<'_>, event: &Recorded) -> TableResult {
        match event.event_type() {
            "Held" => self.hold(),
            _ => {
                let id = event.stream().trim_start_matches("order-");
                tables.execute("insert into orders values (?1, 'rust')", [id])?;
            }
        }
        Ok(())
    }
}

/// Runs views on a thread of their own while something is done with them.
fn run_beside(world: &World, doing: impl AsyncFnOnce(&Views<Embedded>)) {
    let views = world.views();
    let running = views.clone();
    std::thread::spawn(move || pollster::block_on(running.run()));
    pollster::block_on(async {
        views.ready().await;
        doing(&views).await;
    });
}

/// Nothing lets the view go before all else is done: what waited for it would wait for ever.
#[test]
fn a_view_that_is_held_delays_neither_appends_nor_other_views() {
    let world = World::new();
    run_beside(&world, async |views| {
        let (held, hold) = Held::new("held", false);
        views.register(held).await.unwrap();
        views.add(&parse(&named("follows")), ViewStart::Beginning).await.unwrap();
        let first = world.append("order-1", "OrderPlaced", "{}").await;
        assert_eq!(ask(views, "select id from held.orders", &first).await, ["1"]);
        world.append("order-0", "Held", "{}").await;
        hold.reached.recv().unwrap();
        do_all(&world, views).await;
        // It answers, as it was.
        let held = views.ask("select id from held.orders", None, AskLimits::default()).await;
        assert_eq!(lines(&held.unwrap()), ["1"]);
        // Its status waits for nothing, and says that it is behind.
        let status = views.status("held").await.unwrap();
        assert_eq!(status.phase, ViewPhase::Following);
        assert!(status.lag_micros.unwrap() > 0, "{status:?}");
        drop(hold);
        let last = world.append("order-4", "OrderPlaced", "{}").await;
        let ids = ask(views, "select id from held.orders order by id", &last).await;
        assert_eq!(ids, ["1", "2", "3", "4"]);
    });
}

#[test]
fn a_view_is_building_until_it_has_caught_up() {
    let world = World::new();
    run_beside(&world, async |views| {
        world.append("order-0", "Held", "{}").await;
        let (held, hold) = Held::new("held", false);
        views.register(held).await.unwrap();
        hold.reached.recv().unwrap();
        assert_eq!(views.status("held").await.unwrap().phase, ViewPhase::Building);
        drop(hold);
        until(views, "held", |it| it.phase == ViewPhase::Following).await;
    });
}

/// A file that another process has locked is opened no faster than this one.
#[test]
fn a_view_whose_tables_are_opened_slowly_delays_neither_appends_nor_other_views() {
    let world = World::new();
    run_beside(&world, async |views| {
        views.add(&parse(&named("follows")), ViewStart::Beginning).await.unwrap();
        world.append("order-1", "OrderPlaced", "{}").await;
        let (held, hold) = Held::new("held", true);
        let registered = views.register(held);
        let registering = std::thread::spawn(move || pollster::block_on(registered));
        // The definition is appended; its tables are made where files are opened.
        hold.reached.recv().unwrap();
        do_all(&world, views).await;
        drop(hold);
        registering.join().unwrap().unwrap();
        let last = world.append("order-4", "OrderPlaced", "{}").await;
        let ids = ask(views, "select id from held.orders order by id", &last).await;
        assert_eq!(ids, ["1", "2", "3", "4"]);
    });
}

/// What a view answered while it was filled, it answers until the tables of its new definition have caught up.
#[test]
fn a_view_that_is_replaced_before_it_has_caught_up_goes_on_answering() {
    let world = World::new();
    run_beside(&world, async |views| {
        for (stream, event_type) in
            [("order-1", "OrderPlaced"), ("order-2", "OrderPlaced"), ("order-2", "OrderLost")]
        {
            world.append(stream, event_type, "{}").await;
        }
        let lost = "-- @on OrderLost\ninsert into orders values (dec('x'), '');\n";
        let unfinished = format!("{}{lost}", named("v"));
        views.add(&parse(&unfinished), ViewStart::Beginning).await.unwrap();
        until(views, "v", |it| it.phase == ViewPhase::Failed).await;
        let all = "select id, state from v.orders order by id";
        let old = views.ask(all, None, AskLimits::default()).await.unwrap();
        assert_eq!(lines(&old), ["1 | placed", "2 | placed"]);
        // The new tables can't catch up before they are let go.
        world.append("order-0", "Held", "{}").await;
        let (held, hold) = Held::new("v", false);
        views.register(held).await.unwrap();
        hold.reached.recv().unwrap();
        let status = views.status("v").await.unwrap();
        assert!(status.replacing, "{status:?}");
        let now = views.ask(all, None, AskLimits::default()).await.unwrap();
        assert_eq!(lines(&now), ["1 | placed", "2 | placed"]);
        // So it is for a view that stands still.
        views.pause("v").await.unwrap();
        drop(hold);
        until(views, "v", |it| it.phase == ViewPhase::Paused).await;
        let now = views.ask(all, None, AskLimits::default()).await.unwrap();
        assert_eq!(lines(&now), ["1 | placed", "2 | placed"]);
        views.resume("v").await.unwrap();
        until(views, "v", |it| it.phase == ViewPhase::Following).await;
        let last = world.append("order-3", "OrderPlaced", "{}").await;
        let rows = ask(views, all, &last).await;
        assert_eq!(rows, ["1 | rust", "2 | rust", "2 | rust", "3 | rust"]);
        world.wait_for_one_file("v").await;
    });
}

#[test]
fn a_view_that_fails_delays_neither_appends_nor_other_views() {
    let world = World::new();
    world.run(async |views| {
        world.append("order-1", "OrderPlaced", "{}").await;
        let failing = named("failing").replace("'placed'", "dec('x')");
        views.add(&parse(&named("follows")), ViewStart::Beginning).await.unwrap();
        views.add(&parse(&failing), ViewStart::Beginning).await.unwrap();
        until(views, "failing", |it| it.phase == ViewPhase::Failed).await;
        do_all(&world, views).await;
        assert_eq!(views.status("failing").await.unwrap().phase, ViewPhase::Failed);
    });
}
