//! Ports for servers of tests: a server that is restarted keeps its port, and nobody else takes it meanwhile.

use std::fs::{self, File, TryLockError};
use std::io;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};

/// The range lies below the ports of outgoing connections, so that no connection takes a port while
/// its server restarts.
const FROM: u16 = 20_000;
const TO: u16 = 29_999;

/// A reserved port: no other server that reserves one takes it while this value exists.
#[derive(Debug)]
pub struct Port {
    /// Its number.
    pub number: u16,
    _lock: File,
}

fn locks() -> PathBuf {
    std::env::temp_dir().join("leftfold-ports")
}

/// Reserves a port, by a lock on a file of its own.
///
/// # Errors
/// The locks can't be written, or no port is free.
pub fn reserve() -> io::Result<Port> {
    let locks = locks();
    fs::create_dir_all(&locks)?;
    // Programs that start at the same time begin their search at different ports.
    let span = TO - FROM + 1;
    let start = (std::process::id() as u16).wrapping_mul(97) % span;
    for step in 0..span {
        if let Some(port) = try_reserve(&locks, FROM + (start + step) % span)? {
            return Ok(port);
        }
    }
    let message = format!("no free port was found between {FROM} and {TO}");
    Err(io::Error::new(io::ErrorKind::AddrInUse, message))
}

fn try_reserve(locks: &Path, number: u16) -> io::Result<Option<Port>> {
    let lock = File::create(locks.join(number.to_string()))?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Ok(None),
        Err(TryLockError::Error(error)) => return Err(error),
    }
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, number)).is_ok();
    Ok(free.then_some(Port { number, _lock: lock }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reserved_port_is_not_given_again() {
        let (first, second) = (reserve().unwrap(), reserve().unwrap());
        assert_ne!(first.number, second.number);
        assert!(try_reserve(&locks(), first.number).unwrap().is_none());
    }
}
