//! A server on this machine, by its Unix socket.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::Path;

use leftfold_api::{Append, Coded, EventStore, NewEvent, Query, Read};
use leftfold_client::Client;
use leftfold_server::{Config, RunningServer, Server, StartError};
use pollster::block_on;

use crate::served::{RUNTIME, store};

fn start(socket: &Path) -> Result<RunningServer, StartError> {
    let mut config = Config::default();
    config.listen = "127.0.0.1:0".parse().unwrap();
    config.socket = Some(socket.to_owned());
    RUNTIME.block_on(Server::start(config, store()))
}

#[test]
fn a_server_answers_by_its_socket_too() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("leftfold.socket");
    // A server that was killed leaves its socket.
    drop(UnixListener::bind(&path).unwrap());
    let running = start(&path).unwrap();
    let mode = path.metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    let client = block_on(Client::connect(format!("unix:{}", path.display()))).unwrap();
    let events = (0..300).map(|n| NewEvent::new("Put", format!("{n:0500}")));
    let append = events.fold(Append::new(), |append, event| append.event("a-1", event));
    block_on(client.append(append)).unwrap();
    let page = block_on(client.read(Read::forward(Query::stream("a-1")))).unwrap();
    assert_eq!(page.events.len(), 300);
    let by_port = block_on(Client::connect(format!("http://{}", running.local_addr()))).unwrap();
    assert_eq!(block_on(by_port.head()).unwrap(), block_on(client.head()).unwrap());

    let used = start(&path).err().unwrap();
    assert_eq!(used.code(), "listen_failed");
    assert!(used.to_string().contains("leftfold.socket"), "{used}");
    RUNTIME.block_on(running.shutdown());
    assert!(!path.exists());
}

#[test]
fn a_socket_without_a_server_and_a_file_that_is_none() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("leftfold.socket");
    let missing = block_on(Client::connect(format!("unix:{}", path.display()))).err().unwrap();
    assert_eq!(missing.code(), "server_unreachable");
    assert!(!missing.to_string().contains("TLS"), "{missing}");
    // What is no socket is left alone.
    std::fs::write(&path, "mine").unwrap();
    assert_eq!(start(&path).err().unwrap().code(), "listen_failed");
    assert_eq!(std::fs::read(&path).unwrap(), b"mine");
}
