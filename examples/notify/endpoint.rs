//! A mail service on this machine that speaks HTTP: it has bad moments, and knows idempotency keys.

use std::collections::BTreeSet;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use parking_lot::Mutex;

/// Nobody waits longer for the other end.
const PATIENCE: Duration = Duration::from_secs(30);
/// Headers and bodies are no longer.
const LONGEST: u64 = 64 << 10;

/// The service, and what has become of its day.
pub struct Endpoint {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    posts: u64,
    sent: BTreeSet<String>,
    /// As many posts are answered with 503.
    refusals: u64,
    /// As many are carried out, and the connection breaks before the answer.
    breaks: u64,
}

impl Endpoint {
    /// Opens the service on a free port.
    pub fn open() -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let (address, state) = (listener.local_addr()?, Arc::<Mutex<State>>::default());
        let of_thread = state.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // A client that breaks off is its own affair.
                _ = serve(stream, &of_thread);
            }
        });
        Ok(Endpoint { address, state })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A bad moment: so many posts are refused, and so many are carried out without an answer.
    pub fn be_unwell(&self, refusals: u64, breaks: u64) {
        let mut state = self.state.lock();
        (state.refusals, state.breaks) = (refusals, breaks);
    }

    /// How many posts have come, and how many mails were sent.
    pub fn tally(&self) -> (u64, usize) {
        let state = self.state.lock();
        (state.posts, state.sent.len())
    }
}

/// Answers one request.
fn serve(stream: TcpStream, state: &Mutex<State>) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut reader = BufReader::new((&stream).take(LONGEST));
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

/// What is done, and what is said about it; none if the connection breaks.
fn answer(state: &mut State, key: String) -> Option<&'static str> {
    state.posts += 1;
    if state.refusals > 0 {
        state.refusals -= 1;
        return Some("503 Service Unavailable");
    }
    // One mail for a key, however often it is asked for.
    state.sent.insert(key);
    if state.breaks > 0 {
        state.breaks -= 1;
        return None;
    }
    Some("200 OK")
}

/// Posts something with an idempotency key; an error unless it is answered with 200.
pub fn post(address: SocketAddr, key: &str, body: &[u8]) -> io::Result<()> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let length = body.len();
    write!(
        stream,
        "POST /mails HTTP/1.1\r\nhost: {address}\r\nidempotency-key: {key}\r\n\
         content-length: {length}\r\nconnection: close\r\n\r\n"
    )?;
    stream.write_all(body)?;
    let mut status = String::new();
    BufReader::new(stream.take(LONGEST)).read_line(&mut status)?;
    match status.split(' ').nth(1) {
        Some("200") => Ok(()),
        Some(other) => Err(io::Error::other(format!("the mail service answered {other}"))),
        None => Err(io::Error::other("the connection broke before there was an answer")),
    }
}
