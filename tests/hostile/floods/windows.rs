//! HTTP/2 clients that ask for pages and events, and let the server send nothing of them.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream::FuturesUnordered;
use hyper::Request;

use crate::connect::{http2, keep, whole};
use crate::crowd::crowd;
use crate::served::Target;

const CONNECTIONS: usize = 8;
const REQUESTS: usize = 60;

pub(crate) async fn run(target: Arc<Target>) {
    crowd(CONNECTIONS, target, client).await;
}

async fn client(target: Arc<Target>) -> anyhow::Result<()> {
    http2(&target, 0, async |mut sender| {
        let answers = FuturesUnordered::new();
        for n in 0..REQUESTS {
            sender.ready().await?;
            let path = if n % 4 == 0 { "subscribe?from=beginning" } else { "events?limit=10000" };
            let request = Request::get(format!("http://{}/v1/{path}", target.address));
            let request = request.header("authorization", &target.authorization);
            answers.push(sender.send_request(request.body(whole(Bytes::new()))?));
        }
        keep(answers).await
    })
    .await
}
