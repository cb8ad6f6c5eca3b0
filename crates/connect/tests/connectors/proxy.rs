//! The network between a connector and a server: a TCP proxy that a test can cut, silence and open again.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// What happens to the bytes of connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Condition {
    Open,
    /// Requests arrive, and no answer comes back before the proxy is open again.
    NoAnswers,
    /// Connections are closed, and new ones too.
    Cut,
}

/// A proxy. Dropping it cuts its connections.
pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    condition: Arc<watch::Sender<Condition>>,
}

impl Proxy {
    pub(crate) async fn start(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (condition, changes) = watch::channel(Condition::Open);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(forward(client, port, changes.clone()));
            }
        });
        Proxy { address, condition: Arc::new(condition) }
    }

    pub(crate) fn set(&self, condition: Condition) {
        self.condition.send_replace(condition);
    }
}

async fn forward(client: TcpStream, port: u16, mut changes: watch::Receiver<Condition>) {
    // One that is down refuses: so the connection is closed.
    let Ok(server) = TcpStream::connect(("127.0.0.1", port)).await else { return };
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let mut condition = changes.clone();
    let cut = async {
        // The proxy is gone if there is no condition any more.
        _ = condition.wait_for(|condition| *condition == Condition::Cut).await;
    };
    tokio::select! {
        () = cut => {}
        () = copy(from_client, to_server, None) => {}
        () = copy(from_server, to_client, Some(&mut changes)) => {}
    }
}

async fn copy(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    mut open: Option<&mut watch::Receiver<Condition>>,
) {
    let mut buffer = [0; 16 << 10];
    while let Ok(bytes) = from.read(&mut buffer).await {
        if let Some(open) = &mut open {
            _ = open.wait_for(|condition| *condition == Condition::Open).await;
        }
        if bytes == 0 || to.write_all(&buffer[..bytes]).await.is_err() {
            return;
        }
    }
}
