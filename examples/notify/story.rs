use std::future::poll_fn;
use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use leftfold::react::{Cause, Guarantee, Handler, HandlerError, Parked, Reactor};
use leftfold::time::FakeTime;
use leftfold::{Append, Embedded, Event, Options, Timestamp};
use pollster::block_on;

use crate::notify::{Endpoint, post};
use crate::running::heading;

/// The events of an order.
#[derive(Event)]
#[event(category = "order")]
enum Order {
    OrderConfirmed { to: String },
}

/// Makes a reactor that notifies the customer of each confirmed order. With `crashes` the handler
/// hangs after the post, so that its progress is never written.
fn notifier(
    name: &str,
    store: &Arc<Embedded>,
    time: &FakeTime,
    target: SocketAddr,
    crashes: bool,
) -> Reactor<Embedded, impl Handler + use<>> {
    let notify = move |cause: Cause| async move {
        // Blocking is acceptable in an example; a busy service would use an async client.
        post(target, &cause.key.to_string(), &cause.event.data())?;
        if crashes {
            std::future::pending::<()>().await;
        }
        Ok::<_, HandlerError>(())
    };
    Reactor::new(name, Order::query(), store.clone(), notify).time(time.clone())
}

fn confirm(store: &Embedded, orders: std::ops::Range<u32>) -> anyhow::Result<()> {
    for order in orders {
        let confirmed = Order::OrderConfirmed { to: format!("customer {order}") }.to_new()?;
        store.blocking().append(Append::new().event(Order::stream(order), confirmed))?;
    }
    Ok(())
}

/// Runs a reactor until the endpoint has received a post, then drops it.
fn kill_after_a_post<H: Handler>(reactor: Reactor<Embedded, H>, endpoint: &Endpoint) {
    let before = endpoint.counts();
    let mut run = pin!(reactor.run());
    block_on(poll_fn(|cx| {
        _ = run.as_mut().poll(cx);
        match endpoint.counts() == before {
            true => Poll::Pending,
            false => Poll::Ready(()),
        }
    }));
}

/// Runs the example on a store in a directory, and writes the output that the README shows.
pub fn story(dir: &Path, out: &mut dyn Write) -> anyhow::Result<()> {
    let store = Arc::new(Embedded::open(dir, Options::default())?);
    let time = FakeTime::at(Timestamp(1_700_000_000_000_000));
    at_least_once(&store, &time, out)?;
    at_most_once(&store, &time, out)
}

fn at_least_once(
    store: &Arc<Embedded>,
    time: &FakeTime,
    out: &mut dyn Write,
) -> anyhow::Result<()> {
    heading(out, "mails, at least once")?;
    let mails = Endpoint::open()?;
    let reactor = |crashes| notifier("mails", store, time, mails.address(), crashes);
    let mut report = |what: &str| -> anyhow::Result<()> {
        let (posts, sent) = mails.counts();
        writeln!(out, "{what}: {posts} posts, {sent} mails sent")?;
        Ok(())
    };
    confirm(store, 0..20)?;
    mails.inject_faults(3, 2);
    block_on(reactor(false).catch_up())?;
    report("at least once, on a bad day")?;
    time.advance(Duration::from_secs(60));
    block_on(reactor(false).catch_up())?;
    report("the failed posts were retried")?;
    confirm(store, 20..21)?;
    kill_after_a_post(reactor(true), &mails);
    report("killed after the post, before its progress was written")?;
    block_on(reactor(false).catch_up())?;
    report("after a restart")?;
    block_on(reactor(false).catch_up())?;
    report("after another restart")
}

fn at_most_once(store: &Arc<Embedded>, time: &FakeTime, out: &mut dyn Write) -> anyhow::Result<()> {
    heading(out, "text messages, at most once")?;
    let texts = Endpoint::open()?;
    let reactor = |crashes| {
        let reactor = notifier("texts", store, time, texts.address(), crashes);
        reactor.guarantee(Guarantee::AtMostOnce)
    };
    texts.inject_faults(1, 0);
    block_on(reactor(false).catch_up())?;
    confirm(store, 21..22)?;
    kill_after_a_post(reactor(true), &texts);
    time.advance(Duration::from_secs(3_600));
    block_on(reactor(false).catch_up())?;
    let (posts, sent) = texts.counts();
    writeln!(out, "at most once, for 22 orders: {posts} posts, {sent} texts sent")?;
    for item in block_on(Parked::of("texts", &**store).list())? {
        writeln!(out, "parked: {}: {}", item.stream, item.reason)?;
    }
    Ok(())
}
