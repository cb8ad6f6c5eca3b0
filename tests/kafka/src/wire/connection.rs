use std::collections::HashMap;
use std::io::{BufReader, Read, Write};
use std::marker::PhantomData;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use kafka_protocol::messages::{ApiVersionsRequest, RequestHeader, ResponseHeader};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Request, StrBytes};
use oneshot::{Receiver, Sender};
use parking_lot::Mutex;

use super::versions::{Versions, name};
use leftfold_kafka::KafkaError;

/// The most bytes of an answer; a Fetch is bounded far below this.
const LARGEST_ANSWER: usize = 128 << 20;
/// The most requests in flight.
const MOST_IN_FLIGHT: usize = 1_024;
/// The most time for connecting and for sending a request.
const CONNECT_PATIENCE: Duration = Duration::from_secs(5);

const CLIENT_ID: &str = "leftfold";

/// A connection to one broker. Clones share it; the last clone closes it.
#[derive(Debug, Clone)]
pub struct Connection(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    address: SocketAddr,
    versions: Versions,
    patience: Duration,
    outgoing: Mutex<WriteHalf>,
    waiting: Arc<PendingReplies>,
}

#[derive(Debug)]
struct WriteHalf {
    stream: TcpStream,
    correlation: i32,
}

/// The receivers of the pending answers by correlation id; `None` once the connection is closed.
#[derive(Debug, Default)]
struct PendingReplies(Mutex<Option<HashMap<i32, Sender<Bytes>>>>);

/// A pending answer.
#[must_use = "the outcome of a request is unknown until its answer arrives"]
#[derive(Debug)]
pub struct Reply<R> {
    receiver: Receiver<Bytes>,
    address: SocketAddr,
    version: i16,
    patience: Duration,
    request: PhantomData<fn() -> R>,
}

impl Connection {
    /// Connects and asks for the versions that the broker supports.
    ///
    /// The connection waits at most `patience` for any answer.
    pub fn open(address: SocketAddr, patience: Duration) -> Result<Self, KafkaError> {
        let failed = |source| KafkaError::Connect { address, source };
        let stream = TcpStream::connect_timeout(&address, CONNECT_PATIENCE).map_err(failed)?;
        stream.set_nodelay(true).map_err(failed)?;
        stream.set_write_timeout(Some(CONNECT_PATIENCE)).map_err(failed)?;
        let incoming = stream.try_clone().map_err(failed)?;
        let waiting = Arc::new(PendingReplies(Mutex::new(Some(HashMap::new()))));
        let readers = waiting.clone();
        let read = move || readers.serve(incoming);
        let thread = std::thread::Builder::new().name("leftfold-kafka".to_owned());
        thread.spawn(read).map_err(failed)?;
        let outgoing = Mutex::new(WriteHalf { stream, correlation: 0 });
        // Every broker supports version 0 of this first request.
        let versions = Versions([(ApiVersionsRequest::KEY, (0, 0))].into());
        let first = Inner { address, versions, patience, outgoing, waiting };
        let answer = first.send(0, &ApiVersionsRequest::default())?.wait()?;
        KafkaError::check("ApiVersionsRequest", answer.error_code, None)?;
        let versions = answer.api_keys.iter();
        let versions = versions.map(|api| (api.api_key, (api.min_version, api.max_version)));
        let versions = Versions(versions.collect());
        Ok(Connection(Arc::new(first.with_versions(versions))))
    }

    /// Returns the broker's address.
    pub fn address(&self) -> SocketAddr {
        self.0.address
    }

    /// Sends a request in the newest version that both sides support.
    pub fn send<R: Request>(&self, request: &R) -> Result<Reply<R>, KafkaError> {
        self.0.send(self.0.versions.newest::<R>()?, request)
    }

    /// Sends a request in exactly this version.
    pub fn send_at<R: Request>(&self, version: i16, request: &R) -> Result<Reply<R>, KafkaError> {
        self.0.send(self.0.versions.exactly::<R>(version)?, request)
    }

    /// Sends a request and waits for its answer.
    pub fn call<R: Request>(&self, request: &R) -> Result<R::Response, KafkaError> {
        self.send(request)?.wait()
    }

    /// Sends a request in exactly this version and waits for its answer.
    pub fn call_at<R: Request>(
        &self,
        version: i16,
        request: &R,
    ) -> Result<R::Response, KafkaError> {
        self.send_at(version, request)?.wait()
    }

    /// Returns whether the connection can still receive answers.
    pub fn is_open(&self) -> bool {
        self.0.waiting.0.lock().is_some()
    }
}

impl Inner {
    fn with_versions(mut self, versions: Versions) -> Self {
        self.versions = versions;
        self
    }

    fn send<R: Request>(&self, version: i16, request: &R) -> Result<Reply<R>, KafkaError> {
        let (sender, receiver) = oneshot::channel();
        let mut outgoing = self.outgoing.lock();
        outgoing.correlation = outgoing.correlation.wrapping_add(1);
        let frame = encode(outgoing.correlation, version, request);
        let frame = frame.map_err(|why| KafkaError::Unencodable { request: name::<R>(), why })?;
        self.waiting.add(outgoing.correlation, sender, self.address)?;
        if outgoing.stream.write_all(&frame).is_err() {
            // A part of the request may have been sent, so the stream is unusable.
            self.waiting.close();
            _ = outgoing.stream.shutdown(Shutdown::Both);
            return Err(KafkaError::Closed(self.address));
        }
        let (address, patience) = (self.address, self.patience);
        Ok(Reply { receiver, address, version, patience, request: PhantomData })
    }
}

impl Drop for WriteHalf {
    fn drop(&mut self) {
        // This ends the reading thread.
        _ = self.stream.shutdown(Shutdown::Both);
    }
}

impl PendingReplies {
    fn add(&self, id: i32, sender: Sender<Bytes>, address: SocketAddr) -> Result<(), KafkaError> {
        let mut waiting = self.0.lock();
        let waiting = waiting.as_mut().ok_or(KafkaError::Closed(address))?;
        // Drop the entries of callers that stopped waiting.
        if waiting.len() >= MOST_IN_FLIGHT {
            waiting.retain(|_, sender| !sender.is_closed());
        }
        if waiting.len() >= MOST_IN_FLIGHT {
            return Err(KafkaError::Busy(waiting.len()));
        }
        waiting.insert(id, sender);
        Ok(())
    }

    /// Delivers answers until the connection ends.
    fn serve(&self, stream: TcpStream) {
        let mut stream = BufReader::with_capacity(64 << 10, stream);
        while let Some((id, answer)) = read_answer(&mut stream) {
            let sender = self.0.lock().as_mut().and_then(|waiting| waiting.remove(&id));
            if let Some(sender) = sender {
                // A failure means that the caller stopped waiting.
                _ = sender.send(answer);
            }
        }
        self.close();
    }

    /// Closes the connection; all waiting callers get an error.
    fn close(&self) {
        drop(self.0.lock().take());
    }
}

fn read_answer(stream: &mut impl Read) -> Option<(i32, Bytes)> {
    let mut length = [0; 4];
    stream.read_exact(&mut length).ok()?;
    let length = usize::try_from(i32::from_be_bytes(length)).ok()?;
    if length > LARGEST_ANSWER {
        return None;
    }
    let mut answer = vec![0; length];
    stream.read_exact(&mut answer).ok()?;
    let id = answer.get(..4)?.try_into().ok().map(i32::from_be_bytes)?;
    Some((id, answer.into()))
}

fn encode<R: Request>(correlation: i32, version: i16, request: &R) -> Result<BytesMut, String> {
    let mut frame = BytesMut::with_capacity(256);
    frame.put_i32(0);
    let header = RequestHeader::default()
        .with_request_api_key(R::KEY)
        .with_request_api_version(version)
        .with_correlation_id(correlation)
        .with_client_id(Some(StrBytes::from_static_str(CLIENT_ID)));
    let laid_out = header
        .encode(&mut frame, R::header_version(version))
        .and_then(|()| request.encode(&mut frame, version));
    laid_out.map_err(|error| error.to_string())?;
    let length = i32::try_from(frame.len() - 4).map_err(|_| "it is too large".to_owned())?;
    frame[..4].copy_from_slice(&length.to_be_bytes());
    Ok(frame)
}

impl<R: Request> Reply<R> {
    /// Waits for the answer.
    pub fn wait(self) -> Result<R::Response, KafkaError> {
        let patience = self.patience;
        self.wait_for(patience)
    }

    /// Waits at most `patience` for the answer.
    pub fn wait_for(self, patience: Duration) -> Result<R::Response, KafkaError> {
        match self.receiver.recv_timeout(patience) {
            Ok(answer) => decode::<R>(answer, self.version),
            Err(oneshot::RecvTimeoutError::Timeout) => {
                Err(KafkaError::Timeout { request: name::<R>(), waited: patience })
            }
            Err(oneshot::RecvTimeoutError::Disconnected) => Err(KafkaError::Closed(self.address)),
        }
    }
}

pub(crate) fn decode<R: Request>(
    mut answer: Bytes,
    version: i16,
) -> Result<R::Response, KafkaError> {
    let malformed = |error| KafkaError::malformed(name::<R>(), error);
    ResponseHeader::decode(&mut answer, R::Response::header_version(version)).map_err(malformed)?;
    let decoded = R::Response::decode(&mut answer, version).map_err(malformed)?;
    if answer.has_remaining() {
        return Err(KafkaError::malformed(name::<R>(), "there are bytes behind its end"));
    }
    Ok(decoded)
}
