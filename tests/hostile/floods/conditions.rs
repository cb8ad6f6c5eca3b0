//! Small appends whose condition goes through the whole log, by clients that leave at once.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::io::AsyncWriteExt;

use crate::connect::hold;
use crate::crowd::crowd;
use crate::served::Target;

const CLIENTS: usize = 6;
/// Prefixes of streams in the query.
const PREFIXES: usize = 1_000;
/// The time after which a client leaves.
const HELD: Duration = Duration::from_millis(500);

pub(crate) async fn run(target: Arc<Target>) {
    crowd(CLIENTS, target, client).await;
}

async fn client(target: Arc<Target>) -> anyhow::Result<()> {
    let prefixes: Vec<_> = (0..PREFIXES).map(|n| format!("stream:q{n}*")).collect();
    let query = format!("({})", prefixes.join(" or "));
    let event = json!({"stream": "n-1", "type": "N"});
    let body = json!({"events": [event], "none_after": [{"query": query}]}).to_string();
    let request = format!(
        "POST /v1/events HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
         authorization: {}\r\ncontent-length: {}\r\n\r\n{body}",
        target.authorization,
        body.len()
    );
    let mut stream = target.connect().await?;
    stream.write_all(request.as_bytes()).await?;
    hold(stream, HELD).await
}
