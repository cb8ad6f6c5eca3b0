use std::io::{BufWriter, Write};
use std::process::ExitCode;

use leftfold::{Cursor, EventStore, Point, Query, Read, Start, StreamInfo, Streams};
use pollster::block_on;

use super::read::pages;
use crate::args::{self, Location};
use crate::output::{write_end, write_export};
use crate::store::Store;

pub(crate) fn run(location: &Location, args: &args::Export) -> anyhow::Result<ExitCode> {
    let store = Store::existing(location)?;
    let head = block_on(store.head())?;
    let last = head.position().unwrap_or(u64::MAX);
    let mut out = BufWriter::new(std::io::stdout().lock());
    let mut printed = 0;
    pages(&store, Read::forward(args.query.clone()), usize::MAX, |events| {
        // Later events may be in the store by now; all lines are of one moment.
        for event in events.iter().take_while(|event| event.position() <= last) {
            write_export(&mut out, event)?;
            printed += 1;
        }
        Ok(())
    })?;
    // If every event is printed, no stream ends with a dropped one.
    if args.query == Query::System && printed < last {
        print_ends(&store, &head, last, &mut out)?;
    }
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

/// Prints the last version of each stream whose last event is dropped: its versions continue behind that.
fn print_ends(store: &Store, head: &Cursor, last: u64, out: &mut impl Write) -> anyhow::Result<()> {
    let mut wanted = Streams { system: true, ..Streams::default() };
    loop {
        let page = block_on(store.streams(wanted))?;
        for info in page.streams.iter().filter(|info| info.first_position <= last) {
            let end = end_at(store, info, head, last)?;
            if shown_upto(store, &info.name, head)?.is_none_or(|shown| shown < end) {
                write_end(out, last, &info.name, end)?;
            }
        }
        let is_over = page.streams.last().is_some_and(|info| info.first_position > last);
        if !page.more || is_over {
            return Ok(());
        }
        wanted = Streams { system: true, after: Some(page.cursor), ..Streams::default() };
    }
}

/// Returns the last version that a stream had at the head of the export.
fn end_at(store: &Store, info: &StreamInfo, head: &Cursor, last: u64) -> anyhow::Result<u64> {
    if info.last_position <= last {
        return Ok(info.version);
    }
    let behind = Start::Excluding(Point::Cursor(head.clone()));
    let next = block_on(store.ordinal(Query::stream(&info.name), behind))?;
    Ok(next.saturating_sub(1))
}

/// Returns the last version of a stream that a read shows.
fn shown_upto(store: &Store, stream: &str, head: &Cursor) -> anyhow::Result<Option<u64>> {
    let query = Query::stream(stream);
    let mut read = Read::backward(query.clone()).including(Point::Cursor(head.clone())).limit(1);
    loop {
        let page = block_on(store.read(read))?;
        if let Some(event) = page.events.first() {
            return Ok(Some(event.version()));
        }
        if !page.more {
            return Ok(None);
        }
        read = Read::backward(query.clone()).after(page.cursor).limit(1);
    }
}
