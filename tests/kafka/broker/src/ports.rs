use std::fs::{self, File, TryLockError};
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;

use crate::error::BrokerError;

/// The range lies below the ports of outgoing connections, so that no connection takes a port while
/// its broker restarts.
const FROM: u16 = 20_000;
const TO: u16 = 29_999;

/// A reserved port: no other cluster of this user takes it while this value exists.
///
/// A broker keeps its port when it restarts.
#[derive(Debug)]
pub(crate) struct Port {
    pub(crate) number: u16,
    _lock: File,
}

/// Reserves `count` ports, by a lock on one file per port.
pub(crate) fn reserve(root: &Path, count: usize) -> Result<Vec<Port>, BrokerError> {
    let locks = root.join("ports");
    fs::create_dir_all(&locks).map_err(BrokerError::at(&locks))?;
    // Programs that start at the same time begin their search at different ports.
    let span = TO - FROM + 1;
    let start = (std::process::id() as u16).wrapping_mul(97) % span;
    let mut found = Vec::with_capacity(count);
    for step in 0..span {
        if found.len() == count {
            break;
        }
        let number = FROM + (start + step) % span;
        found.extend(try_reserve(&locks, number)?);
    }
    if found.len() < count {
        return Err(BrokerError::NoPort { from: FROM, to: TO });
    }
    Ok(found)
}

fn try_reserve(locks: &Path, number: u16) -> Result<Option<Port>, BrokerError> {
    let path = locks.join(number.to_string());
    let lock = File::create(&path).map_err(BrokerError::at(&path))?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(None),
        Err(TryLockError::Error(error)) => return Err(BrokerError::at(&path)(error)),
    }
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, number)).is_ok();
    Ok(free.then_some(Port { number, _lock: lock }))
}
