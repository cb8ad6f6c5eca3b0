//! The network between one node and one broker: a TCP proxy that a test can cut, silence or delay.
//!
//! A broker tells its clients the addresses of all brokers. The link changes them to those of the node's other
//! links, so that the node never reaches a broker by another way.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::{ApiKey, FindCoordinatorResponse, MetadataResponse, ResponseHeader};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion};
use parking_lot::{Condvar, Mutex};

/// The most bytes of a request or an answer; a longer one ends its connection.
const LARGEST: usize = 128 << 20;

/// What happens to the bytes of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Condition {
    Open,
    /// Each request and each answer arrives later.
    Delayed(Duration),
    /// Nothing arrives before the link is open again. Connections stay, and requests arrive late, even if the node has
    /// closed their connection.
    Silent,
    /// Connections are reset and refused.
    Cut,
}

/// The links' ports by the brokers' ports, for one node.
pub(crate) type Ports = Arc<OnceLock<HashMap<i32, i32>>>;

/// A link. Dropping it ends its connections.
pub(crate) struct Link {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    broker: SocketAddr,
    ports: Ports,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    condition: Condition,
    is_over: bool,
    connections: Vec<TcpStream>,
}

/// The kinds and versions of the requests in flight on one connection, by correlation id.
type Asked = Arc<Mutex<HashMap<i32, (i16, i16)>>>;

impl Link {
    pub(crate) fn to(broker: SocketAddr, ports: Ports) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let address = listener.local_addr()?;
        let state = State { condition: Condition::Open, is_over: false, connections: Vec::new() };
        let (state, changed) = (Mutex::new(state), Condvar::new());
        let shared = Arc::new(Shared { broker, ports, state, changed });
        let accepting = shared.clone();
        spawn(move || {
            for node in listener.incoming().map_while(Result::ok) {
                if accepting.state.lock().is_over {
                    break;
                }
                // A broker that is dead refuses: so the node's connection is closed.
                _ = accepting.connect(node);
            }
        })?;
        Ok(Link { address, shared })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn set(&self, condition: Condition) {
        let mut state = self.shared.state.lock();
        state.condition = condition;
        if condition == Condition::Cut {
            state.reset();
        }
        self.shared.changed.notify_all();
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        let mut state = self.shared.state.lock();
        state.is_over = true;
        state.reset();
        drop(state);
        self.shared.changed.notify_all();
        // This wakes the accepting thread.
        _ = TcpStream::connect(self.address);
    }
}

impl State {
    fn reset(&mut self) {
        self.connections.drain(..).for_each(|stream| _ = stream.shutdown(Shutdown::Both));
    }
}

impl Shared {
    /// Starts two threads for a connection, one for each direction.
    fn connect(self: &Arc<Self>, node: TcpStream) -> io::Result<()> {
        let broker = TcpStream::connect(self.broker)?;
        node.set_nodelay(true)?;
        broker.set_nodelay(true)?;
        {
            let mut state = self.state.lock();
            if state.condition == Condition::Cut || state.is_over {
                return Ok(());
            }
            state.connections.retain(|stream| stream.peer_addr().is_ok());
            state.connections.extend([node.try_clone()?, broker.try_clone()?]);
        }
        let asked = Asked::default();
        let (shared, known) = (self.clone(), asked.clone());
        let (from, to) = (node.try_clone()?, broker.try_clone()?);
        spawn(move || shared.forward_requests(from, to, &known))?;
        let shared = self.clone();
        spawn(move || shared.forward_answers(broker, node, &asked))
    }

    fn forward_requests(&self, mut node: TcpStream, mut broker: TcpStream, asked: &Asked) {
        while let Some(frame) = read_frame(&mut node) {
            let Some((key, version, correlation)) = header(&frame) else { break };
            self.pass();
            asked.lock().insert(correlation, (key, version));
            if broker.write_all(&frame).is_err() {
                break;
            }
        }
        _ = broker.shutdown(Shutdown::Write);
    }

    fn forward_answers(&self, mut broker: TcpStream, mut node: TcpStream, asked: &Asked) {
        while let Some(frame) = read_frame(&mut broker) {
            let correlation = frame.get(4..8).and_then(|four| four.try_into().ok());
            let kind = correlation.and_then(|id| asked.lock().remove(&i32::from_be_bytes(id)));
            let frame = kind.map_or(frame.clone(), |kind| self.redirect(frame, kind));
            self.pass();
            if node.write_all(&frame).is_err() {
                break;
            }
        }
        _ = node.shutdown(Shutdown::Both);
    }

    /// Waits as long as the condition of the link says.
    fn pass(&self) {
        let mut state = self.state.lock();
        let is_silent = |state: &mut State| !state.is_over && state.condition == Condition::Silent;
        self.changed.wait_while(&mut state, is_silent);
        if let Condition::Delayed(by) = state.condition {
            drop(state);
            std::thread::sleep(by);
        }
    }

    /// Changes the ports of brokers in an answer to those of links.
    fn redirect(&self, frame: Bytes, (key, version): (i16, i16)) -> Bytes {
        let link =
            |port: i32| self.ports.get().and_then(|all| all.get(&port)).copied().unwrap_or(port);
        match ApiKey::try_from(key) {
            Ok(ApiKey::Metadata) => change::<MetadataResponse>(frame, version, |answer| {
                answer.brokers.iter_mut().for_each(|broker| broker.port = link(broker.port));
            }),
            Ok(ApiKey::FindCoordinator) => {
                change::<FindCoordinatorResponse>(frame, version, |answer| {
                    answer.port = link(answer.port);
                    answer.coordinators.iter_mut().for_each(|one| one.port = link(one.port));
                })
            }
            _ => frame,
        }
    }
}

/// Decodes an answer, changes it and encodes it.
fn change<A>(frame: Bytes, version: i16, change: impl FnOnce(&mut A)) -> Bytes
where
    A: Decodable + Encodable + HeaderVersion,
{
    let of_header = A::header_version(version);
    let mut rest = frame.slice(4..);
    let head = ResponseHeader::decode(&mut rest, of_header).unwrap();
    let mut answer = A::decode(&mut rest, version).unwrap();
    change(&mut answer);
    let mut bytes = BytesMut::zeroed(4);
    head.encode(&mut bytes, of_header).unwrap();
    answer.encode(&mut bytes, version).unwrap();
    let length = i32::try_from(bytes.len() - 4).unwrap();
    bytes[..4].copy_from_slice(&length.to_be_bytes());
    bytes.freeze()
}

fn spawn(run: impl FnOnce() + Send + 'static) -> io::Result<()> {
    std::thread::Builder::new().name("link".to_owned()).spawn(run).map(drop)
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
