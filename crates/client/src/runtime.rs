use std::io;
use std::thread;

use parking_lot::Mutex;
use tokio::runtime::{Builder, Handle};

/// The runtime of one thread for the network of all clients of the process: moving calls between threads costs more than
/// a second thread gains. A caller can give the builder a runtime with more. It lives as long as the process, as a client
/// may.
static SHARED: Mutex<Option<Handle>> = Mutex::new(None);

/// Returns the runtime of all clients that were given no other.
pub(crate) fn shared() -> io::Result<Handle> {
    let mut shared = SHARED.lock();
    if let Some(handle) = &*shared {
        return Ok(handle.clone());
    }
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let handle = runtime.handle().clone();
    thread::Builder::new()
        .name("leftfold-client".to_owned())
        .spawn(move || runtime.block_on(std::future::pending::<()>()))?;
    Ok(shared.insert(handle).clone())
}
