//! gRPC calls without credentials that never end their message, to take the places of requests.

use std::future::pending;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream::{FuturesUnordered, StreamExt};

use crate::connect::{endless, grpc, http2};
use crate::crowd::crowd;
use crate::served::Target;

const CONNECTIONS: usize = 8;
const CALLS: usize = 60;
/// A message of 127 bytes begins.
const BEGINNING: &[u8] = &[0, 0, 0, 0, 127, b'a'];

pub(crate) async fn run(target: Arc<Target>) {
    crowd(CONNECTIONS, target, client).await;
}

async fn client(target: Arc<Target>) -> anyhow::Result<()> {
    http2(&target, 65_535, async |mut sender| {
        let mut calls = FuturesUnordered::new();
        for _ in 0..CALLS {
            sender.ready().await?;
            calls.push(sender.send_request(grpc(
                &target,
                "Append",
                endless(Bytes::from_static(BEGINNING)),
            )?));
        }
        while calls.next().await.is_some() {}
        pending().await
    })
    .await
}
