//! Helpers of several tests.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use leftfold_api::{Append, Expected, NewEvent};
use leftfold_io::fake::{FakeDisk, ManualClock, SeededRandom};
use leftfold_store::{Embedded, Manual, OpenError, Options};

/// Returns options with small segments and little preallocation.
pub(crate) fn small() -> Options {
    let mut options = Options::default();
    options.log.segment_bytes = 2_000;
    options.log.preallocate = 1024;
    options
}

pub(crate) fn open(disk: &FakeDisk, options: Options) -> Result<Embedded, OpenError> {
    let random = Arc::new(SeededRandom::new(1));
    Embedded::open_on(Arc::new(disk.clone()), Arc::new(ManualClock::at(1)), random, options)
}

pub(crate) fn manual(disk: &FakeDisk, options: Options) -> Result<(Embedded, Manual), OpenError> {
    let random = Arc::new(SeededRandom::new(1));
    Embedded::open_manual(Arc::new(disk.clone()), Arc::new(ManualClock::at(1)), random, options)
}

/// Opens the store and runs maintenance until nothing is left to do.
pub(crate) fn settle(disk: &FakeDisk, options: Options) {
    let (_store, mut manual) = manual(disk, options).unwrap();
    while manual.maintain() {}
}

pub(crate) fn event(n: u128) -> NewEvent {
    NewEvent::new("Counted", vec![b'x'; 100]).id(uuid::Uuid::from_u128(n)).tag("n", n.to_string())
}

pub(crate) fn append(stream: &str, expected: Expected, n: u128) -> Append {
    Append::new().event(stream, event(n)).expect(stream, expected)
}

/// Polls a future once.
pub(crate) fn poll<T>(future: &mut Pin<Box<impl Future<Output = T> + ?Sized>>) -> Poll<T> {
    future.as_mut().poll(&mut Context::from_waker(Waker::noop()))
}

/// Runs a future to its end, and lets the writer and maintenance run while it waits.
pub(crate) fn drive<T>(manual: &mut Manual, future: impl Future<Output = T>) -> T {
    let mut future = Box::pin(future);
    loop {
        if let Poll::Ready(ready) = poll(&mut future) {
            return ready;
        }
        manual.write();
        manual.maintain();
    }
}
