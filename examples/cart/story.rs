use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use leftfold::runtime::Runtime;
use leftfold::time::{FakeTime, SystemTime, Time};
use leftfold::{
    CommandContext, Commands, Decider, Delivery, Embedded, Entities, Options, Outcome, Query,
    StreamState, Subscribe,
};
use pollster::block_on;
use uuid::Uuid;

use crate::cart::{AtCart, Cart, Shop, Wish};
use crate::running::{heading, while_running};

type Carts = Commands<AtCart, Arc<Embedded>>;

/// Runs the example on a store in a directory, and writes the output that the README shows.
pub fn story(dir: &Path, out: &mut dyn Write) -> anyhow::Result<()> {
    let time = FakeTime::at(SystemTime.now());
    heading(out, "items arrive before their carts")?;
    {
        let store = Arc::new(Embedded::open(dir, Options::default())?);
        let carts = Commands::new("carts", store.clone())?;
        while_handled(&carts, &time, || accept_too_early(&store, &carts, out))?;
        writeln!(out, "in the cart: {:?}", items(&store)?)?;
    }
    heading(out, "the process ends, and another one starts")?;
    let store = Arc::new(Embedded::open(dir, Options::default())?);
    let carts = Commands::new("carts", store.clone())?;
    while_handled(&carts, &time, || create_cart(&carts, out))?;
    writeln!(out, "in the cart: {:?}", items(&store)?)?;
    heading(out, "two hours later")?;
    time.advance(Duration::from_secs(2 * 3_600));
    while_handled(&carts, &time, || {
        let outcome = block_on(carts.outcome(Uuid::from_u128(9)))?;
        writeln!(out, "for a cart that never came: {}", describe(&outcome))?;
        Ok(())
    })
}

/// Runs the command stream while `other` runs.
fn while_handled(
    carts: &Carts,
    time: &FakeTime,
    other: impl FnOnce() -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let entities = Entities::<Cart, _>::new(Decider::new(carts.store().clone()));
    let runtime = Runtime::new(carts.store().clone()).alone().time(time.clone());
    while_running(runtime.commands(carts.clone(), entities), other)
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
        block_on(carts.accept(id(nth), &add(&Shop::stream(1), item)))?;
    }
    block_on(carts.accept(id(9), &add(&Shop::stream(2), "salt")))?;
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
    let create = wish(&Shop::stream(1), Wish::Create { customer: "ann".to_owned() });
    let outcome = block_on(carts.execute(id(10), &create))?;
    writeln!(out, "create: {}", describe(&outcome))?;
    for (nth, what) in (11..).zip([Wish::CheckOut, Wish::AddItem { item: "rum".to_owned() }]) {
        let name = if let Wish::CheckOut = what { "check out" } else { "add rum" };
        let outcome = block_on(carts.execute(id(nth), &wish(&Shop::stream(1), what)))?;
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
    Ok(block_on(Decider::new(store).load(&StreamState::<Cart>::of(Shop::stream(1))))?.items)
}
