//! Calls that run on the thread that makes them.

use std::io;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use leftfold_api::{Append, AppendError, Appended, EventStore, Page, Read, ReadError};
use parking_lot::{Condvar, Mutex};
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::Notify;

use crate::client::Client;

/// How long no call must have run until a thread of the client attends to its connection.
const IDLE: Duration = Duration::from_secs(1);

/// A store on a server, for callers that wait for each answer: a call runs on the thread that makes it, network and all,
/// so that no other thread is woken for it.
///
/// Several threads may call at the same time; one of them then runs the network for all. While there are no calls, a
/// thread of the client answers the server's pings.
pub struct BlockingClient {
    client: Client,
    network: Network,
}

impl BlockingClient {
    pub(crate) fn new(client: Client, network: Network) -> Self {
        BlockingClient { client, network }
    }

    /// Appends events; see [`EventStore::append`].
    ///
    /// # Errors
    /// Those of an append.
    ///
    /// # Panics
    /// If the calling thread runs asynchronous tasks of Tokio.
    pub fn append(&self, append: Append) -> Result<Appended, AppendError> {
        self.network.run(self.client.append(append))
    }

    /// Reads a page; see [`EventStore::read`].
    ///
    /// # Errors
    /// Those of a read.
    ///
    /// # Panics
    /// If the calling thread runs asynchronous tasks of Tokio.
    pub fn read(&self, read: Read) -> Result<Page, ReadError> {
        self.network.run(self.client.read(read))
    }

    /// Runs calls of the asynchronous client to their end: all that this one has no function for.
    ///
    /// ```no_run
    /// # use leftfold_api::{Cursor, EventStore, Query, Subscribe};
    /// # fn example(store: &leftfold_client::BlockingClient) -> Result<(), Box<dyn std::error::Error>> {
    /// let all = Subscribe::after(Query::All, Cursor::START);
    /// let mut events = store.run(async |store| store.subscribe(all).await)?;
    /// loop {
    ///     let delivery = store.run(async |_| leftfold_api::Subscription::next(&mut events).await)?;
    ///     println!("{delivery:?}");
    /// }
    /// # }
    /// ```
    ///
    /// # Panics
    /// If the calling thread runs asynchronous tasks of Tokio.
    pub fn run<T>(&self, calls: impl AsyncFnOnce(&Client) -> T) -> T {
        self.network.run(calls(&self.client))
    }
}

/// The network of a client, run by whoever waits for a call.
pub(crate) struct Network {
    runtime: Arc<Runtime>,
    turns: Arc<Turns>,
    /// Dropped after the runtime: the client's own thread then has it last, and may wait for its end.
    _end: EndOnDrop,
}

/// Decides who runs the network.
#[derive(Default)]
struct Turns {
    state: Mutex<State>,
    changed: Condvar,
    call_began: Notify,
}

#[derive(Default)]
struct State {
    calls: usize,
    last_ended: Option<Instant>,
    /// Whether the client's own thread runs the network.
    is_attended: bool,
    has_ended: bool,
}

struct EndOnDrop(Arc<Turns>);

impl Network {
    /// Starts the thread that runs the network while there are no calls.
    pub(crate) fn start() -> io::Result<Self> {
        let runtime = Arc::new(Builder::new_current_thread().enable_all().build()?);
        let turns = Arc::<Turns>::default();
        let network = Network {
            runtime: runtime.clone(),
            turns: turns.clone(),
            _end: EndOnDrop(turns.clone()),
        };
        thread::Builder::new()
            .name("leftfold-client".to_owned())
            .spawn(move || turns.attend_while_idle(&runtime))?;
        Ok(network)
    }

    pub(crate) fn handle(&self) -> Handle {
        self.runtime.handle().clone()
    }

    /// Runs calls, and the network, on this thread.
    pub(crate) fn run<T>(&self, calls: impl Future<Output = T>) -> T {
        let _call = Call::begin(&self.turns);
        self.runtime.block_on(calls)
    }
}

impl Drop for EndOnDrop {
    fn drop(&mut self) {
        self.0.state.lock().has_ended = true;
        self.0.changed.notify_one();
        self.0.call_began.notify_one();
    }
}

impl Turns {
    fn attend_while_idle(&self, runtime: &Runtime) {
        while self.wait_until_idle() {
            runtime.block_on(self.call_began.notified());
            self.state.lock().is_attended = false;
        }
    }

    /// Takes the turn after a while without calls; returns false at the end of the client.
    fn wait_until_idle(&self) -> bool {
        let mut state = self.state.lock();
        loop {
            if state.has_ended {
                return false;
            }
            let is_idle = state.last_ended.is_none_or(|ended| ended.elapsed() >= IDLE);
            if state.calls == 0 && is_idle {
                state.is_attended = true;
                return true;
            }
            self.changed.wait_for(&mut state, IDLE);
        }
    }
}

/// A call that runs.
struct Call<'a>(&'a Turns);

impl<'a> Call<'a> {
    fn begin(turns: &'a Turns) -> Self {
        let mut state = turns.state.lock();
        state.calls += 1;
        if state.is_attended {
            turns.call_began.notify_one();
        }
        Call(turns)
    }
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        state.calls -= 1;
        state.last_ended = Some(Instant::now());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn the_network_goes_on_while_there_are_no_calls() {
        let network = Network::start().unwrap();
        for _ in 0..2 {
            network.run(async {});
            let (ended, was_ended) = mpsc::channel();
            network.handle().spawn(async move { ended.send(()) });
            // By the thread of the client.
            was_ended.recv_timeout(Duration::from_secs(60)).unwrap();
        }
    }
}
