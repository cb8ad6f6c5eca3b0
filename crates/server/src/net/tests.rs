//! A protocol that is not HTTP, served by the same acceptor: it sends each line back.

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::*;
use crate::limits::Pool;
use crate::make_certificate;
use leftfold_api::BoxFuture;
use std::sync::Arc;

/// How long a test waits for anything.
const DEADLINE: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_millis(200);

/// Sends each line back. After the shutdown signal it says `bye` and ends, unless it is stubborn.
struct Echo {
    is_stubborn: bool,
}

impl Protocol for Echo {
    fn serve(self: Arc<Self>, connection: Connection) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            let Connection { stream, peer, shutdown, slot: _slot, .. } = connection;
            assert!(peer.ip().is_loopback());
            let mut stream = BufReader::new(stream);
            loop {
                let mut line = String::new();
                tokio::select! {
                    read = stream.read_line(&mut line) => {
                        if read.unwrap_or(0) == 0 || stream.write_all(line.as_bytes()).await.is_err() {
                            return;
                        }
                        _ = stream.flush().await;
                    }
                    () = shutdown.begun(), if !self.is_stubborn => {
                        _ = stream.write_all(b"bye\n").await;
                        _ = stream.shutdown().await;
                        return;
                    }
                }
            }
        })
    }
}

struct Served {
    address: SocketAddr,
    shutdown: Shutdown,
    gauge: Gauge,
    refused: Counter,
    ended: JoinHandle<()>,
}

async fn serve(
    connections: usize,
    is_stubborn: bool,
    certificate: Option<Arc<Certificate>>,
) -> Served {
    serve_within(connections, (u64::MAX, DEADLINE), is_stubborn, certificate).await
}

async fn serve_within(
    connections: usize,
    (descriptors, handshake_time): (u64, Duration),
    is_stubborn: bool,
    certificate: Option<Arc<Certificate>>,
) -> Served {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let protocol = Arc::new(Echo { is_stubborn });
    let (shutdown, gauge, refused) = (Shutdown::new(), Gauge::default(), Counter::default());
    let acceptor = Acceptor {
        limits: ConnectionLimits {
            permits: Arc::new(Semaphore::new(connections)),
            shares: Pool::new(connections, 50),
            descriptors,
            handshake_time,
            write_time: DEADLINE,
            shutdown_time: if is_stubborn { SHORT } else { DEADLINE },
        },
        threads: Arc::new(Threads::start(Duration::ZERO).unwrap()),
        shutdown: shutdown.clone(),
        gauge: gauge.clone(),
        refused: refused.clone(),
        tls: certificate.map(|certificate| certificate.acceptor(protocol.alpn()).unwrap()),
    };
    let ended = tokio::spawn(acceptor.run(listener, protocol));
    Served { address, shutdown, gauge, refused, ended }
}

async fn ask(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), line: &str) -> String {
    stream.write_all(line.as_bytes()).await.unwrap();
    let mut answer = vec![0; line.len()];
    timeout(DEADLINE, stream.read_exact(&mut answer)).await.unwrap().unwrap();
    String::from_utf8(answer).unwrap()
}

async fn rest(stream: &mut (impl AsyncRead + Unpin)) -> String {
    let mut text = Vec::new();
    _ = timeout(DEADLINE, stream.read_to_end(&mut text)).await.unwrap();
    String::from_utf8(text).unwrap()
}

fn trust(ca: &Path) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(ca).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let config = config.unwrap().with_root_certificates(roots).with_no_client_auth();
    TlsConnector::from(Arc::new(config))
}

#[tokio::test]
async fn a_protocol_of_lines_is_served_without_tls() {
    let served = serve(10, false, None).await;
    let mut stream = TcpStream::connect(served.address).await.unwrap();
    for line in ["one\n", "another\n"] {
        assert_eq!(ask(&mut stream, line).await, line);
    }
    assert_eq!(served.gauge.get(), 1);
}

#[tokio::test]
async fn a_protocol_of_lines_is_served_with_tls() {
    let dir = tempfile::tempdir().unwrap();
    let made = make_certificate(dir.path(), &["localhost".to_owned()]).unwrap();
    let certificate = Certificate::read(&made.certificate, &made.key).unwrap();
    let served = serve(10, false, Some(certificate.clone())).await;
    let stream = TcpStream::connect(served.address).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let mut stream = trust(&dir.path().join("ca.pem")).connect(name, stream).await.unwrap();
    assert_eq!(ask(&mut stream, "secret\n").await, "secret\n");

    // Without a handshake the connection ends, within its time.
    let hasty = serve_within(10, (u64::MAX, SHORT), false, Some(certificate)).await;
    let mut silent = TcpStream::connect(hasty.address).await.unwrap();
    assert_eq!(rest(&mut silent).await, "");
    served.shutdown.begin();
    assert_eq!(rest(&mut stream).await, "bye\n");
    timeout(DEADLINE, served.ended).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_connection_beyond_the_limit_waits_for_a_slot() {
    let served = serve(1, false, None).await;
    let mut first = TcpStream::connect(served.address).await.unwrap();
    assert_eq!(ask(&mut first, "first\n").await, "first\n");
    let mut second = TcpStream::connect(served.address).await.unwrap();
    second.write_all(b"second\n").await.unwrap();
    let mut answer = [0; 7];
    assert!(timeout(SHORT, second.read_exact(&mut answer)).await.is_err(), "there is no slot");
    drop(first);
    timeout(DEADLINE, second.read_exact(&mut answer)).await.unwrap().unwrap();
    assert_eq!(&answer, b"second\n");
    assert_eq!(served.gauge.get(), 1);
}

#[tokio::test]
async fn one_address_leaves_connections_to_others() {
    let served = serve(4, false, None).await;
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut stream = TcpStream::connect(served.address).await.unwrap();
        assert_eq!(ask(&mut stream, "line\n").await, "line\n");
        held.push(stream);
    }
    let mut refused = TcpStream::connect(served.address).await.unwrap();
    assert_eq!(rest(&mut refused).await, "");
    assert_eq!((served.refused.get(), served.gauge.get()), (1, 2));
    let other = TcpSocket::new_v4().unwrap();
    other.bind("127.0.0.2:0".parse().unwrap()).unwrap();
    let mut other = other.connect(served.address).await.unwrap();
    assert_eq!(ask(&mut other, "other\n").await, "other\n");
    // A connection that ends makes room.
    held.clear();
    while served.gauge.get() > 1 {
        tokio::task::yield_now().await;
    }
    let mut again = TcpStream::connect(served.address).await.unwrap();
    assert_eq!(ask(&mut again, "again\n").await, "again\n");
}

#[tokio::test]
async fn a_connection_that_would_take_a_descriptor_of_the_store_is_closed() {
    let served = serve_within(10, (0, DEADLINE), false, None).await;
    for _ in 0..3 {
        let mut stream = TcpStream::connect(served.address).await.unwrap();
        assert_eq!(rest(&mut stream).await, "");
    }
    assert_eq!((served.refused.get(), served.gauge.get()), (3, 0));
    served.shutdown.begin();
    timeout(DEADLINE, served.ended).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_shutdown_lets_connections_end_by_themselves() {
    let served = serve(10, false, None).await;
    let mut stream = TcpStream::connect(served.address).await.unwrap();
    assert_eq!(ask(&mut stream, "line\n").await, "line\n");
    served.shutdown.begin();
    assert_eq!(rest(&mut stream).await, "bye\n");
    timeout(DEADLINE, served.ended).await.unwrap().unwrap();
    assert!(TcpStream::connect(served.address).await.is_err(), "it listens no more");
    assert_eq!(served.gauge.get(), 0);
}

#[tokio::test]
async fn a_shutdown_cuts_off_connections_that_do_not_end_in_time() {
    let served = serve(10, true, None).await;
    let mut stream = TcpStream::connect(served.address).await.unwrap();
    assert_eq!(ask(&mut stream, "line\n").await, "line\n");
    let begun = Instant::now();
    served.shutdown.begin();
    timeout(DEADLINE, served.ended).await.unwrap().unwrap();
    assert!(begun.elapsed() >= SHORT, "it had its time");
    assert_eq!(rest(&mut stream).await, "");
    assert_eq!(served.gauge.get(), 0);
}
