use std::io::Write;
use std::process::ExitCode;

use leftfold::{Delivery, Direction, EventStore, Subscribe, Subscription};
use pollster::block_on;

use crate::args::{self, Format, Location};
use crate::output::{event_text, for_people, format, hint, write_json, write_raw};
use crate::store::Store;

pub(crate) fn run(location: &Location, args: &args::Subscribe) -> anyhow::Result<ExitCode> {
    let store = Store::existing(location)?;
    let from = block_on(store.begin(&args.start, Direction::Forward))?;
    let subscribe = Subscribe { from, ..Subscribe::to(args.query.clone()) };
    let mut subscription = block_on(store.subscribe(subscribe))?;
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    let mut left = args.limit.unwrap_or(u64::MAX);
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
            Delivery::Event(event, cursor) => {
                match format() {
                    Format::Table => writeln!(out, "{}", event_text(&event))?,
                    Format::Raw => write_raw(&mut out, &event)?,
                    _ => write_json(&mut out, &event)?,
                }
                left -= 1;
                if left == 0 {
                    out.flush()?;
                    hint(format_args!("continue with: --after cursor:{cursor}"));
                    return Ok(ExitCode::SUCCESS);
                }
            }
            Delivery::CaughtUp(cursor) => {
                out.flush()?;
                if !args.follow {
                    hint(format_args!("caught up; continue with: --after cursor:{cursor}"));
                    return Ok(ExitCode::SUCCESS);
                }
                if for_people() {
                    hint("caught up, waiting for more");
                }
            }
        }
    }
}
