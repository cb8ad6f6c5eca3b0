//! The order of the floods, and what is looked at during each.

use std::sync::Arc;
use std::time::Duration;

use anyhow::bail;
use tokio::time::timeout;

use crate::floods::{self, FLOODS, Flood};
use crate::healthy::Healthy;
use crate::report::Report;
use crate::served::Served;

/// Runs the floods within about this time: without any, each by itself, then all at once.
pub(crate) async fn run(time: Duration, only: Option<&str>) -> anyhow::Result<Report> {
    let chosen: Vec<&Flood> =
        FLOODS.iter().filter(|flood| only.is_none_or(|only| only == flood.name)).collect();
    if chosen.is_empty() {
        let names: Vec<_> = FLOODS.iter().map(|flood| flood.name).collect();
        bail!("there is no such flood; there are: {}", names.join(", "));
    }
    let phases = u32::try_from(chosen.len() + 2)?;
    let each = time / phases;
    let mut served = Served::start()?;
    let target = Arc::new(served.target());
    let mut healthy = Healthy::start(target.clone()).await?;
    healthy.fill().await?;
    let mut report = Report::new(served.memory_bound());
    let calm = healthy.observe(each).await;
    report.add("nothing", calm, &mut served)?;
    for flood in &chosen {
        let running = tokio::spawn((flood.run)(target.clone()));
        let seen = healthy.observe(each).await;
        running.abort();
        _ = running.await;
        healthy.recover(flood.name, &mut report).await;
        report.add(flood.name, seen, &mut served)?;
    }
    if chosen.len() > 1 {
        let running = tokio::spawn(floods::all(target.clone()));
        let seen = healthy.observe(each).await;
        running.abort();
        _ = running.await;
        healthy.recover("all", &mut report).await;
        report.add("all", seen, &mut served)?;
    }
    // A server that can't end has lost something, too.
    if timeout(Duration::from_secs(60), served.stop()).await.is_err() {
        report.fail("the server does not end within 60 s of SIGTERM".to_owned());
    }
    Ok(report)
}
