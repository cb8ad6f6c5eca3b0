//! Subscribers that take nothing: server-sent events over HTTP/1.1, and gRPC.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::FuturesUnordered;
use tokio::io::AsyncWriteExt;

use crate::connect::{grpc, hold, http2, keep, whole};
use crate::crowd::crowd;
use crate::served::Target;

const CLIENTS: usize = 80;
const CONNECTIONS: usize = 4;
const CALLS: usize = 40;
const HELD: Duration = Duration::from_secs(60);

pub(crate) async fn run(target: Arc<Target>) {
    tokio::join!(crowd(CLIENTS, target.clone(), over_http), crowd(CONNECTIONS, target, over_grpc));
}

async fn over_http(target: Arc<Target>) -> anyhow::Result<()> {
    let mut stream = target.connect().await?;
    let request = format!(
        "GET /v1/subscribe HTTP/1.1\r\nhost: localhost\r\nauthorization: {}\r\n\r\n",
        target.authorization
    );
    stream.write_all(request.as_bytes()).await?;
    hold(stream, HELD).await
}

async fn over_grpc(target: Arc<Target>) -> anyhow::Result<()> {
    http2(&target, 0, async |mut sender| {
        let answers = FuturesUnordered::new();
        for _ in 0..CALLS {
            sender.ready().await?;
            // An empty message.
            let mut request = grpc(&target, "Subscribe", whole(Bytes::from_static(&[0; 5])))?;
            request.headers_mut().insert("authorization", target.authorization.parse()?);
            answers.push(sender.send_request(request));
        }
        keep(answers).await
    })
    .await
}
