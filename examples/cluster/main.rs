//! Three nodes on three brokers, and a shop that goes on while the owner is killed (S18, S12).

use std::io::stdout;

use leftfold_examples::cluster::{node, story};
use leftfold_examples::orders::service;

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        // What the example starts: its nodes, and the services of the shop.
        ["node", name, bootstrap, dir, for_clients, for_nodes] => {
            node(name, bootstrap, dir, for_clients, for_nodes)
        }
        ["service", name, url] => service(name, url),
        [] => story(tempfile::tempdir()?.path(), &mut stdout()),
        _ => anyhow::bail!("the example has no arguments"),
    }
}
