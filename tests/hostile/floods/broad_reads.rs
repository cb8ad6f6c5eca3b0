//! Reads that look at the whole log and find nothing.

use std::sync::Arc;

use tokio::io::AsyncWriteExt;

use crate::connect::take_slowly;
use crate::crowd::crowd;
use crate::served::Target;

const CLIENTS: usize = 30;

pub(crate) async fn run(target: Arc<Target>) {
    crowd(CLIENTS, target, client).await;
}

async fn client(target: Arc<Target>) -> anyhow::Result<()> {
    let request = format!(
        "GET /v1/events?query=not%20stream:o* HTTP/1.1\r\nhost: localhost\r\nauthorization: {}\r\n\
         connection: close\r\n\r\n",
        target.authorization
    );
    let mut stream = target.connect().await?;
    stream.write_all(request.as_bytes()).await?;
    take_slowly(stream, std::time::Duration::ZERO).await
}
