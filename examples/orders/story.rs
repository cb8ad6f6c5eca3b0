use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::thread;

use leftfold::{
    Append, Delivery, Embedded, Event, EventStore, Options, Query, Subscribe, Subscription,
};
use pollster::block_on;

use crate::orders::running::Services;
use crate::orders::{NewOrder, Shop, outcome, place, stock_of};
use crate::running::heading;

/// The number of concurrent callers.
const CALLERS: u64 = 4;

fn order(id: impl Into<String>, item: &str) -> NewOrder {
    let (item, address) = (item.to_owned(), "1 Long Lane".to_owned());
    NewOrder { id: id.into(), item, count: 1, cents: 990, address }
}

fn describe(outcome: Option<String>) -> String {
    outcome.map_or("confirmed".to_owned(), |reason| format!("rejected: {reason}"))
}

/// Places an order and waits for its outcome.
fn buy(store: &impl EventStore, order: &NewOrder) -> anyhow::Result<Option<String>> {
    block_on(place(store, order))?;
    block_on(outcome(store, &order.id))
}

fn deliver(store: &impl EventStore, item: &str, count: u64) -> anyhow::Result<()> {
    let delivered = Shop::Delivered { count }.to_new()?;
    block_on(store.append(Append::new().event(format!("stock-{item}"), delivered)))?;
    Ok(())
}

/// Runs the example on a store in a directory, with all services in this process.
pub fn story(dir: &Path, out: &mut dyn Write) -> anyhow::Result<()> {
    let store = Arc::new(Embedded::open(dir, Options::default())?);
    play(&store, || Ok(Services::start(&store)), out)
}

/// Runs the example on any store, with services that run until they are dropped.
pub(crate) fn play<S: EventStore + 'static, C>(
    store: &Arc<S>,
    start: impl Fn() -> anyhow::Result<C>,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    heading(out, "four orders, one after the other")?;
    deliver(store, "lamp", 30)?;
    deliver(store, "chair", 5)?;
    let services = start()?;
    writeln!(out, "a chair: {}", describe(buy(store, &order("first", "chair"))?))?;
    let yacht = NewOrder { cents: 9_900_000, ..order("dear", "chair") };
    writeln!(out, "a chair of gold: {}", describe(buy(store, &yacht)?))?;
    let nowhere = NewOrder { address: String::new(), ..order("nowhere", "chair") };
    writeln!(out, "a chair for nowhere: {}", describe(buy(store, &nowhere)?))?;
    let crowd = NewOrder { count: 6, ..order("crowd", "chair") };
    writeln!(out, "six chairs: {}", describe(buy(store, &crowd)?))?;

    heading(out, "four callers order at once")?;
    let confirmed = rush(store)?;
    let left = block_on(stock_of(&**store, "lamp"))?.free;
    writeln!(out, "50 orders for 30 lamps: {confirmed} confirmed, {left} left")?;
    drop(services);

    heading(out, "the services stop, and start again")?;
    for number in 0..3 {
        block_on(place(&**store, &order(format!("late-{number}"), "chair")))?;
    }
    writeln!(out, "all services are stopped, and three chairs are ordered")?;
    let services = start()?;
    for number in 0..3 {
        let outcome = block_on(outcome(&**store, &format!("late-{number}")))?;
        writeln!(out, "when they are back, order {number}: {}", describe(outcome))?;
    }
    // Two of the rejected orders had reserved a chair.
    block_on(released(store, "chair", 2))?;
    drop(services);
    let chairs = block_on(stock_of(&**store, "chair"))?.free;
    writeln!(out, "{chairs} chair is left")?;
    Ok(())
}

/// Waits until a number of reservations of an item was released.
async fn released(store: &impl EventStore, item: &str, times: usize) -> anyhow::Result<()> {
    let releases = Query::stream(format!("stock-{item}")).and(Shop::of_released().into());
    let mut events = store.subscribe(Subscribe::to(releases)).await?;
    let mut seen = 0;
    while seen < times {
        seen += usize::from(matches!(events.next().await?, Delivery::Event(..)));
    }
    Ok(())
}

/// Places fifty orders from concurrent callers; returns how many were confirmed.
fn rush<S: EventStore + 'static>(store: &Arc<S>) -> anyhow::Result<u64> {
    let callers: Vec<_> = (0..CALLERS)
        .map(|caller| {
            let store = store.clone();
            thread::spawn(move || -> anyhow::Result<u64> {
                let mine = (0..50).filter(|number| number % CALLERS == caller);
                let orders: Vec<_> =
                    mine.map(|number| order(format!("rush-{number}"), "lamp")).collect();
                let mut confirmed = 0;
                for order in &orders {
                    confirmed += u64::from(buy(&store, order)?.is_none());
                }
                Ok(confirmed)
            })
        })
        .collect();
    let mut confirmed = 0;
    for caller in callers {
        confirmed += caller.join().map_err(|_| anyhow::anyhow!("a caller has panicked"))??;
    }
    Ok(confirmed)
}
