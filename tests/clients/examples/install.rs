//! Installs the clients of the usual tests and tells how long each took.

use leftfold_kafka_clients::Tool;

fn main() -> anyhow::Result<()> {
    for (tool, took) in Tool::prepare_usual()? {
        println!("{:>6.1} s {}", took.as_secs_f32(), tool.name());
    }
    Ok(())
}
