use std::io::Write;
use std::process::ExitCode;

use leftfold::{Delivery, EventStore, Subscribe, Subscription};
use pollster::block_on;

use crate::args::{self, Location};
use crate::output::{for_people, row, write_json};
use crate::store::Store;

pub(crate) fn run(location: &Location, args: &args::Subscribe) -> anyhow::Result<ExitCode> {
    let store = Store::existing(location)?;
    let subscribe = Subscribe { from: args.start.point(), ..Subscribe::to(args.query.clone()) };
    let mut subscription = block_on(store.subscribe(subscribe))?;
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    loop {
        let delivery = match subscription.ready() {
            Some(delivery) => delivery,
            None => {
                // A follower sees each event at once.
                out.flush()?;
                block_on(subscription.next())?
            }
        };
        match delivery {
            Delivery::Event(event, _) if for_people() => {
                writeln!(out, "{}", row(&event).join("  "))?;
            }
            Delivery::Event(event, _) => write_json(&mut out, &event)?,
            Delivery::CaughtUp(cursor) => {
                out.flush()?;
                if !args.follow {
                    eprintln!("caught up; continue with: --after cursor:{cursor}");
                    return Ok(ExitCode::SUCCESS);
                }
                if for_people() {
                    eprintln!("caught up, waiting for more");
                }
            }
        }
    }
}
