//! The server starts, is killed, and starts again on the same port.

use std::net::TcpStream;

use leftfold_redis_server::{Server, ServerError};

#[test]
fn a_killed_server_starts_again() -> Result<(), ServerError> {
    let mut server = Server::start(&[])?;
    assert!(server.url().contains(&server.port().to_string()));
    server.kill()?;
    assert!(TcpStream::connect(("127.0.0.1", server.port())).is_err());
    server.restart()?;
    assert!(TcpStream::connect(("127.0.0.1", server.port())).is_ok());
    Ok(())
}
