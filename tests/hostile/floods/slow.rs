//! Clients of HTTP/1.1 that write and read a byte at a time.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::connect::take_slowly;
use crate::crowd::crowd;
use crate::served::Target;

const CLIENTS: usize = 60;
const PAUSE: Duration = Duration::from_millis(500);
/// Pages that are asked for at once.
const PAGES: usize = 20;

pub(crate) async fn run(target: Arc<Target>) {
    tokio::join!(
        crowd(CLIENTS, target.clone(), writes_its_head),
        crowd(CLIENTS, target.clone(), writes_its_body),
        crowd(CLIENTS, target, reads_its_pages),
    );
}

async fn write_slowly(
    stream: &mut TcpStream,
    bytes: impl Iterator<Item = u8>,
) -> anyhow::Result<()> {
    for byte in bytes {
        stream.write_all(&[byte]).await?;
        tokio::time::sleep(PAUSE).await;
    }
    Ok(())
}

async fn writes_its_head(target: Arc<Target>) -> anyhow::Result<()> {
    let mut stream = target.connect().await?;
    write_slowly(&mut stream, b"GET /health/live HTTP/1.1\r\nx: ".iter().copied().cycle()).await
}

async fn writes_its_body(target: Arc<Target>) -> anyhow::Result<()> {
    let mut stream = target.connect().await?;
    let head = format!(
        "POST /v1/events HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
         authorization: {}\r\ncontent-length: 1000000\r\n\r\n",
        target.authorization
    );
    stream.write_all(head.as_bytes()).await?;
    write_slowly(&mut stream, std::iter::repeat(b' ')).await
}

async fn reads_its_pages(target: Arc<Target>) -> anyhow::Result<()> {
    let mut stream = target.connect().await?;
    let request = format!(
        "GET /v1/events?limit=10000 HTTP/1.1\r\nhost: localhost\r\nauthorization: {}\r\n\r\n",
        target.authorization
    );
    stream.write_all(request.repeat(PAGES).as_bytes()).await?;
    take_slowly(stream, PAUSE).await
}
