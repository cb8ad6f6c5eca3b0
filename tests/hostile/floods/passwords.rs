//! Wrong passwords, whose hashing costs time and memory.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use tokio::io::AsyncWriteExt;

use crate::connect::take_slowly;
use crate::crowd::crowd;
use crate::served::Target;

const CLIENTS: usize = 40;

pub(crate) async fn run(target: Arc<Target>) {
    crowd(CLIENTS, target, client).await;
}

async fn client(target: Arc<Target>) -> anyhow::Result<()> {
    /// Each password is another one, so that none is remembered.
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let guess = BASE64_STANDARD.encode(format!("admin:wrong-password-{number}"));
    let request = format!(
        "GET /v1/head HTTP/1.1\r\nhost: localhost\r\nauthorization: Basic {guess}\r\nconnection: close\r\n\r\n"
    );
    let mut stream = target.connect().await?;
    stream.write_all(request.as_bytes()).await?;
    take_slowly(stream, std::time::Duration::ZERO).await
}
