//! Pages and subscriptions of large events that are not taken, in each form: plain, compressed, by HTTP and by gRPC.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream::FuturesUnordered;
use hyper::Request;

use crate::connect::{grpc, http2, keep, whole};
use crate::crowd::crowd;
use crate::served::Target;

const CONNECTIONS: usize = 8;
const REQUESTS: usize = 48;
/// The server may send a part of each answer, so that it makes as much as it would ever hold.
const WINDOW: u32 = 16 << 10;

pub(crate) async fn run(target: Arc<Target>) {
    crowd(CONNECTIONS, target, client).await;
}

async fn client(target: Arc<Target>) -> anyhow::Result<()> {
    http2(&target, WINDOW, async |mut sender| {
        let answers = FuturesUnordered::new();
        for n in 0..REQUESTS {
            sender.ready().await?;
            // An empty message: all events.
            let message = || whole(Bytes::from_static(&[0; 5]));
            let get = |path: String| {
                let request = Request::get(format!("http://{}/v1/{path}", target.address));
                Ok::<_, anyhow::Error>(request.body(whole(Bytes::new()))?)
            };
            let mut request = match n % 6 {
                0 => grpc(&target, "Read", message())?,
                1 => grpc(&target, "Subscribe", message())?,
                2 => get("subscribe?from=position:20001".to_owned())?,
                3 => get(format!("streams/large-{n}/events/0"))?,
                _ => get("events?query=category:large&limit=10000".to_owned())?,
            };
            let headers = request.headers_mut();
            headers.insert("authorization", target.authorization.parse()?);
            if n % 6 == 5 {
                headers.insert("accept-encoding", "zstd".parse()?);
            }
            answers.push(sender.send_request(request));
        }
        keep(answers).await
    })
    .await
}
