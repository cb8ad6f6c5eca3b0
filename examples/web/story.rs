use std::future::IntoFuture;
use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use leftfold::react::{Cause, Handler, HandlerError, Reaction, Reactor};
use leftfold::runtime::{Runtime, RuntimeStatus};
use leftfold::time::TokioTime;
use leftfold::view::{MemoryRows, ViewRunner};
use leftfold::{Delivery, Embedded, NewEvent, Options, Query, Subscribe};
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::running::heading;
use crate::web::{App, Balances, ask, router};

/// Writes a letter to each new customer.
fn letters(store: Arc<Embedded>) -> Reactor<Embedded, impl Handler> {
    let write = |cause: Cause| async move {
        let letter = NewEvent::json("LetterWritten", cause.event.data());
        Ok::<_, HandlerError>(Reaction::none().event("letters", letter))
    };
    Reactor::new("letters", Query::event_type("Opened"), store, write)
}

/// Runs the service until `stop` is set: first the requests in flight end, then the runtime.
async fn serve(
    store: Arc<Embedded>,
    listener: TcpListener,
    mut stop: watch::Receiver<bool>,
) -> anyhow::Result<RuntimeStatus> {
    let balances = ViewRunner::new(Balances, store.clone(), MemoryRows::default());
    let balances = Arc::new(balances.time(TokioTime));
    let runtime = Runtime::new(store.clone())
        .name("bank")
        .time(TokioTime)
        .reactor(letters(store.clone()))
        .view(balances.clone());
    let app = App { store, balances, status: runtime.status() };
    let (served, all_served) = tokio::sync::oneshot::channel::<()>();
    let requests = axum::serve(listener, router(app)).with_graceful_shutdown(async move {
        // In your program: `tokio::signal::ctrl_c()`.
        _ = stop.wait_for(|stop| *stop).await;
    });
    let requests = async {
        let ended = requests.into_future().await;
        drop(served);
        ended
    };
    let parts = runtime.run_until(async {
        _ = all_served.await;
    });
    let (ended, status) = tokio::join!(requests, parts);
    ended?;
    Ok(status)
}

/// Runs the example on a store in a directory, and writes the output that the README shows.
pub fn story(dir: &Path, out: &mut dyn Write) -> anyhow::Result<()> {
    let store = Arc::new(Embedded::open(dir, Options::default())?);
    let executor = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let listener = executor.block_on(TcpListener::bind("127.0.0.1:0"))?;
    let (address, (stop, stopped)) = (listener.local_addr()?, watch::channel(false));
    let service = executor.spawn(serve(store.clone(), listener, stopped));
    let asked = ask_all(address, &store, out);
    // Also after a failed request the service ends.
    stop.send_replace(true);
    let status = executor.block_on(service)??;
    asked?;
    heading(out, "the service has ended")?;
    for part in status.parts {
        writeln!(out, "{}: {}", part.name, serde_json::to_string(&part.state)?)?;
    }
    Ok(())
}

fn ask_all(address: SocketAddr, store: &Embedded, out: &mut dyn Write) -> anyhow::Result<()> {
    heading(out, "a client asks")?;
    let mut request = |request: &str, headers: &[(&str, &str)], body: &str| {
        let answer = ask(address, request, headers, body)?;
        writeln!(
            out,
            "{}\n  {} {}",
            [request, body].join(" ").trim_end(),
            answer.status,
            answer.body
        )?;
        Ok::<_, anyhow::Error>(())
    };
    let key = ("idempotency-key", "8e03978e-40d5-43e8-bc93-6894a57f9324");
    request("POST /accounts", &[], r#"{"account":"account-1","owner":"Ann"}"#)?;
    request("POST /deposits", &[key], r#"{"account":"account-1","cents":500}"#)?;
    request("POST /deposits", &[key], r#"{"account":"account-1","cents":500}"#)?;
    request("POST /withdrawals", &[], r#"{"account":"account-1","cents":501}"#)?;
    request("POST /deposits", &[], r#"{"account":"account-9","cents":500}"#)?;
    request("POST /deposits", &[("idempotency-key", "")], r#"{"account":"account-1","cents":1}"#)?;
    request("GET /accounts/account-1", &[], "")?;
    wait_for_letter(store)?;
    request("GET /status", &[], "")
}

/// Waits until the reactor has written a letter.
fn wait_for_letter(store: &Embedded) -> anyhow::Result<()> {
    let letters = Subscribe::to(Query::event_type("LetterWritten"));
    let mut letters = store.blocking().subscribe(letters)?;
    while !matches!(letters.next_blocking()?, Delivery::Event(..)) {}
    Ok(())
}
