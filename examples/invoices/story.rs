use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use leftfold::runtime::Runtime;
use leftfold::{
    CommandContext, Commands, Decider, Delivery, Embedded, Entities, Options, Outcome, Subscribe,
};
use pollster::block_on;
use uuid::Uuid;

use crate::invoices::{Action, Billing, Invoice, Request};
use crate::running::{heading, while_running};

type Requests = Commands<Request, Arc<Embedded>>;

const INVOICES: u128 = 100;

/// Runs the example on a store in a directory, and writes the output that the README shows.
pub fn story(dir: &Path, out: &mut dyn Write) -> anyhow::Result<()> {
    heading(out, "requests are accepted")?;
    {
        let store = Arc::new(Embedded::open(dir, Options::default())?);
        let requests = Commands::new("requests", store)?;
        accept(&requests, out)?;
        // The process ends before all requests are handled.
        while_handled(&requests, || follow(&requests, 30).map(drop))?;
    }
    heading(out, "the process ends early, and another one starts")?;
    let store = Arc::new(Embedded::open(dir, Options::default())?);
    let requests = Commands::new("requests", store)?;
    while_handled(&requests, || {
        // An unsure caller sends all requests again.
        accept(&requests, out)?;
        let (done, refused) = follow(&requests, 2 * INVOICES)?;
        writeln!(out, "followed: {done} done, {refused} refused, each once")?;
        wait_for_one(&requests, out)
    })
}

fn while_handled(
    requests: &Requests,
    other: impl FnOnce() -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let store = requests.store();
    let entities = Entities::<Invoice, _>::new(Decider::new(store.clone()));
    while_running(Runtime::new(store.clone()).commands(requests.clone(), entities), other)
}

fn request(nth: u128, what: Action) -> Request {
    Request { invoice: Billing::stream(nth), what }
}

/// Accepts two requests per invoice: to issue it, and a payment that is often too high.
fn accept(requests: &Requests, out: &mut dyn Write) -> anyhow::Result<()> {
    let mut repeated = 0;
    for nth in 0..INVOICES {
        let issue = Action::Issue { customer: (nth % 7).to_string(), cents: 500 };
        let pay = Action::Pay { cents: 400 + 25 * (nth as u64 % 8) };
        for (id, what) in [(2 * nth, issue), (2 * nth + 1, pay)] {
            let id = CommandContext::with_id(Uuid::from_u128(id));
            let accepted = block_on(requests.accept(id, &request(nth, what)))?;
            repeated += usize::from(accepted.repeated);
        }
    }
    writeln!(out, "accepted: {} requests, {repeated} of them repeated", 2 * INVOICES)?;
    Ok(())
}

/// Follows the outcomes from the start; returns how many requests were done and refused.
fn follow(requests: &Requests, count: u128) -> anyhow::Result<(u32, u32)> {
    let outcomes = Subscribe::to(requests.outcomes());
    let mut outcomes = requests.store().blocking().subscribe(outcomes)?;
    let (mut done, mut refused) = (0, 0);
    while u128::from(done + refused) < count {
        if let Delivery::Event(event, _) = outcomes.next_blocking()? {
            match event.event_type() {
                "CommandDone" => done += 1,
                _ => refused += 1,
            }
        }
    }
    Ok((done, refused))
}

/// Sends requests and waits for their outcomes.
fn wait_for_one(requests: &Requests, out: &mut dyn Write) -> anyhow::Result<()> {
    heading(out, "a caller waits for its answers")?;
    for (id, what) in [(1_000, Action::Pay { cents: 200 }), (1_001, Action::Cancel)] {
        let id = CommandContext::with_id(Uuid::from_u128(id));
        match block_on(requests.execute(id, &request(0, what)))? {
            Outcome::Done(events) => writeln!(out, "answered: {} event(s)", events.len())?,
            Outcome::Refused(refused) => writeln!(out, "answered: refused: {refused}")?,
            other => anyhow::bail!("{other:?}"),
        }
    }
    Ok(())
}
