//! Views of a store: added, followed, asked, replaced and removed while it runs.

use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{Either, select};
use leftfold::{Append, Coded, Cursor, Embedded, EventStore, NewEvent, Options};
use leftfold_views::{AskLimits, Definition, ViewPhase, ViewStart, ViewStatus, Views, ViewsError};

use crate::support::lines;

pub(crate) const ORDERS: &str = "
-- @view orders
-- @query category:order
create table orders (id text primary key, state text);
-- @on OrderPlaced
insert into orders values (:stream_id, 'placed');
-- @on OrderPaid
update orders set state = 'paid' where id = :stream_id;
";

pub(crate) struct World {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) store: Arc<Embedded>,
}

impl World {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Embedded::open(dir.path().join("store"), Options::default()).unwrap();
        World { dir, store: Arc::new(store) }
    }

    pub(crate) fn views(&self) -> Views<Embedded> {
        Views::open(self.store.clone(), self.folder()).unwrap()
    }

    /// Returns the folder of the tables.
    pub(crate) fn folder(&self) -> PathBuf {
        self.dir.path().join("views")
    }

    /// Returns the names of the files with the tables of a view.
    pub(crate) fn files(&self, view: &str) -> Vec<String> {
        let files = self.dir.path().join("views").read_dir().unwrap();
        let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.starts_with(view) && name.ends_with(".sqlite")).collect()
    }

    /// Waits until a view has one file: those of its tables before are removed beside what else is done.
    pub(crate) async fn wait_for_one_file(&self, view: &str) {
        while self.files(view).len() > 1 {
            yield_once().await;
        }
    }

    /// Runs views while something is done with them, once those that the store names are known.
    pub(crate) fn run<T>(&self, doing: impl AsyncFnOnce(&Views<Embedded>) -> T) -> T {
        let views = self.views();
        pollster::block_on(async {
            let doing = Box::pin(async {
                views.ready().await;
                doing(&views).await
            });
            match select(Box::pin(views.run()), doing).await {
                Either::Left((ended, _)) => panic!("the views have ended: {ended:?}"),
                Either::Right((done, _)) => done,
            }
        })
    }

    pub(crate) async fn append(&self, stream: &str, event_type: &str, data: &str) -> Cursor {
        self.append_event(stream, NewEvent::json(event_type, data.to_owned())).await
    }

    pub(crate) async fn append_event(&self, stream: &str, event: NewEvent) -> Cursor {
        self.store.append(Append::new().event(stream, event)).await.unwrap().cursor
    }
}

pub(crate) fn parse(text: &str) -> Definition {
    Definition::parse(text).unwrap()
}

pub(crate) async fn ask(views: &Views<Embedded>, sql: &str, at_least: &Cursor) -> Vec<String> {
    let at_least = Some((at_least.clone(), Duration::from_secs(20)));
    lines(&views.ask(sql, at_least, AskLimits::default()).await.unwrap())
}

pub(crate) fn code<T: std::fmt::Debug>(answer: Result<T, ViewsError>) -> &'static str {
    answer.unwrap_err().code()
}

/// Waits until a view's status is as wanted: each status is asked for anew.
pub(crate) async fn until(
    views: &Views<Embedded>,
    name: &str,
    wanted: impl Fn(&ViewStatus) -> bool,
) -> ViewStatus {
    loop {
        let status = views.status(name).await.unwrap();
        if wanted(&status) {
            return status;
        }
        yield_once().await;
    }
}

pub(crate) fn yield_once() -> impl Future<Output = ()> {
    let mut polled = false;
    std::future::poll_fn(move |context| {
        context.waker().wake_by_ref();
        match std::mem::replace(&mut polled, true) {
            true => std::task::Poll::Ready(()),
            false => std::task::Poll::Pending,
        }
    })
}

#[test]
fn a_view_is_plugged_in_followed_asked_and_removed() {
    let world = World::new();
    world.run(async |views| {
        world.append("order-1", "OrderPlaced", "{}").await;
        let added = views.add(&parse(ORDERS), ViewStart::Beginning).await.unwrap();
        assert_eq!(ask(views, "select * from orders", &added.cursor).await, ["1 | placed"]);
        let paid = world.append("order-1", "OrderPaid", "{}").await;
        assert_eq!(ask(views, "select * from orders.orders", &paid).await, ["1 | paid"]);
        let status = until(views, "orders", |it| it.phase == ViewPhase::Following).await;
        assert_eq!((status.lag_micros, &*status.query), (Some(0), "category:order"));
        assert_eq!(code(views.add(&parse(ORDERS), ViewStart::Beginning).await), "view_exists");
        views.remove("orders").await.unwrap();
        assert_eq!(
            code(views.ask("select * from orders", None, AskLimits::default()).await),
            "view_unknown"
        );
        assert_eq!(code(views.remove("orders").await), "view_unknown");
        assert!(views.list().await.is_empty());
    });
}

/// On another thread than the run: an added view has tables.
#[test]
fn an_added_view_can_be_asked_at_once() {
    let world = World::new();
    let views = world.views();
    let running = views.clone();
    std::thread::spawn(move || pollster::block_on(running.run()));
    pollster::block_on(async {
        for at in 0..20 {
            let text = ORDERS.replace("view orders", &format!("view orders_{at}"));
            views.add(&parse(&text), ViewStart::Beginning).await.unwrap();
            let sql = format!("select id from orders_{at}.orders");
            views.ask(&sql, None, AskLimits::default()).await.unwrap();
            views.remove(&format!("orders_{at}")).await.unwrap();
        }
    });
}

/// What is left of a removed view is removed beside what else is done; it is not the new view's.
#[test]
fn a_view_of_the_name_of_a_removed_one_keeps_its_files() {
    let world = World::new();
    let views = world.views();
    let running = views.clone();
    std::thread::spawn(move || pollster::block_on(running.run()));
    // The folder takes a while to be looked through.
    std::fs::create_dir_all(world.folder()).unwrap();
    for at in 0..5_000 {
        std::fs::write(world.folder().join(format!("other.{at}")), "").unwrap();
    }
    pollster::block_on(async {
        for at in 0..50 {
            views.add(&parse(ORDERS), ViewStart::Beginning).await.unwrap();
            let last = world.append(&format!("order-{at}"), "OrderPlaced", "{}").await;
            let rows = ask(&views, "select count(*) from orders", &last).await;
            assert_eq!(rows, [(at + 1).to_string()]);
            views.remove("orders").await.unwrap();
        }
    });
}

/// Definitions are facts: they survive the process, and the tables go on where they were.
#[test]
fn views_survive_a_restart() {
    let world = World::new();
    let last = world.run(async |views| {
        views.add(&parse(ORDERS), ViewStart::Beginning).await.unwrap();
        let last = world.append("order-1", "OrderPlaced", "{}").await;
        ask(views, "select * from orders", &last).await;
        last
    });
    assert_eq!(world.files("orders"), ["orders.0.sqlite"]);
    world.run(async |views| {
        views.wait_until_known().await;
        assert_eq!(ask(views, "select id from orders", &last).await, ["1"]);
        until(views, "orders", |it| it.phase == ViewPhase::Following).await;
    });
}

/// The old tables answer until the new ones have caught up.
#[test]
fn a_replaced_view_is_built_beside_the_old_one() {
    let world = World::new();
    world.run(async |views| {
        views.add(&parse(ORDERS), ViewStart::Beginning).await.unwrap();
        let last = world.append("order-1", "OrderPlaced", "{}").await;
        ask(views, "select 1 from orders", &last).await;
        let same = ORDERS.replace("-- @on OrderPaid", "-- a remark\n-- @on OrderPaid");
        assert_eq!(views.plan(&parse(&same)).await.unwrap().change, "keep");
        views.replace(&parse(&same)).await.unwrap();
        let other = ORDERS.replace("'placed'", "'new'");
        let plan = views.plan(&parse(&other)).await.unwrap();
        assert_eq!((&*plan.change, plan.events, plan.more), ("rebuild", 1, false));
        let replaced = views.replace(&parse(&other)).await.unwrap();
        let answer = loop {
            let answer = ask(views, "select state from orders", &replaced.cursor).await;
            assert!(answer == ["placed"] || answer == ["new"], "{answer:?}");
            if answer == ["new"] {
                break answer;
            }
            // A question that is answered at once leaves no turn to the run, which is on the same thread.
            views.status("orders").await.unwrap();
        };
        assert_eq!(answer, ["new"]);
        // A view that does not come to the end answers as before.
        let failing = ORDERS.replace("'placed'", "dec_add('x', '1')");
        views.replace(&parse(&failing)).await.unwrap();
        let status = until(views, "orders", |it| it.phase == ViewPhase::Failed).await;
        assert_eq!(status.code.as_deref(), Some("view_event_unusable"));
        assert!(status.failure.unwrap().contains("no decimal"));
        let answer =
            views.ask("select state from orders", None, AskLimits::default()).await.unwrap();
        assert_eq!(lines(&answer), ["new"]);
        assert_eq!(
            code(views.replace(&parse(&ORDERS.replace("view orders", "view none"))).await),
            "view_unknown"
        );
    });
}

/// Old tables are followed until new ones answer, which then have all rows that the old ones had.
#[test]
fn rows_do_not_go_back_while_a_view_is_replaced_under_load() {
    let world = World::new();
    world.run(async |views| {
        views.add(&parse(ORDERS), ViewStart::Beginning).await.unwrap();
        let (mut order, mut last) = (0, 0);
        for state in ["one", "two", "three", "four"] {
            let changed = ORDERS.replace("'placed'", &format!("'{state}'"));
            views.replace(&parse(&changed)).await.unwrap();
            let mut is_replacing = true;
            while is_replacing {
                // Looked at first, so that the last question is one to the new tables.
                is_replacing = views.status("orders").await.unwrap().replacing;
                for _ in 0..3 {
                    world.append(&format!("order-{order}"), "OrderPlaced", "{}").await;
                    order += 1;
                    let sql = "select count(*) from orders";
                    let answer = views.ask(sql, None, AskLimits::default()).await.unwrap();
                    let count = lines(&answer)[0].parse::<u64>().unwrap();
                    assert!(count >= last, "{count} rows after {last}");
                    last = count;
                }
            }
        }
    });
}

#[test]
fn a_paused_view_stands_still_and_a_reset_one_begins_anew() {
    let world = World::new();
    world.run(async |views| {
        views.add(&parse(ORDERS), ViewStart::Beginning).await.unwrap();
        let first = world.append("order-1", "OrderPlaced", "{}").await;
        assert_eq!(ask(views, "select id from orders", &first).await, ["1"]);
        views.pause("orders").await.unwrap();
        until(views, "orders", |it| it.phase == ViewPhase::Paused).await;
        let second = world.append("order-2", "OrderPlaced", "{}").await;
        let answer = views.ask("select id from orders", None, AskLimits::default()).await.unwrap();
        assert_eq!(lines(&answer), ["1"]);
        let late = views.ask(
            "select 1 from orders",
            Some((second.clone(), Duration::from_millis(50))),
            AskLimits::default(),
        );
        assert_eq!(code(late.await), "view_late");
        views.resume("orders").await.unwrap();
        assert_eq!(ask(views, "select id from orders order by id", &second).await, ["1", "2"]);
        views.reset("orders").await.unwrap();
        until(views, "orders", |it| it.phase == ViewPhase::Following).await;
        assert_eq!(ask(views, "select id from orders order by id", &second).await, ["1", "2"]);
    });
}

/// Whether its run is about to end or has ended, and another has not begun, says nothing to those who wait.
#[test]
fn a_view_of_which_no_run_goes_on_is_late_for_those_who_wait() {
    let world = World::new();
    let views = world.run(async |views| {
        views.add(&parse(ORDERS), ViewStart::Beginning).await.unwrap();
        let first = world.append("order-1", "OrderPlaced", "{}").await;
        assert_eq!(ask(views, "select id from orders", &first).await, ["1"]);
        views.clone()
    });
    pollster::block_on(async {
        let second = world.append("order-2", "OrderPlaced", "{}").await;
        let patience = Duration::from_millis(50);
        let at_least = Some((second.clone(), patience));
        let late = views.ask("select id from orders", at_least, AskLimits::default()).await;
        assert_eq!(code(late), "view_late");
        assert_eq!(code(views.wait_for_cursor("orders", &second, patience).await), "view_late");
    });
}

#[test]
fn a_view_begins_where_it_is_told_and_views_are_joined() {
    let world = World::new();
    world.run(async |views| {
        world.append("order-1", "OrderPlaced", "{}").await;
        let now = ViewStart::now(&*world.store).await.unwrap();
        views.add(&parse(&ORDERS.replace("view orders", "view late_orders").replace("table orders", "table late").replace("into orders", "into late").replace("update orders", "update late")), now).await.unwrap();
        views.add(&parse(ORDERS), ViewStart::Beginning).await.unwrap();
        let last = world.append("order-2", "OrderPlaced", "{}").await;
        let sql = "select orders.id, late.id from orders left join late on late.id = orders.id order by 1";
        assert_eq!(ask(views, sql, &last).await, ["1 | null", "2 | 2"]);
    });
}

/// A definition that is wrong is refused before it becomes a fact.
#[test]
fn a_wrong_definition_changes_nothing() {
    let world = World::new();
    world.run(async |views| {
        let wrong = parse(&ORDERS.replace("set state", "set stat"));
        assert_eq!(code(views.add(&wrong, ViewStart::Beginning).await), "view_sql_invalid");
        assert!(views.list().await.is_empty());
    });
}

/// An event that the old definition skipped stops a new one while it is built, and the old one goes on.
#[test]
fn a_rebuild_stops_where_the_view_would_skip() {
    let world = World::new();
    world.run(async |views| {
        let skipping = ORDERS.replace("-- @query", "-- @on_error skip\n-- @query");
        views.add(&parse(&skipping), ViewStart::Beginning).await.unwrap();
        world.append("order-1", "OrderPlaced", "{}").await;
        let last = world.append("order-1", "OrderPlaced", "{}").await;
        assert_eq!(ask(views, "select count(*) from orders._errors", &last).await, ["1"]);
        views.replace(&parse(&skipping.replace("'placed'", "'new'"))).await.unwrap();
        let status = until(views, "orders", |it| it.phase == ViewPhase::Failed).await;
        assert!(status.failure.unwrap().contains("UNIQUE constraint failed"));
        let answer =
            views.ask("select state from orders", None, AskLimits::default()).await.unwrap();
        assert_eq!(lines(&answer), ["placed"]);
        // The tables before go on.
        let next = world.append("order-2", "OrderPlaced", "{}").await;
        assert_eq!(ask(views, "select count(*) from orders", &next).await, ["2"]);
    });
}

#[test]
fn a_table_of_two_views_is_named_with_its_view() {
    let world = World::new();
    world.run(async |views| {
        let other = ORDERS.replace("@view orders", "@view another");
        views.add(&parse(ORDERS), ViewStart::Beginning).await.unwrap();
        views
            .add(
                &parse(
                    &other
                        .replace("table orders", "table things")
                        .replace("into orders", "into things")
                        .replace("update orders", "update things"),
                ),
                ViewStart::Beginning,
            )
            .await
            .unwrap();
        let third = ORDERS
            .replace("@view orders", "@view third")
            .replace("table orders", "table things")
            .replace("into orders", "into things")
            .replace("update orders", "update things");
        views.add(&parse(&third), ViewStart::Beginning).await.unwrap();
        let last = world.append("order-1", "OrderPlaced", "{}").await;
        let asked = views.ask("select * from things", None, AskLimits::default()).await;
        assert!(
            asked.as_ref().unwrap_err().to_string().contains("another, third have a table things"),
            "{asked:?}"
        );
        assert_eq!(code(asked), "view_query_invalid");
        assert_eq!(ask(views, "select id from third.things", &last).await, ["1"]);
    });
}

/// The log is joined with views, and its rights are told.
#[test]
fn the_log_is_asked_together_with_views() {
    let world = World::new();
    world.run(async |views| {
        views.add(&parse(ORDERS), ViewStart::Beginning).await.unwrap();
        world.append("cart-1", "OrderPlaced", "{}").await;
        let last = world.append("order-1", "OrderPlaced", "{}").await;
        let sql = "select o.id, e.type from orders o join events e on e.stream_id = o.id where e.category = 'order'";
        assert_eq!(ask(views, sql, &last).await, ["1 | OrderPlaced"]);
        let read = views.views_of(sql).unwrap();
        let read: Vec<_> = read.into_iter().map(|(name, query)| format!("{name} {query}")).collect();
        assert_eq!(read, ["orders category:order", "events category:order"]);
        let alone = "select count(*) from events where stream = 'cart-1'";
        assert_eq!(ask(views, alone, &last).await, ["1"]);
        let answer = views.ask(alone, None, AskLimits::default()).await.unwrap();
        assert_eq!(answer.cursors, [("events".to_owned(), Some(world.store.head().await.unwrap()))]);
        assert_eq!(views.views_of(alone).unwrap().len(), 1);
        // Servers ask on any of their threads.
        let is_send = |_: &(dyn Send + '_)| {};
        is_send(&views.ask(alone, None, AskLimits::default()));
    });
}

/// Of two changes at the same moment, one is told that the other came first.
#[test]
fn changes_at_the_same_moment_are_told_apart() {
    let world = World::new();
    world.run(async |views| {
        views.add(&parse(ORDERS), ViewStart::Beginning).await.unwrap();
        loop {
            let both = futures_util::future::join(views.pause("orders"), views.resume("orders"));
            let answers: [Result<_, ViewsError>; 2] = both.await.into();
            let refused = answers.iter().filter_map(|answer| answer.as_ref().err());
            let refused: Vec<_> = refused.map(Coded::code).collect();
            // If the first is durable before the second has looked, both succeed.
            assert!(refused.is_empty() || refused == ["view_changed"], "{refused:?}");
            if !refused.is_empty() {
                break;
            }
        }
    });
    let opening = ViewsError::Opening { view: "orders".to_owned() };
    assert!(opening.code() == "view_opening" && opening.can_retry());
}

#[test]
fn a_store_has_so_many_views_and_no_more() {
    let world = World::new();
    world.run(async |views| {
        let named = |name: usize| parse(&ORDERS.replace("view orders", &format!("view v{name}")));
        for name in 0..leftfold_views::MAX_VIEWS {
            views.add(&named(name), ViewStart::Beginning).await.unwrap();
        }
        let more = views.add(&named(leftfold_views::MAX_VIEWS), ViewStart::Beginning).await;
        assert_eq!(code(more), "views_too_many");
    });
}
