//! A mail service over HTTP on a local port, with injected faults and idempotency keys.

use std::collections::BTreeSet;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use parking_lot::Mutex;

/// The longest wait for the other end.
const TIMEOUT: Duration = Duration::from_secs(30);
/// The most bytes of headers or a body.
const MAX_BYTES: u64 = 64 << 10;

/// The mail service and its counts.
pub struct Endpoint {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    posts: u64,
    sent: BTreeSet<String>,
    /// The number of posts that will be answered with 503.
    refusals: u64,
    /// The number of posts that will be executed, but whose connection breaks before the answer.
    breaks: u64,
}

impl Endpoint {
    /// Starts the service on a free port.
    pub fn open() -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let (address, state) = (listener.local_addr()?, Arc::<Mutex<State>>::default());
        let of_thread = state.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // An error of one connection does not concern the others.
                _ = serve(stream, &of_thread);
            }
        });
        Ok(Endpoint { address, state })
    }

    /// Returns its address.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Injects faults: the next `refusals` posts are refused, then `breaks` are executed without an
    /// answer.
    pub fn inject_faults(&self, refusals: u64, breaks: u64) {
        let mut state = self.state.lock();
        (state.refusals, state.breaks) = (refusals, breaks);
    }

    /// Returns how many posts have arrived, and how many mails were sent.
    pub fn counts(&self) -> (u64, usize) {
        let state = self.state.lock();
        (state.posts, state.sent.len())
    }
}

/// Reads and answers one request.
fn serve(stream: TcpStream, state: &Mutex<State>) -> io::Result<()> {
    stream.set_read_timeout(Some(TIMEOUT))?;
    let mut reader = BufReader::new((&stream).take(MAX_BYTES));
    let (mut key, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        match line.trim_end().split_once(": ") {
            Some((name, value)) if name.eq_ignore_ascii_case("idempotency-key") => {
                value.clone_into(&mut key);
            }
            Some((name, value)) if name.eq_ignore_ascii_case("content-length") => {
                length = value.parse().unwrap_or(0);
            }
            None if line.trim_end().is_empty() => break,
            _ => {}
        }
    }
    reader.take(length).read_to_end(&mut Vec::new())?;
    match answer(&mut state.lock(), key) {
        Some(status) => write!(&stream, "HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n"),
        None => Ok(()),
    }
}

/// Executes a post; returns the status to answer, or `None` if the connection breaks.
fn answer(state: &mut State, key: String) -> Option<&'static str> {
    state.posts += 1;
    if state.refusals > 0 {
        state.refusals -= 1;
        return Some("503 Service Unavailable");
    }
    // One mail per key, however often it is posted.
    state.sent.insert(key);
    if state.breaks > 0 {
        state.breaks -= 1;
        return None;
    }
    Some("200 OK")
}

/// Posts a body with an idempotency key; returns an error unless the answer is 200.
pub fn post(address: SocketAddr, key: &str, body: &[u8]) -> io::Result<()> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    let length = body.len();
    write!(
        stream,
        "POST /mails HTTP/1.1\r\nhost: {address}\r\nidempotency-key: {key}\r\n\
         content-length: {length}\r\nconnection: close\r\n\r\n"
    )?;
    stream.write_all(body)?;
    let mut status = String::new();
    BufReader::new(stream.take(MAX_BYTES)).read_line(&mut status)?;
    match status.split(' ').nth(1) {
        Some("200") => Ok(()),
        Some(other) => Err(io::Error::other(format!("the mail service answered {other}"))),
        None => Err(io::Error::other("the connection broke before there was an answer")),
    }
}
