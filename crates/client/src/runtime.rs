use std::io;

use parking_lot::Mutex;
use tokio::runtime::{Builder, Handle, Runtime};

/// Threads for the network of all clients of the process. Moving calls between threads costs more
/// than a second thread gains; a caller can give the builder a runtime with more.
const THREADS: usize = 1;

/// The runtime; it lives as long as the process, as a client may.
static SHARED: Mutex<Option<Runtime>> = Mutex::new(None);

/// Returns the runtime of all clients that were given no other.
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
