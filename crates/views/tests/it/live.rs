//! Live queries: the rows, then their changes.

use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::join;
use leftfold::{Coded, Embedded};
use leftfold_views::{AskLimits, Cell, LiveQuery, LiveUpdate, RowChanges, ViewStart, Views};
use proptest::prelude::*;

use crate::host::{ORDERS, World, ask, code, parse};

type Row = Vec<Cell>;

fn watch(views: &Views<Embedded>, sql: &str) -> LiveQuery<Embedded> {
    views.watch(sql, AskLimits::default(), Duration::ZERO).unwrap()
}

async fn rows(live: &mut LiveQuery<Embedded>) -> Vec<Row> {
    match live.next().await.unwrap() {
        LiveUpdate::Rows(answer) => answer.rows,
        other => panic!("{other:?}"),
    }
}

async fn changes(live: &mut LiveQuery<Embedded>) -> RowChanges {
    match live.next().await.unwrap() {
        LiveUpdate::Changes(changes) => changes,
        other => panic!("{other:?}"),
    }
}

fn texts(cells: &[&str]) -> Row {
    cells.iter().map(|cell| Cell::Text((*cell).to_owned())).collect()
}

/// Adds orders, and waits until they can be asked.
async fn add_orders(views: &Views<Embedded>) {
    let added = views.add(&parse(ORDERS), ViewStart::Beginning).await.unwrap();
    ask(views, "select 1 from orders", &added.cursor).await;
}

#[test]
fn a_live_query_sends_the_rows_and_then_their_changes() {
    let world = World::new();
    world.run(async |views| {
        add_orders(views).await;
        let mut live = watch(views, "select id, state from orders").key(["id"]);
        assert_eq!(rows(&mut live).await, Vec::<Row>::new());
        world.append("order-1", "OrderPlaced", "{}").await;
        let added = changes(&mut live).await;
        assert_eq!((&*added.added, added.removed.len()), (&[texts(&["1", "placed"])][..], 0));
        let paid = world.append("order-1", "OrderPaid", "{}").await;
        let changed = changes(&mut live).await;
        assert_eq!((changed.added.len(), changed.removed.len()), (0, 0));
        assert_eq!(changed.changed[0].before, texts(&["1", "placed"]));
        assert_eq!(changed.changed[0].after, texts(&["1", "paid"]));
        assert_eq!(changed.cursors, [("orders".to_owned(), Some(paid))]);
    });
}

/// Events, and definitions of other views, that leave the answer as it is send nothing.
#[test]
fn changes_that_do_not_concern_a_live_query_send_nothing() {
    let world = World::new();
    world.run(async |views| {
        add_orders(views).await;
        let mut live = watch(views, "select id from orders where state = 'paid'");
        rows(&mut live).await;
        let other = parse(&ORDERS.replace("orders", "others"));
        let doing = async {
            for order in ["order-1", "order-2"] {
                let placed = world.append(order, "OrderPlaced", "{}").await;
                ask(views, "select 1 from orders", &placed).await;
            }
            views.add(&other, ViewStart::Beginning).await.unwrap();
            world.append("order-2", "OrderPaid", "{}").await;
        };
        let (update, ()) = join(changes(&mut live), doing).await;
        assert_eq!((update.added, update.removed.len()), (vec![texts(&["2"])], 0));
    });
}

#[test]
fn a_live_query_ends_when_its_view_fails_or_is_removed() {
    let world = World::new();
    world.run(async |views| {
        let text = ORDERS.replace("'placed'", "dec_add(:data.total, '1')");
        let added = views.add(&parse(&text), ViewStart::Beginning).await.unwrap();
        ask(views, "select 1 from orders", &added.cursor).await;
        let mut live = watch(views, "select id from orders");
        rows(&mut live).await;
        world.append("order-1", "OrderPlaced", r#"{"total":"1"}"#).await;
        world.append("order-2", "OrderPlaced", r#"{"total":"x"}"#).await;
        // What was committed before the failure comes first.
        assert_eq!(changes(&mut live).await.added, [texts(&["1"])]);
        assert_eq!(code(live.next().await), "view_event_unusable");
        views.remove("orders").await.unwrap();
        assert_eq!(code(live.next().await), "view_removed");
    });
}

/// A view that is replaced goes on: with changes if its columns are the same, and else with all rows.
#[test]
fn a_live_query_follows_a_view_that_is_replaced() {
    let world = World::new();
    world.run(async |views| {
        add_orders(views).await;
        world.append("order-1", "OrderPlaced", "{}").await;
        let mut live = watch(views, "select * from orders");
        while rows_of(live.next().await.unwrap()).is_empty() {}
        views.replace(&parse(&ORDERS.replace("'placed'", "'new'"))).await.unwrap();
        let update = changes(&mut live).await;
        assert_eq!(
            (update.removed, update.added),
            (vec![texts(&["1", "placed"])], vec![texts(&["1", "new"])])
        );
        let wider =
            ORDERS.replace("state text", "state text, more text").replace("'placed'", "'new', 'x'");
        views.replace(&parse(&wider)).await.unwrap();
        assert_eq!(rows(&mut live).await, [texts(&["1", "new", "x"])]);
        views.replace(&parse(&wider.replace("more text", "less text"))).await.unwrap();
        assert_eq!(rows(&mut live).await, [texts(&["1", "new", "x"])]);
    });
}

fn rows_of(update: LiveUpdate) -> Vec<Row> {
    match update {
        LiveUpdate::Rows(answer) => answer.rows,
        LiveUpdate::Changes(changes) => changes.added,
        other => panic!("{other:?}"),
    }
}

/// The limits hold for each answer, and the key has columns of the answer.
#[test]
fn a_live_query_is_bounded() {
    let world = World::new();
    world.run(async |views| {
        add_orders(views).await;
        let limits = AskLimits { rows: 1, ..AskLimits::default() };
        let mut live = views.watch("select id from orders", limits, Duration::ZERO).unwrap();
        rows(&mut live).await;
        let doing = async {
            for order in ["order-1", "order-2"] {
                world.append(order, "OrderPlaced", "{}").await;
            }
        };
        let end = async {
            loop {
                if let Err(error) = live.next().await {
                    return error.code();
                }
            }
        };
        assert_eq!(join(end, doing).await.0, "view_answer_too_large");
        let mut live = watch(views, "select id from orders").key(["none"]);
        assert_eq!(code(live.next().await), "view_query_invalid");
        assert_eq!(code(views.watch("select 1", limits, Duration::ZERO).map(drop)), "view_unknown");
    });
}

/// What a reader of a live query knows.
#[derive(Default)]
struct Reader(Vec<Row>);

impl Reader {
    fn take(&mut self, update: LiveUpdate) {
        match update {
            LiveUpdate::Rows(answer) => self.0 = answer.rows,
            LiveUpdate::Changes(changes) => {
                assert!(!changes.is_empty());
                let gone = changes.changed.iter().map(|change| &change.before);
                for row in changes.removed.iter().chain(gone) {
                    let at = self.0.iter().position(|known| known == row);
                    self.0.remove(at.unwrap_or_else(|| panic!("{row:?} is not there")));
                }
                let new = changes.changed.into_iter().map(|change| change.after);
                self.0.extend(changes.added.into_iter().chain(new));
            }
            other => panic!("{other:?}"),
        }
    }

    fn sorted(&self) -> Vec<String> {
        let mut rows: Vec<_> = self.0.iter().map(|row| format!("{row:?}")).collect();
        rows.sort();
        rows
    }
}

const COUNTERS: &str = "
-- @view counters
-- @query category:n
create table counters (id text primary key, state integer);
-- @on Set
insert or replace into counters values (:stream_id, :data.to);
-- @on Gone
delete from counters where id = :stream_id;
";

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    /// Whenever it is polled or dropped: the rows and all changes add up to the last answer.
    #[test]
    fn changes_add_up_to_the_last_answer(
        steps in proptest::collection::vec((0..4u8, 0..3u8, 0..4u8), 1..30),
        sql in prop_oneof![
            Just("select id, state from counters"), Just("select state from counters"),
            Just("select state, count(*) from counters group by state"),
            Just("select max(state), null, 0.5 * count(*), x'00' from counters where id <> 'end'"),
        ],
        has_key: bool,
    ) {
        let world = World::new();
        world.run(async |views| {
            let added = views.add(&parse(COUNTERS), ViewStart::Beginning).await.unwrap();
            ask(views, "select 1 from counters", &added.cursor).await;
            let sql = format!("{sql} union all select id, 'end' from counters where id = 'end'")
                .replace("select state from", "select state, 1 from");
            let sql = match sql.contains("x'00'") {
                true => sql.replace("id, 'end'", "id, 'end', 1, 2"),
                false => sql,
            };
            let mut live = watch(views, &sql);
            if has_key {
                let first = views.ask(&sql, None, AskLimits::default()).await.unwrap();
                live = live.key([first.columns[0].clone()]);
            }
            let mut reader = Reader::default();
            for (id, to, polls) in steps {
                let event_type = if to == 0 { "Gone" } else { "Set" };
                world.append(&format!("n-{id}"), event_type, &format!(r#"{{"to":{to}}}"#)).await;
                for _ in 0..polls {
                    if let Some(update) = live.next().now_or_never() {
                        reader.take(update.unwrap());
                    }
                }
            }
            let end = world.append("n-end", "Set", r#"{"to":1}"#).await;
            ask(views, "select 1 from counters", &end).await;
            let last = views.ask(&sql, None, AskLimits::default()).await.unwrap();
            let is_end = |row: &Row| row.contains(&Cell::Text("end".to_owned()));
            while !reader.0.iter().any(is_end) {
                reader.take(live.next().await.unwrap());
            }
            assert_eq!(reader.sorted(), Reader(last.rows).sorted());
        });
    }
}
