//! Events in Protobuf, beside older ones in JSON.

use std::io::stdout;

use leftfold_examples::{protobuf, run};

fn main() -> anyhow::Result<()> {
    run("protobuf", "category:parcel", |dir| protobuf::story(dir, &mut stdout()))
}
