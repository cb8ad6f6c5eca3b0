//! A server that may open few files, and far more connections than that: the store goes on.

use std::io::{ErrorKind, Read};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;

use leftfold::{Append, Coded, EventStore, NewEvent, Query, Read as ReadEvents};
use pollster::block_on;

use crate::binary::{serve_as, stdout};
use crate::killed::{DEADLINE, client};

/// The limit of open files.
const LIMIT: usize = 256;
/// Connections beyond all that the limit allows.
const FLOOD: usize = LIMIT + 100;

/// Starts a command under a limit of open files, which it can't raise.
fn limited(command: &mut Command) {
    let mut limited = Command::new("sh");
    limited.args(["-c", &format!("ulimit -n {LIMIT}; exec \"$0\" \"$@\"")]);
    limited.arg(command.get_program()).args(command.get_args());
    *command = limited;
}

fn append(n: usize) -> Append {
    Append::new()
        .event("order-1", NewEvent::new("Placed", vec![b'x'; 1_000]).tag("n", n.to_string()))
}

/// Waits until the server closes a connection that says nothing.
fn wait_until_closed(connection: &mut TcpStream) {
    connection.set_read_timeout(Some(DEADLINE)).unwrap();
    match connection.read(&mut [0]) {
        Ok(read) => assert_eq!(read, 0, "the server says something"),
        Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
    }
}

#[test]
fn idle_connections_leave_the_store_its_file_descriptors() {
    let dir = tempfile::tempdir().unwrap();
    let (server, address) = serve_as(dir.path(), "127.0.0.1:0", limited);
    let healthy = client(&format!("http://{address}"));
    for n in 0..3 {
        block_on(healthy.append(append(n))).unwrap();
        block_on(healthy.pack()).unwrap();
    }
    let to: SocketAddr = address.parse().unwrap();
    let mut flood: Vec<TcpStream> = (0..FLOOD).map(|_| TcpStream::connect(to).unwrap()).collect();
    // The server has met its bound when it has closed the last of them.
    wait_until_closed(flood.last_mut().unwrap());
    for n in 3..6 {
        block_on(healthy.append(append(n))).unwrap();
        // A new segment, an index file, a compressed segment and their manifests.
        block_on(healthy.pack()).unwrap();
        let read = block_on(healthy.read(ReadEvents::forward(Query::tag("n", "0")))).unwrap();
        assert_eq!(read.events.len(), 1);
    }
    drop(flood);
    // Others are let in again.
    let later = client(&format!("http://{address}"));
    let appended = block_on(later.append(append(6))).map_err(|error| error.code()).unwrap();
    assert_eq!(appended.streams[0].first, 6);
    drop(server);
    assert!(stdout(dir.path(), &["verify"]).contains('7'), "the events of all appends");
}
