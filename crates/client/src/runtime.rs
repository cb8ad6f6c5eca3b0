use std::io;

use parking_lot::Mutex;
use tokio::runtime::{Builder, Handle, Runtime};

/// Threads for the network of all clients of the process. One: a call that goes from thread to thread
/// costs more than it gains; who needs more gives a runtime.
const THREADS: usize = 1;

/// Never ends: a client may live as long as the process.
static SHARED: Mutex<Option<Runtime>> = Mutex::new(None);

/// The runtime that all clients share that are given no other.
pub(crate) fn shared() -> io::Result<Handle> {
    let mut shared = SHARED.lock();
    if let Some(runtime) = &*shared {
        return Ok(runtime.handle().clone());
    }
    let runtime = Builder::new_multi_thread()
        .worker_threads(THREADS)
        .thread_name("leftfold-client")
        .enable_all()
        .build()?;
    Ok(shared.insert(runtime).handle().clone())
}
