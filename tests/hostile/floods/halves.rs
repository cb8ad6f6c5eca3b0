//! Halves of large messages, to be kept in memory: over gRPC without credentials, and over HTTP/1.1.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::io::AsyncWriteExt;

use crate::connect::{endless, grpc, hold, http2};
use crate::crowd::crowd;
use crate::served::Target;

const CONNECTIONS: usize = 8;
const CALLS: usize = 8;
/// What is announced, of which half is sent.
const LENGTH: u32 = 8 << 20;
const HELD: Duration = Duration::from_secs(60);

pub(crate) async fn run(target: Arc<Target>) {
    tokio::join!(
        crowd(CONNECTIONS, target.clone(), over_grpc),
        crowd(CONNECTIONS * CALLS, target, over_http),
    );
}

fn half() -> Vec<u8> {
    vec![b'a'; LENGTH as usize / 2]
}

async fn over_grpc(target: Arc<Target>) -> anyhow::Result<()> {
    let mut message = vec![0];
    message.extend(LENGTH.to_be_bytes());
    message.extend(half());
    let message = Bytes::from(message);
    http2(&target, 65_535, async |mut sender| {
        let mut calls = FuturesUnordered::new();
        for _ in 0..CALLS {
            sender.ready().await?;
            calls.push(sender.send_request(grpc(&target, "Append", endless(message.clone()))?));
        }
        while calls.next().await.is_some() {}
        Ok(())
    })
    .await
}

async fn over_http(target: Arc<Target>) -> anyhow::Result<()> {
    let mut stream = target.connect().await?;
    let head = format!(
        "POST /v1/events HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
         authorization: {}\r\ncontent-length: {LENGTH}\r\n\r\n",
        target.authorization
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(&half()).await?;
    hold(stream, HELD).await
}
