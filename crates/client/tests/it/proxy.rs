use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::served::RUNTIME;

/// Stands between clients and a server, and cuts each connection after some bytes: in the middle of
/// a request, after it, in the middle of an answer.
pub(crate) struct Proxy {
    address: SocketAddr,
    task: JoinHandle<()>,
    shared: Arc<Shared>,
}

struct Shared {
    server: SocketAddr,
    random: AtomicU64,
    /// Whether connections are cut at all.
    cuts: AtomicBool,
    cut: AtomicU64,
}

impl Proxy {
    pub(crate) fn start(server: SocketAddr, seed: u64) -> Self {
        let listener = RUNTIME.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            server,
            random: AtomicU64::new(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1),
            cuts: AtomicBool::new(true),
            cut: AtomicU64::new(0),
        });
        let task = RUNTIME.spawn(accept(listener, shared.clone()));
        Proxy { address, task, shared }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many connections were cut.
    pub(crate) fn cut(&self) -> u64 {
        self.shared.cut.load(Ordering::SeqCst)
    }

    /// Stops choosing further connections to break.
    pub(crate) fn calm(&self) {
        self.shared.cuts.store(false, Ordering::SeqCst);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Shared {
    /// A number below a bound; which connection gets which depends on who comes first.
    fn below(&self, bound: u64) -> u64 {
        let step = |mut x: u64| {
            x ^= x << 13;
            x ^= x >> 7;
            x ^ (x << 17)
        };
        let update = |x| Some(step(x));
        let order = Ordering::SeqCst;
        self.random.fetch_update(order, order, update).unwrap_or_default() % bound
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    while let Ok((client, _)) = listener.accept().await {
        RUNTIME.spawn(connection(client, shared.clone()));
    }
}

async fn connection(client: TcpStream, shared: Arc<Shared>) {
    let Ok(server) = TcpStream::connect(shared.server).await else { return };
    _ = (client.set_nodelay(true), server.set_nodelay(true));
    // Most live long enough to do something; some die while they say hello.
    let budget = match shared.below(8) {
        0 => shared.below(300),
        _ => 300 + shared.below(6_000),
    };
    let budget = if shared.cuts.load(Ordering::SeqCst) { budget } else { u64::MAX };
    let left = Arc::new(AtomicU64::new(budget));
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    tokio::select! {
        () = copy(from_client, to_server, left.clone()) => {}
        () = copy(from_server, to_client, left.clone()) => {}
    }
    shared.cut.fetch_add(1, Ordering::SeqCst);
}

async fn copy(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, left: Arc<AtomicU64>) {
    let mut buffer = vec![0; 16 << 10];
    loop {
        let Ok(read) = from.read(&mut buffer).await else { return };
        let order = Ordering::SeqCst;
        let had = left.fetch_update(order, order, |left| Some(left.saturating_sub(read as u64)));
        let passed = had.unwrap_or_default().min(read as u64) as usize;
        let sent = to.write_all(&buffer[..passed]).await;
        if read == 0 || passed < read || sent.is_err() {
            return;
        }
    }
}
