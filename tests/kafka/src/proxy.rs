//! A TCP proxy in front of a broker that knows where a request begins and ends.
//!
//! It passes everything until it is told otherwise for one kind of request: hold it back, drop it, or
//! lose its answer. What is held is let go later, even if its sender has gone: so a test can deliver
//! an old owner's bytes long after a newer one has taken over. Every request is remembered and can be
//! sent again, byte for byte.

use std::collections::{HashMap, VecDeque};
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::messages::ProduceRequest;
use kafka_protocol::protocol::Request;
use parking_lot::{Condvar, Mutex};

pub use kafka_protocol::messages::ApiKey;

use crate::wire::{Produced, WireError, replayed};

/// Longer requests end their connection.
const LARGEST: usize = 128 << 20;
/// So many of the latest requests are remembered.
const REMEMBERED: usize = 10_000;
const PATIENCE: Duration = Duration::from_secs(30);

/// What happens to requests of one kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Treatment {
    /// They go on to the broker.
    #[default]
    Pass,
    /// They wait, and so does what comes behind them on the same connection.
    Hold,
    /// They never arrive. This goes for what is held at the moment, too.
    Drop,
    /// They go on, and their answers get lost.
    LoseAnswers,
}

/// Stands before one broker. Dropping it ends its connections.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    broker: SocketAddr,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    treatments: HashMap<i16, Treatment>,
    held: usize,
    over: bool,
    requests: VecDeque<Passed>,
}

/// A request as it went by.
#[derive(Debug, Clone)]
pub struct Passed {
    /// Its kind.
    pub key: i16,
    /// The version of its layout.
    pub version: i16,
    frame: Bytes,
}

/// What is known of the requests of one connection: correlation id to kind.
type Asked = Arc<Mutex<HashMap<i32, i16>>>;

impl Proxy {
    /// Starts one on a free port.
    pub fn before(broker: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let (state, changed) = Default::default();
        let shared = Arc::new(Shared { broker, state, changed });
        let accepting = shared.clone();
        std::thread::Builder::new().name("proxy".to_owned()).spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                if accepting.state.lock().over || accepting.connect(client).is_err() {
                    break;
                }
            }
        })?;
        Ok(Proxy { address, shared })
    }

    /// Where clients go.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on, requests of this kind are treated so.
    pub fn treat(&self, kind: ApiKey, treatment: Treatment) {
        self.shared.state.lock().treatments.insert(kind as i16, treatment);
        self.shared.changed.notify_all();
    }

    /// Waits until so many requests are held.
    pub fn wait_until_held(&self, count: usize) -> io::Result<()> {
        let mut state = self.shared.state.lock();
        let waiting = |state: &mut State| state.held < count;
        let waited = self.shared.changed.wait_while_for(&mut state, waiting, PATIENCE);
        if waited.timed_out() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(()) }
    }

    /// The requests of this kind that have come, held or not.
    pub fn requests(&self, kind: ApiKey) -> Vec<Passed> {
        let state = self.shared.state.lock();
        state.requests.iter().filter(|passed| passed.key == kind as i16).cloned().collect()
    }

    /// Sends a request to the broker again, byte for byte, on a connection of its own.
    pub fn replay<R: Request>(&self, request: &Passed) -> Result<R::Response, WireError> {
        let address = self.shared.broker;
        let failed = |source| WireError::Connect { address, source };
        let mut stream = TcpStream::connect_timeout(&address, PATIENCE).map_err(failed)?;
        stream.set_read_timeout(Some(PATIENCE)).map_err(failed)?;
        stream.write_all(&request.frame).map_err(failed)?;
        let answer = read_frame(&mut stream).ok_or(WireError::Closed(address))?;
        replayed::answer::<R>(answer.slice(4..), request.version)
    }

    /// Sends a Produce again.
    pub fn replay_produce(&self, request: &Passed) -> Result<Produced, WireError> {
        self.replay::<ProduceRequest>(request).and_then(replayed::produced)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.state.lock().over = true;
        self.shared.changed.notify_all();
        // Wakes the one who accepts.
        _ = TcpStream::connect(self.address);
    }
}

impl Shared {
    /// Two threads for each connection, one for each direction.
    fn connect(self: &Arc<Self>, client: TcpStream) -> io::Result<()> {
        let broker = TcpStream::connect(self.broker)?;
        client.set_nodelay(true)?;
        broker.set_nodelay(true)?;
        let asked = Asked::default();
        let (shared, known) = (self.clone(), asked.clone());
        let (from, to) = (client.try_clone()?, broker.try_clone()?);
        let name = || std::thread::Builder::new().name("proxy".to_owned());
        name().spawn(move || shared.forward_requests(from, to, &known))?;
        let shared = self.clone();
        name().spawn(move || shared.forward_answers(broker, client, &asked))?;
        Ok(())
    }

    fn forward_requests(&self, mut client: TcpStream, mut broker: TcpStream, asked: &Asked) {
        while let Some(frame) = read_frame(&mut client) {
            let Some((key, version, correlation)) = header(&frame) else { break };
            let passed = Passed { key, version, frame: frame.clone() };
            if !self.admit(passed) {
                continue;
            }
            asked.lock().insert(correlation, key);
            if broker.write_all(&frame).is_err() {
                break;
            }
        }
        _ = broker.shutdown(Shutdown::Write);
    }

    fn forward_answers(&self, mut broker: TcpStream, mut client: TcpStream, asked: &Asked) {
        while let Some(frame) = read_frame(&mut broker) {
            let correlation = frame.get(4..8).and_then(|four| four.try_into().ok());
            let key = correlation.and_then(|id| asked.lock().remove(&i32::from_be_bytes(id)));
            let treatment = key.map_or(Treatment::Pass, |key| self.state.lock().treatment(key));
            if treatment != Treatment::LoseAnswers {
                // A client that has gone does not stop the broker from answering.
                _ = client.write_all(&frame);
            }
        }
        _ = client.shutdown(Shutdown::Both);
    }

    /// Whether the request goes on; waits while its kind is held.
    fn admit(&self, passed: Passed) -> bool {
        let mut state = self.state.lock();
        let key = passed.key;
        state.requests.push_back(passed);
        if state.requests.len() > REMEMBERED {
            state.requests.pop_front();
        }
        if state.treatment(key) == Treatment::Hold {
            state.held += 1;
            self.changed.notify_all();
            let held = |state: &mut State| !state.over && state.treatment(key) == Treatment::Hold;
            self.changed.wait_while(&mut state, held);
            state.held -= 1;
            self.changed.notify_all();
        }
        !state.over && state.treatment(key) != Treatment::Drop
    }
}

impl State {
    fn treatment(&self, key: i16) -> Treatment {
        self.treatments.get(&key).copied().unwrap_or_default()
    }
}

/// One request or answer, its length included.
fn read_frame(stream: &mut TcpStream) -> Option<Bytes> {
    let mut length = [0; 4];
    stream.read_exact(&mut length).ok()?;
    let size = usize::try_from(i32::from_be_bytes(length)).ok().filter(|size| *size <= LARGEST)?;
    let mut frame = vec![0; size + 4];
    frame[..4].copy_from_slice(&length);
    stream.read_exact(&mut frame[4..]).ok()?;
    Some(frame.into())
}

/// Kind, version and correlation id of a request.
fn header(frame: &Bytes) -> Option<(i16, i16, i32)> {
    let key = i16::from_be_bytes(frame.get(4..6)?.try_into().ok()?);
    let version = i16::from_be_bytes(frame.get(6..8)?.try_into().ok()?);
    Some((key, version, i32::from_be_bytes(frame.get(8..12)?.try_into().ok()?)))
}
