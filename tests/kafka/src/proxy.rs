//! A TCP proxy in front of a broker that works on whole requests.
//!
//! It forwards all requests by default. For a kind of request, a test can make it hold or drop
//! requests, or drop their answers. Held requests are forwarded later even if their client is gone.
//! So a test can deliver an old owner's bytes long after a newer owner took over. The proxy records
//! every request and can replay it byte for byte.

use std::collections::{HashMap, VecDeque};
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use kafka_protocol::messages::ProduceRequest;
use kafka_protocol::protocol::Request;
use leftfold_kafka::{KafkaError, ProduceResult, decode_answer};
use parking_lot::{Condvar, Mutex};

pub use kafka_protocol::messages::ApiKey;

/// The most bytes of a request; a longer one ends its connection.
const LARGEST: usize = 128 << 20;
/// The number of recorded requests; older ones are dropped.
const REMEMBERED: usize = 10_000;
const PATIENCE: Duration = Duration::from_secs(30);

/// The treatment of requests of one kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Treatment {
    /// The proxy forwards them.
    #[default]
    Pass,
    /// The proxy holds them, and all later requests of the same connection.
    Hold,
    /// The proxy drops them, including those that it holds.
    Drop,
    /// The proxy forwards them and drops their answers.
    LoseAnswers,
}

/// A proxy in front of one broker. Dropping it ends its connections.
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
    requests: VecDeque<RecordedRequest>,
}

/// A recorded request.
#[derive(Debug, Clone)]
pub struct RecordedRequest {
    /// The kind of request.
    pub key: i16,
    /// The version of the request.
    pub version: i16,
    frame: Bytes,
}

/// The kinds of the requests in flight on one connection, by correlation id.
type RequestKinds = Arc<Mutex<HashMap<i32, i16>>>;

impl Proxy {
    /// Starts a proxy on a free port.
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

    /// Returns the address for clients.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sets the treatment of requests of this kind.
    pub fn set_treatment(&self, kind: ApiKey, treatment: Treatment) {
        self.shared.state.lock().treatments.insert(kind as i16, treatment);
        self.shared.changed.notify_all();
    }

    /// Waits until at least `count` requests are held.
    pub fn wait_until_held(&self, count: usize) -> io::Result<()> {
        let mut state = self.shared.state.lock();
        let waiting = |state: &mut State| state.held < count;
        let waited = self.shared.changed.wait_while_for(&mut state, waiting, PATIENCE);
        if waited.timed_out() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(()) }
    }

    /// Returns the recorded requests of this kind, including held ones.
    pub fn requests(&self, kind: ApiKey) -> Vec<RecordedRequest> {
        let state = self.shared.state.lock();
        state.requests.iter().filter(|passed| passed.key == kind as i16).cloned().collect()
    }

    /// Sends a recorded request to the broker again, byte for byte, on a new connection.
    pub fn replay<R: Request>(&self, request: &RecordedRequest) -> Result<R::Response, KafkaError> {
        let address = self.shared.broker;
        let failed = |error: io::Error| KafkaError::Connect {
            address: address.into(),
            source: error.into(),
        };
        let mut stream = TcpStream::connect_timeout(&address, PATIENCE).map_err(failed)?;
        stream.set_read_timeout(Some(PATIENCE)).map_err(failed)?;
        stream.write_all(&request.frame).map_err(failed)?;
        let answer = read_frame(&mut stream).ok_or_else(|| KafkaError::Closed(address.into()))?;
        decode_answer::<R>(answer.slice(4..), request.version)
    }

    /// Sends a recorded Produce again.
    pub fn replay_produce(&self, request: &RecordedRequest) -> Result<ProduceResult, KafkaError> {
        self.replay::<ProduceRequest>(request).and_then(ProduceResult::of)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.state.lock().over = true;
        self.shared.changed.notify_all();
        // This wakes the accepting thread.
        _ = TcpStream::connect(self.address);
    }
}

impl Shared {
    /// Starts two threads for a connection, one for each direction.
    fn connect(self: &Arc<Self>, client: TcpStream) -> io::Result<()> {
        let broker = TcpStream::connect(self.broker)?;
        client.set_nodelay(true)?;
        broker.set_nodelay(true)?;
        let asked = RequestKinds::default();
        let (shared, known) = (self.clone(), asked.clone());
        let (from, to) = (client.try_clone()?, broker.try_clone()?);
        let name = || std::thread::Builder::new().name("proxy".to_owned());
        name().spawn(move || shared.forward_requests(from, to, &known))?;
        let shared = self.clone();
        name().spawn(move || shared.forward_answers(broker, client, &asked))?;
        Ok(())
    }

    fn forward_requests(&self, mut client: TcpStream, mut broker: TcpStream, asked: &RequestKinds) {
        while let Some(frame) = read_frame(&mut client) {
            let Some((key, version, correlation)) = header(&frame) else { break };
            let passed = RecordedRequest { key, version, frame: frame.clone() };
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

    fn forward_answers(&self, mut broker: TcpStream, mut client: TcpStream, asked: &RequestKinds) {
        while let Some(frame) = read_frame(&mut broker) {
            let correlation = frame.get(4..8).and_then(|four| four.try_into().ok());
            let key = correlation.and_then(|id| asked.lock().remove(&i32::from_be_bytes(id)));
            let treatment = key.map_or(Treatment::Pass, |key| self.state.lock().treatment(key));
            if treatment != Treatment::LoseAnswers {
                // If the client is gone, the broker's answers are still read.
                _ = client.write_all(&frame);
            }
        }
        _ = client.shutdown(Shutdown::Both);
    }

    /// Records a request, waits while its kind is held, and returns whether to forward it.
    fn admit(&self, passed: RecordedRequest) -> bool {
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

/// Reads one request or answer, including its length.
fn read_frame(stream: &mut TcpStream) -> Option<Bytes> {
    let mut length = [0; 4];
    stream.read_exact(&mut length).ok()?;
    let size = usize::try_from(i32::from_be_bytes(length)).ok().filter(|size| *size <= LARGEST)?;
    let mut frame = vec![0; size + 4];
    frame[..4].copy_from_slice(&length);
    stream.read_exact(&mut frame[4..]).ok()?;
    Some(frame.into())
}

/// Returns the kind, the version and the correlation id of a request.
fn header(frame: &Bytes) -> Option<(i16, i16, i32)> {
    let key = i16::from_be_bytes(frame.get(4..6)?.try_into().ok()?);
    let version = i16::from_be_bytes(frame.get(6..8)?.try_into().ok()?);
    Some((key, version, i32::from_be_bytes(frame.get(8..12)?.try_into().ok()?)))
}
