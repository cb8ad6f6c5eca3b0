//! Real clients of Kafka against the binary: the usual tests, and the long ones of `cargo xtask clients`.

use leftfold_kafka_tools::Tool;

use crate::cargo;

/// Runs all tests of the clients whose names contain a word, or all: the suites of librdkafka and franz-go,
/// Spark, crashes and all mechanisms of authentication, too.
pub(crate) fn run(words: &[&str]) -> anyhow::Result<()> {
    prepare()?;
    let test = ["test", "--package", "leftfold-cli", "--test", "clients", "--"];
    // A suite shows what it found, whatever comes of it.
    cargo(&[&test[..], &["--include-ignored", "--nocapture"], words].concat(), &[])
}

/// Installs the clients of the usual tests.
pub(crate) fn prepare() -> anyhow::Result<()> {
    for (tool, took) in Tool::prepare_usual()? {
        println!("{:>6.1} s to install {}", took.as_secs_f32(), tool.name());
    }
    Ok(())
}

pub(crate) fn python() -> anyhow::Result<()> {
    Tool::Python.check()
}

pub(crate) fn node() -> anyhow::Result<()> {
    Tool::Node.check()
}

pub(crate) fn go() -> anyhow::Result<()> {
    Tool::Go.check()
}

pub(crate) fn kcat() -> anyhow::Result<()> {
    Tool::Kcat.check()
}

pub(crate) fn java() -> anyhow::Result<()> {
    Tool::Java.check()
}
