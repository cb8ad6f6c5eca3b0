//! Three consumers of Kafka read the events of a bank; a conflicting produce is refused.

use std::io::stdout;

use leftfold_examples::{kafka_consumers, run};

fn main() -> anyhow::Result<()> {
    run("kafka-consumers", "category:account", |dir| kafka_consumers::story(dir, &mut stdout()))
}
