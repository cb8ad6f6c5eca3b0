//! Asks a node whether it is ready, with a minimal request of HTTP.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(2);
/// Waits for the indices of a node that is restarted, for at most a second.
const REQUEST: &str = "GET /_cluster/health?wait_for_status=yellow&timeout=1s HTTP/1.0\r\n\r\n";

/// Returns whether the node on this port serves all its indices.
pub(crate) fn is_ready(port: u16) -> io::Result<bool> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(REQUEST.as_bytes())?;
    let mut answer = [0; 16];
    let length = stream.read(&mut answer)?;
    let begin = answer.get(..length).unwrap_or_default();
    Ok(begin.windows(4).any(|part| part == b" 200"))
}
