//! Connections that say nothing: more than the server takes of one address, and of all.

use std::sync::Arc;
use std::time::Duration;

use crate::connect::hold;
use crate::crowd::crowd;
use crate::served::Target;

const CLIENTS: usize = 700;
const HELD: Duration = Duration::from_secs(60);

pub(crate) async fn run(target: Arc<Target>) {
    crowd(CLIENTS, target, client).await;
}

async fn client(target: Arc<Target>) -> anyhow::Result<()> {
    hold(target.connect().await?, HELD).await
}
