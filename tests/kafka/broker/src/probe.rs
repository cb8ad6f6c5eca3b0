//! Asks a broker whether it is ready, with a minimal Metadata request.
//!
//! The wire client is not used here, because it would make this crate slow to compile.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

const METADATA: i16 = 3;
const METADATA_VERSION: i16 = 1;
const LARGEST_ANSWER: usize = 1 << 20;

/// Returns the ids of the brokers that the broker on this port lists as alive.
pub(crate) fn live_brokers(port: u16) -> io::Result<Vec<i32>> {
    let patience = Duration::from_secs(2);
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut stream = TcpStream::connect_timeout(&address, patience)?;
    stream.set_read_timeout(Some(patience))?;
    let mut request = Vec::new();
    request.extend(METADATA.to_be_bytes());
    request.extend(METADATA_VERSION.to_be_bytes());
    request.extend(1_i32.to_be_bytes()); // correlation id
    request.extend((-1_i16).to_be_bytes()); // no client id
    request.extend(0_i32.to_be_bytes()); // no topics
    stream.write_all(&(request.len() as i32).to_be_bytes())?;
    stream.write_all(&request)?;
    let mut length = [0; 4];
    stream.read_exact(&mut length)?;
    let length = usize::try_from(i32::from_be_bytes(length)).unwrap_or(usize::MAX);
    if length > LARGEST_ANSWER {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "not an answer of a broker"));
    }
    let mut answer = vec![0; length];
    stream.read_exact(&mut answer)?;
    broker_ids(&answer).ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
}

/// Parses the answer: behind the correlation id there is a list of id, host, port and rack.
fn broker_ids(answer: &[u8]) -> Option<Vec<i32>> {
    let mut rest = answer.get(4..)?;
    let count = take_i32(&mut rest)?;
    let mut ids = Vec::new();
    for _ in 0..count {
        ids.push(take_i32(&mut rest)?);
        skip_string(&mut rest)?;
        take_i32(&mut rest)?;
        skip_string(&mut rest)?;
    }
    Some(ids)
}

fn take_i32(rest: &mut &[u8]) -> Option<i32> {
    rest.split_off(..4)?.try_into().ok().map(i32::from_be_bytes)
}

/// Skips a string: a length of two bytes, negative for null, and the bytes.
fn skip_string(rest: &mut &[u8]) -> Option<()> {
    let length = rest.split_off(..2)?.try_into().ok().map(i16::from_be_bytes)?;
    rest.split_off(..usize::try_from(length).unwrap_or(0)).map(|_| ())
}
