//! SQL views on the nodes of a cluster: each has a copy of the rows of all partitions.

use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::thread::JoinHandle;

use event_listener::Event as Signal;
use futures_util::future::select;
use leftfold_api::{Append, Cursor, EventStore, NewEvent, Query, Read};
use leftfold_cluster::many::PartitionedStore;
use leftfold_cluster::store::ClusterStore;
use leftfold_views::{AskLimits, Definition, ViewStart, Views};
use pollster::block_on;

use crate::many::Spread;
use crate::nodes::PATIENCE;

type Store = PartitionedStore<ClusterStore>;

const STREAMS: u64 = 24;
/// Adding twice or not at all changes a sum; a second row for an event is refused.
const SUMS: &str = "
-- @view sums
-- @query category:counter
create table sums (stream text primary key, events integer, total integer);
create table entries (stream text, version integer, primary key (stream, version));
-- @on Counted
insert into sums values (:stream, 1, :data.n)
  on conflict (stream) do update set events = events + 1, total = total + excluded.total;
insert into entries values (:stream, :version);
";

/// The views of a node, which run on a thread until they are dropped.
struct Running {
    views: Views<Store>,
    kill: Arc<Signal>,
    thread: JoinHandle<()>,
}

impl Running {
    fn start(store: &Arc<Store>, dir: &Path) -> Self {
        let views = Views::open(store.clone(), dir).unwrap();
        let (kill, run) = (Arc::new(Signal::new()), views.clone());
        let killed = kill.listen();
        let thread = std::thread::spawn(move || {
            block_on(async { drop(select(pin!(run.run()), killed).await) });
        });
        block_on(views.ready());
        Running { views, kill, thread }
    }

    /// Ends the run wherever it is, as a crash does.
    fn kill(self) {
        self.kill.notify(1);
        self.thread.join().unwrap();
    }

    /// Returns the answer once the view has the events up to a cursor.
    fn ask(&self, sql: &str, at: &Cursor) -> Vec<String> {
        let at_least = Some((at.clone(), PATIENCE));
        let answer = block_on(self.views.ask(sql, at_least, AskLimits::default())).unwrap();
        answer.rows.iter().map(|row| row.iter().map(|cell| format!("{cell} ")).collect()).collect()
    }
}

fn append_round(store: &Store, round: u64) {
    for n in 0..STREAMS {
        let event = NewEvent::json("Counted", format!(r#"{{"n":{}}}"#, round * 100 + n));
        block_on(store.append(Append::new().event(format!("counter-{n}"), event))).unwrap();
    }
}

/// The view is added to the empty store, on one of the nodes.
#[test]
fn views_of_both_nodes_have_each_event_of_all_partitions_once_while_owners_change() {
    const ROUNDS: u64 = 4;
    let mut spread = Spread::through_the_first();
    let stores = ["a", "b"].map(|node| Arc::new(spread.through(node)));
    let dirs = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let start = |node: usize| Running::start(&stores[node], dirs[node].path());
    let mut running = [0, 1].map(start);
    let all = Read::forward(Query::All);
    assert!(block_on(stores[0].read(all)).unwrap().events.is_empty());
    let definition = Definition::parse(SUMS).unwrap();
    block_on(running[0].views.add(&definition, ViewStart::Beginning)).unwrap();
    for round in 0..ROUNDS {
        append_round(&stores[round as usize % 2], round);
        spread.hand_over_half(round);
        // One node's views are dropped while they follow, and opened again from their files.
        let killed = round as usize % 2;
        let [one, other] = running;
        let (killed_one, kept) = if killed == 0 { (one, other) } else { (other, one) };
        killed_one.kill();
        let next = start(killed);
        running = if killed == 0 { [next, kept] } else { [kept, next] };
    }
    let head = block_on(stores[0].head()).unwrap();
    assert_eq!(head.positions().len(), 8);
    let wanted: Vec<_> = (0..STREAMS)
        .map(|n| format!("{n} {ROUNDS} {} ", (0..ROUNDS).map(|round| round * 100 + n).sum::<u64>()))
        .collect();
    for node in &running {
        let sums =
            "select cast(substr(stream, 9) as integer) as n, events, total from sums order by n";
        assert_eq!(node.ask(sums, &head), wanted);
        assert_eq!(node.ask("select count(*) from entries", &head), [format!("{} ", 4 * STREAMS)]);
    }
    running.into_iter().for_each(Running::kill);
}
