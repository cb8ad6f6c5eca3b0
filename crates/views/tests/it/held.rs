//! A view that is held or fails delays neither appends nor the other views.

use leftfold::Embedded;
use leftfold_views::{AskLimits, ViewPhase, ViewStart, Views};

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

#[test]
fn a_view_that_is_held_delays_neither_appends_nor_other_views() {
    let world = World::new();
    let views = world.views();
    let running = views.clone();
    std::thread::spawn(move || pollster::block_on(running.run()));
    pollster::block_on(async {
        for name in ["held", "follows"] {
            views.add(&parse(&named(name)), ViewStart::Beginning).await.unwrap();
        }
        let first = world.append("order-1", "OrderPlaced", "{}").await;
        assert_eq!(ask(&views, "select id from held.orders", &first).await, ["1"]);
        // Its next commit waits for this lock.
        let lock = rusqlite::Connection::open(world.folder().join("held.0.sqlite")).unwrap();
        lock.execute_batch("begin immediate").unwrap();
        do_all(&world, &views).await;
        // It answers, as it was.
        let held = views.ask("select id from held.orders", None, AskLimits::default()).await;
        assert_eq!(lines(&held.unwrap()), ["1"]);
        // All of it was done before the held commit has given up, and not behind it.
        assert_eq!(views.status("held").await.unwrap().failure, None);
        lock.execute_batch("rollback").unwrap();
        until(&views, "held", |it| it.phase == ViewPhase::Following).await;
        let last = world.append("order-4", "OrderPlaced", "{}").await;
        let ids = ask(&views, "select id from held.orders order by id", &last).await;
        assert_eq!(ids, ["1", "2", "3", "4"]);
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
