//! The table `events` beside reads: what `leftfold query` and `leftfold read` do with a history.

use std::hint::black_box;
use std::time::{Duration, Instant};

use leftfold::{Cursor, Read};
use leftfold_views::AskLimits;

use crate::rows::Durations;
use crate::{Bench, Store, with_views};

/// Reads all events of a category, as pages and as rows, and counts them by an expression over their data.
pub(crate) fn measure(bench: &Bench, store: &Store) -> anyhow::Result<()> {
    let events = bench.size.events;
    println!("\nreading the {events} events of a category");
    let (mut pages, mut rows) =
        (Durations::new("pages of reads"), Durations::new("table events, counted"));
    let mut sums = Durations::new("table events, grouped by data");
    with_views(&bench.dir.join("events"), store, |views| {
        let ask = |sql: &str| -> anyhow::Result<f64> {
            let started = Instant::now();
            let limits = AskLimits { time: Duration::from_secs(600), ..AskLimits::default() };
            black_box(pollster::block_on(views.ask(sql, None, limits))?);
            Ok(started.elapsed().as_secs_f64())
        };
        for _ in 0..bench.size.rounds {
            bench.settle();
            pages.push(read(store, events)?);
            rows.push(ask("select count(data) from events where category = 'order'")?);
            let by_customer = "select data ->> 'customer', count(*) from events \
                               where category = 'order' group by 1 limit 1";
            sums.push(ask(by_customer)?);
        }
        Ok(())
    })?;
    let (pages, rows, _) = (pages.print(events), rows.print(events), sums.print(events));
    println!("the table takes {:.2} times the time of reads", rows / pages);
    Ok(())
}

/// Returns the seconds that it takes to read all events of the category.
fn read(store: &Store, events: u64) -> anyhow::Result<f64> {
    let started = Instant::now();
    let (mut cursor, mut seen, mut bytes) = (Cursor::START, 0, 0);
    while seen < events {
        let page = store.blocking().read(Read::forward("category:order".parse()?).after(cursor))?;
        anyhow::ensure!(page.more || !page.events.is_empty(), "{seen} of {events} were read");
        seen += page.events.len() as u64;
        bytes += page.events.iter().map(|event| event.data().len()).sum::<usize>();
        cursor = page.cursor;
    }
    black_box(bytes);
    Ok(started.elapsed().as_secs_f64())
}
