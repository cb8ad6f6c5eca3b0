#![doc = include_str!("README.md")]

use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use leftfold::react::{Cause, Handler, HandlerError, Reaction, Reactor};
use leftfold::{
    Append, CheckpointMove, Cursor, Embedded, Event, EventStore, Expected, Options, Read,
};
use pollster::block_on;

use crate::running::heading;

/// The events of a product.
#[derive(Event)]
#[event(category = "product", prefix = "Product")]
enum Product {
    Listed,
    Approved,
    Rejected,
}

/// The effect of the service outside the store; each examination costs money.
#[derive(Default, Clone)]
struct Laboratory(Arc<AtomicU64>);

impl Laboratory {
    /// Returns whether a product is good.
    fn examine(&self, product: &str) -> bool {
        self.0.fetch_add(1, Ordering::Relaxed);
        !product.ends_with('7')
    }

    fn bill(&self) -> u64 {
        self.0.swap(0, Ordering::Relaxed)
    }
}

/// Makes the validation service: it examines each listed product, and its verdict is an event.
fn service(store: Arc<Embedded>, laboratory: Laboratory) -> Reactor<Embedded, impl Handler> {
    let validate = move |cause: Cause| {
        let laboratory = laboratory.clone();
        async move {
            let product = cause.event.stream();
            let verdict = match laboratory.examine(product) {
                true => Product::Approved,
                false => Product::Rejected,
            };
            Ok::<_, HandlerError>(Reaction::none().emit(verdict.to(product)))
        }
    };
    Reactor::new("validation", Product::of_listed(), store, validate)
}

fn list(store: &Embedded, products: std::ops::Range<u32>) -> anyhow::Result<()> {
    for number in products {
        let listed = Product::Listed.to_new()?;
        store.blocking().append(Append::new().event(Product::stream(number), listed))?;
    }
    Ok(())
}

fn verdicts(store: &Embedded) -> anyhow::Result<usize> {
    let verdicts = Product::of_approved().or(Product::of_rejected());
    Ok(store.blocking().read(Read::forward(verdicts.into()))?.events.len())
}

/// Runs the example on a store in a directory, and writes the output that the README shows.
pub fn story(dir: &Path, out: &mut dyn Write) -> anyhow::Result<()> {
    heading(out, "the service starts")?;
    let laboratory = Laboratory::default();
    {
        let store = Arc::new(Embedded::open(dir, Options::default())?);
        list(&store, 0..100)?;
        tell("the first start", &store, &laboratory, out)?;
    }
    heading(out, "another machine, with nothing but the store")?;
    let store = Arc::new(Embedded::open(dir, Options::default())?);
    tell("a restart without local state", &store, &laboratory, out)?;
    list(&store, 100..110)?;
    tell("ten more products", &store, &laboratory, out)?;

    heading(out, "its progress is lost")?;
    let checkpoint = block_on(store.checkpoint("reactor/validation"))?;
    let name = "reactor/validation".to_owned();
    let lost = CheckpointMove { name, expected: checkpoint, to: Cursor::START };
    store.blocking().append(Append::new().checkpoint(lost))?;
    tell("the checkpoint is set back to the beginning", &store, &laboratory, out)?;

    store.blocking().delete_stream("leftfold.reactor-validation", Expected::Exists)?;
    tell("even the service's journal is deleted", &store, &laboratory, out)
}

/// Runs the service until nothing is left to do, and writes the counts.
fn tell(
    what: &str,
    store: &Arc<Embedded>,
    laboratory: &Laboratory,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    block_on(service(store.clone(), laboratory.clone()).catch_up())?;
    let (examined, verdicts) = (laboratory.bill(), verdicts(store)?);
    writeln!(out, "{what}: {examined} examined, {verdicts} verdicts in the store")?;
    Ok(())
}
