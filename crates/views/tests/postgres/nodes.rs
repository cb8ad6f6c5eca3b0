//! Several processes run the views of a store: one of them fills the tables in PostgreSQL, the others stand by.

use futures_util::future::{AbortHandle, Either, abortable, join, select};
use leftfold::{Coded, Cursor, Embedded};
use leftfold_views::{Definition, ViewPhase, ViewStart, Views};

use crate::failures::{COUNTS, append, equals_a_rebuild, reach};
use crate::support::{Database, PATIENCE, World, until, yield_once};

/// A host of the views of a store.
struct Node {
    views: Views<Embedded>,
    stop: AbortHandle,
}

/// Runs two hosts over one store and one database, each with connections of its own.
fn run_two(database: &Database, doing: impl AsyncFnOnce(&World, &Node, &Node)) {
    let world = World::new(&database.url);
    let (one, two) = (world.views("one"), world.views("two"));
    let ((run_one, stop_one), (run_two, stop_two)) = (abortable(one.run()), abortable(two.run()));
    let nodes = [(&one, stop_one), (&two, stop_two)];
    let [one_node, two_node] = nodes.map(|(views, stop)| Node { views: views.clone(), stop });
    let doing = async {
        join(one_node.views.ready(), two_node.views.ready()).await;
        doing(&world, &one_node, &two_node).await;
    };
    let runs = Box::pin(join(run_one, run_two));
    pollster::block_on(async {
        if let Either::Right((ended, _)) = select(Box::pin(doing), runs).await {
            panic!("the views have ended: {ended:?}");
        }
    });
}

async fn phase_of(node: &Node) -> Option<ViewPhase> {
    Some(node.views.status("counts").await.ok()?.phase)
}

/// Waits until one node fills the tables and the other stands by; returns them in this order.
async fn roles<'a>(one: &'a Node, two: &'a Node) -> (&'a Node, &'a Node) {
    loop {
        match (phase_of(one).await, phase_of(two).await) {
            (Some(ViewPhase::Following), Some(ViewPhase::Standby)) => return (one, two),
            (Some(ViewPhase::Standby), Some(ViewPhase::Following)) => return (two, one),
            _ => yield_once().await,
        }
    }
}

async fn reach_on_both(one: &Node, two: &Node, cursor: &Cursor) {
    for node in [one, two] {
        node.views.wait_for_cursor("counts", cursor, PATIENCE).await.unwrap();
    }
}

#[test]
fn one_node_fills_the_tables_and_the_other_takes_over() {
    let database = Database::new();
    run_two(&database, async |world, one, two| {
        let definition = world.definition(COUNTS);
        one.views.add(&definition, ViewStart::Beginning).await.unwrap();
        let (writer, standby) = roles(one, two).await;
        for from in 0..5 {
            let last = append(world, from * 20, 20).await;
            reach_on_both(writer, standby, &last).await;
        }
        let status = standby.views.status("counts").await.unwrap();
        assert_eq!((status.phase, status.code), (ViewPhase::Standby, None));
        assert_eq!(status.query, "category:count");
        let ahead = append(world, 100, 20).await;
        // The run is dropped like that of a process that is killed: some of these events are on their way.
        writer.stop.abort();
        until(&standby.views, "counts", |it| it.phase == ViewPhase::Following).await;
        standby.views.wait_for_cursor("counts", &ahead, PATIENCE).await.unwrap();
        assert_eq!(database.reader.query("select count(*) from counts.entries"), ["120"]);
        equals_a_rebuild(world, &standby.views, &database.reader).await;
    });
}

#[test]
fn a_node_that_loses_its_lease_stands_by() {
    let database = Database::new();
    run_two(&database, async |world, one, two| {
        one.views.add(&world.definition(COUNTS), ViewStart::Beginning).await.unwrap();
        for from in 0..4 {
            roles(one, two).await;
            let last = append(world, from * 20, 20).await;
            reach_on_both(one, two, &last).await;
            append(world, 1_000 + from * 20, 20).await;
            let end = "select count(pg_terminate_backend(pid)) from pg_locks
                       where locktype = 'advisory' and objsubid = 1
                       and database = (select oid from pg_database where datname = current_database())";
            assert_eq!(database.reader.query(end), ["1"], "one session has the lease");
        }
        let (writer, standby) = roles(one, two).await;
        let last = append(world, 2_000, 20).await;
        reach_on_both(writer, standby, &last).await;
        standby.stop.abort();
        equals_a_rebuild(world, &writer.views, &database.reader).await;
    });
}

#[test]
fn a_view_is_replaced_paused_and_removed_while_two_nodes_run_it() {
    let database = Database::new();
    let reader = &database.reader;
    run_two(&database, async |world, one, two| {
        one.views.add(&world.definition(COUNTS), ViewStart::Beginning).await.unwrap();
        let (writer, standby) = roles(one, two).await;
        let last = append(world, 0, 100).await;
        reach_on_both(writer, standby, &last).await;

        let other = COUNTS.replace("1, :data.n", "100, :data.n");
        standby.views.replace(&world.definition(&other)).await.unwrap();
        let last = append(world, 100, 20).await;
        for node in [one, two] {
            until(&node.views, "counts", |it| !it.replacing && it.failure.is_none()).await;
        }
        reach_on_both(writer, standby, &last).await;
        assert_eq!(reader.query("select count(*) from counts.counts where n >= 100"), ["7"]);
        assert_eq!(reader.query("select count(*) from counts.entries"), ["120"]);
        roles(one, two).await;
        assert_eq!(reader.schemas(), ["counts"]);

        standby.views.pause("counts").await.unwrap();
        for node in [one, two] {
            until(&node.views, "counts", |it| it.phase == ViewPhase::Paused).await;
        }
        let last = append(world, 120, 20).await;
        assert_eq!(reader.query("select count(*) from counts.entries"), ["120"]);
        writer.views.resume("counts").await.unwrap();
        roles(one, two).await;
        for node in [one, two] {
            reach(&node.views, "counts", &last).await;
        }
        assert_eq!(reader.query("select count(*) from counts.entries"), ["140"]);

        standby.views.remove("counts").await.unwrap();
        while !reader.schemas().is_empty() || writer.views.status("counts").await.is_ok() {
            yield_once().await;
        }
    });
}

/// A node that waits follows its copy in a file until the node that has the lease publishes the new tables.
#[test]
fn a_view_moves_to_postgresql_while_two_nodes_run_it() {
    let database = Database::new();
    run_two(&database, async |world, one, two| {
        let local = Definition::parse(COUNTS).unwrap();
        one.views.add(&local, ViewStart::Beginning).await.unwrap();
        let last = append(world, 0, 50).await;
        reach(&one.views, "counts", &last).await;
        one.views.replace(&world.definition(COUNTS)).await.unwrap();
        let (writer, standby) = roles(one, two).await;
        let last = append(world, 50, 50).await;
        reach_on_both(writer, standby, &last).await;
        assert_eq!(database.reader.query("select count(*) from counts.entries"), ["100"]);
        // It asks its copy until it has seen the new tables answer.
        until(&standby.views, "counts", |it| !it.replacing).await;
        let refused = standby.views.ask("select * from counts", None, Default::default()).await;
        assert_eq!(refused.unwrap_err().code(), "view_elsewhere");
    });
}
