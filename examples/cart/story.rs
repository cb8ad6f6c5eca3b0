use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use event_listener::Event as Signal;
use leftfold::time::FakeTime;
use leftfold::{
    CommandContext, Commands, Decider, Delivery, Embedded, Entities, Options, Outcome, Query,
    StreamState, Subscribe, Timestamp,
};
use pollster::block_on;
use uuid::Uuid;

use crate::cart::{AtCart, Cart, Wish};
use crate::running::heading;

type Carts = Commands<AtCart, Arc<Embedded>>;

/// Runs the example on a store in a directory, and writes the output that the README shows.
pub fn story(dir: &Path, out: &mut dyn Write) -> anyhow::Result<()> {
    let time = FakeTime::at(Timestamp(now()));
    heading(out, "items arrive before their carts")?;
    {
        let store = Arc::new(Embedded::open(dir, Options::default())?);
        let carts = Commands::new("carts", store.clone())?;
        while_running(&carts, &time, || accept_too_early(&store, &carts, out))?;
        writeln!(out, "in the cart: {:?}", items(&store)?)?;
    }
    heading(out, "the process ends, and another one starts")?;
    let store = Arc::new(Embedded::open(dir, Options::default())?);
    let carts = Commands::new("carts", store.clone())?;
    while_running(&carts, &time, || create_cart(&carts, out))?;
    writeln!(out, "in the cart: {:?}", items(&store)?)?;
    heading(out, "two hours later")?;
    time.advance(Duration::from_secs(2 * 3_600));
    while_running(&carts, &time, || {
        let outcome = block_on(carts.outcome(Uuid::from_u128(9)))?;
        writeln!(out, "for a cart that never came: {}", describe(&outcome))?;
        Ok(())
    })
}

fn now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| since.as_micros() as i64)
}

/// Runs the command stream's runner while `other` runs.
fn while_running(
    carts: &Carts,
    time: &FakeTime,
    other: impl FnOnce() -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let stop = Signal::new();
    let stopped = stop.listen();
    thread::scope(|scope| {
        let entities = Entities::<Cart, _>::new(Decider::new(carts.store().clone()));
        let time = Arc::new(time.clone());
        let runner = scope.spawn(move || block_on(carts.run_until(entities, time, stopped)));
        let done = other();
        stop.notify(usize::MAX);
        runner.join().map_err(|_| anyhow::anyhow!("the runner has panicked"))??;
        done
    })
}

fn wish(cart: &str, wish: Wish) -> AtCart {
    AtCart { cart: cart.to_owned(), wish }
}

fn add(cart: &str, item: &str) -> AtCart {
    wish(cart, Wish::AddItem { item: item.to_owned() })
}

fn id(nth: u128) -> CommandContext {
    CommandContext::with_id(Uuid::from_u128(nth))
}

/// Items arrive before their cart.
fn accept_too_early(store: &Embedded, carts: &Carts, out: &mut dyn Write) -> anyhow::Result<()> {
    for (nth, item) in (0..).zip(["tea", "milk", "sugar"]) {
        block_on(carts.accept(id(nth), &add("cart-1", item)))?;
    }
    block_on(carts.accept(id(9), &add("cart-2", "salt")))?;
    let stashed = Query::event_type("CommandStashed");
    let mut stashed = store.blocking().subscribe(Subscribe::to(stashed))?;
    let mut count = 0;
    while count < 4 {
        if let Delivery::Event(..) = stashed.next_blocking()? {
            count += 1;
        }
    }
    writeln!(out, "{count} commands came before their carts and were stashed")?;
    Ok(())
}

fn create_cart(carts: &Carts, out: &mut dyn Write) -> anyhow::Result<()> {
    let create = wish("cart-1", Wish::Create { customer: "ann".to_owned() });
    let outcome = block_on(carts.execute(id(10), &create))?;
    writeln!(out, "create: {}", describe(&outcome))?;
    for (nth, what) in (11..).zip([Wish::CheckOut, Wish::AddItem { item: "rum".to_owned() }]) {
        let name = if let Wish::CheckOut = what { "check out" } else { "add rum" };
        let outcome = block_on(carts.execute(id(nth), &wish("cart-1", what)))?;
        writeln!(out, "{name}: {}", describe(&outcome))?;
    }
    Ok(())
}

fn describe<E, R: std::fmt::Display>(outcome: &Outcome<E, R>) -> String {
    match outcome {
        Outcome::Done(events) => format!("done, {} event(s)", events.len()),
        Outcome::Refused(refused) => format!("refused: {refused}"),
        Outcome::Expired => "expired".to_owned(),
        Outcome::Failed { message, .. } => message.clone(),
        _ => "?".to_owned(),
    }
}

fn items(store: &Embedded) -> anyhow::Result<Vec<String>> {
    Ok(block_on(Decider::new(store).load(&StreamState::<Cart>::of("cart-1")))?.items)
}
