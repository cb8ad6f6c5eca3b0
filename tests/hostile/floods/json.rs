//! Large bodies of JSON that become far more in memory: as many empty events, tags or conditions as fit.

use std::sync::Arc;

use bytes::Bytes;
use hyper::Request;

use crate::connect::{http2, whole};
use crate::crowd::crowd;
use crate::served::Target;

const CLIENTS: usize = 6;
const LENGTH: usize = 7 << 20;
/// What a body consists of: its beginning, and what is repeated.
const KINDS: [(&str, &str); 4] = [
    ("{\"events\":[", "{\"type\":\"a\"}"),
    ("{\"expect\":[", "{\"stream\":\"\",\"expected\":0}"),
    ("{\"none_after\":[", "{\"query\":\"\"}"),
    ("{\"events\":[{\"data\":[", "[]"),
];

pub(crate) async fn run(target: Arc<Target>) {
    crowd(CLIENTS, target, client).await;
}

fn body((beginning, part): (&str, &str)) -> Bytes {
    let mut body = beginning.to_owned();
    body.push_str(part);
    while body.len() < LENGTH {
        body.push(',');
        body.push_str(part);
    }
    body.push_str(if beginning.contains("data") { "]}]}" } else { "]}" });
    body.into()
}

async fn client(target: Arc<Target>) -> anyhow::Result<()> {
    http2(&target, 65_535, async |mut sender| {
        for kind in KINDS {
            sender.ready().await?;
            let request = Request::post(format!("http://{}/v1/events", target.address));
            let request = request.header("content-type", "application/json");
            let request = request.header("authorization", &target.authorization);
            // The answer is a refusal, whatever it says.
            _ = sender.send_request(request.body(whole(body(kind)))?).await?;
        }
        Ok(())
    })
    .await
}
