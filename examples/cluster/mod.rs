//! Three nodes on three brokers, and a shop that goes on while the owner is killed (S18, S12).

mod machine;

use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use leftfold::client::Client;
use leftfold::{Append, EventStore, NewEvent, Query, Read, ReadLevel, Recorded};
use leftfold_kafka_broker::{Cluster, Options};
use pollster::block_on;

use crate::orders::play_at;
use crate::running::heading;

use machine::Machine;
pub use machine::node;

/// How long the shop has run when the owner is killed.
const UNTIL_KILL: Duration = Duration::from_secs(2);

/// Runs the example; what nodes and brokers write is in a directory.
pub fn story(dir: &Path, out: &mut dyn Write) -> anyhow::Result<()> {
    heading(out, "three brokers and three nodes")?;
    let brokers = Cluster::start(&Options { brokers: 3, ..Options::default() })?;
    writeln!(out, "the brokers are ready")?;
    // The first one owns the partition, and keeps it when the others come.
    let mut a = Machine::start("a", &brokers.bootstrap(), dir)?;
    let opened = NewEvent::json("ShopOpened", "{}");
    block_on(a.client()?.append(Append::new().event("shop-1", opened)))?;
    let b = Machine::start("b", &brokers.bootstrap(), dir)?;
    let c = Machine::start("c", &brokers.bootstrap(), dir)?;
    writeln!(out, "node a is the owner; nodes b and c follow")?;
    heading(out, "the shop of the example orders asks node b; node a is killed meanwhile")?;
    let shop = Arc::new(b.client()?);
    thread::scope(|scope| {
        let kill = scope.spawn(|| {
            thread::sleep(UNTIL_KILL);
            a.kill();
        });
        let played = play_at(&shop, b.url(), out);
        _ = kill.join();
        played
    })?;
    heading(out, "what the nodes have")?;
    let by_b = events(&b.client()?)?;
    writeln!(out, "node c has the same events as node b: {}", same(&c.client()?, &by_b)?)?;
    a.start_again()?;
    writeln!(out, "node a is back, and has them too: {}", same(&a.client()?, &by_b)?)?;
    Ok(())
}

/// Reads all events as the owner has them.
fn events(node: &Client) -> anyhow::Result<Vec<Recorded>> {
    read(node, &Read::forward(Query::All))
}

fn read(node: &Client, first: &Read) -> anyhow::Result<Vec<Recorded>> {
    let (mut events, mut read) = (Vec::new(), first.clone());
    loop {
        let page = block_on(node.read(read))?;
        events.extend(page.events);
        if !page.more {
            return Ok(events);
        }
        read = first.clone().after(page.cursor);
    }
}

/// Whether a node's own copy has these events, once it has come as far.
fn same(node: &Client, events: &[Recorded]) -> anyhow::Result<bool> {
    let head = block_on(node.head())?;
    let local = Read::forward(Query::All).level(ReadLevel::Local).at_least(head);
    let own = read(node, &local)?;
    let ids = |events: &[Recorded]| events.iter().map(Recorded::id).collect::<Vec<_>>();
    // The timers of the shop may have added something since.
    Ok(ids(&own).starts_with(&ids(events)))
}
