//! Local Kafka brokers: `cargo xtask kafka up`.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::Context;
use leftfold_kafka_broker::{Options, detached, kafka_version};

fn directory() -> PathBuf {
    crate::target().join("kafka")
}

pub(crate) fn up_with(brokers: &str) -> anyhow::Result<()> {
    up(brokers.parse().context("--brokers takes a number")?)
}

pub(crate) fn up(brokers: u16) -> anyhow::Result<()> {
    let started = Instant::now();
    let (bootstrap, timings) = detached::up(&directory(), &Options::brokers(brokers))?;
    println!(
        "Kafka {} at {bootstrap} after {:.1} s: jars {:.1} s (fetched once, then cached), \
         formatting {:.1} s, starting {:.1} s",
        kafka_version(),
        started.elapsed().as_secs_f32(),
        timings.jars.as_secs_f32(),
        timings.format.as_secs_f32(),
        timings.ready.as_secs_f32(),
    );
    println!("settings, data and logs: {}", directory().display());
    Ok(())
}

pub(crate) fn status() -> anyhow::Result<()> {
    let Some(found) = detached::find(&directory()) else {
        println!("no Kafka was started here");
        return Ok(());
    };
    println!("bootstrap servers: {}", found.bootstrap);
    for (name, process) in found.nodes {
        let state = process.map_or("is dead".to_owned(), |number| format!("runs as {number}"));
        println!("{name} {state}");
    }
    Ok(())
}

pub(crate) fn down() -> anyhow::Result<()> {
    detached::down(&directory())?;
    println!("Kafka is stopped and its data is deleted");
    Ok(())
}

/// Checks for Java and Maven, without downloads.
pub(crate) fn check() -> anyhow::Result<()> {
    Ok(leftfold_kafka_broker::check()?)
}

/// Checks for Java, and downloads the jars if they are missing.
pub(crate) fn prepare() -> anyhow::Result<()> {
    Ok(leftfold_kafka_broker::prepare()?)
}
