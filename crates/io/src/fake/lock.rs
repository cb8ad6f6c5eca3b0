use std::io;
use std::sync::{Arc, Weak};

use parking_lot::Mutex;

use crate::disk::Lock;

/// The locks of a fake disk's directory: each ends when its holder drops it.
#[derive(Debug, Default)]
pub(super) struct Locks {
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    exclusive: Weak<()>,
    shared: Vec<Weak<()>>,
}

impl Locks {
    pub(super) fn lock(&self) -> io::Result<Box<dyn Lock>> {
        let mut held = self.held.lock();
        held.shared.retain(|lock| lock.strong_count() > 0);
        if held.exclusive.strong_count() > 0 || !held.shared.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let lock = Arc::new(());
        held.exclusive = Arc::downgrade(&lock);
        Ok(Box::new(FakeLock(lock)))
    }

    pub(super) fn lock_shared(&self) -> io::Result<Box<dyn Lock>> {
        let mut held = self.held.lock();
        if held.exclusive.strong_count() > 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let lock = Arc::new(());
        held.shared.push(Arc::downgrade(&lock));
        Ok(Box::new(FakeLock(lock)))
    }

    pub(super) fn lose(&self) {
        *self.held.lock() = Held::default();
    }
}

struct FakeLock(#[expect(dead_code, reason = "held for its Drop")] Arc<()>);

impl Lock for FakeLock {
    fn is_in_place(&self) -> io::Result<bool> {
        Ok(true)
    }
}
