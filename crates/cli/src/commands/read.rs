use std::io::Write;
use std::process::ExitCode;

use leftfold::{Cursor, Direction, EventStore, Point, Read, Recorded, Start};
use pollster::block_on;

use crate::args::{self, Format, Location};
use crate::output::{for_people, format, is_quiet, print_events, write_json, write_raw};
use crate::store::Store;

/// Rows of one table, whose columns have common widths.
const ROWS: usize = 1_000;

pub(crate) fn run(location: &Location, args: &args::Read) -> anyhow::Result<ExitCode> {
    let store = Store::existing(location)?;
    let direction = if args.backward { Direction::Backward } else { Direction::Forward };
    let from = block_on(store.begin(&args.start, direction))?;
    let level = args.level;
    let first = Read { from, direction, level, ..Read::forward(args.query.clone()) };
    let limit = args.limit.map_or(usize::MAX, |limit| limit as usize);
    let mut shown = 0;
    let cursor = if for_people() {
        pages(&store, first, limit, |events| {
            shown += events.len();
            print_events(events)
        })?
    } else {
        let mut out = std::io::BufWriter::new(std::io::stdout().lock());
        let cursor = pages(&store, first, limit, |events| {
            events.iter().try_for_each(|event| match format() {
                Format::Raw => write_raw(&mut out, event),
                _ => write_json(&mut out, event),
            })
        })?;
        out.flush()?;
        cursor
    };
    if for_people() && !is_quiet() {
        say!("{shown} events; continue with: --after cursor:{cursor}");
    }
    Ok(ExitCode::SUCCESS)
}

/// Reads page by page, up to a limit.
pub(crate) fn pages(
    store: &impl EventStore,
    first: Read,
    mut limit: usize,
    mut show: impl FnMut(&[Recorded]) -> std::io::Result<()>,
) -> anyhow::Result<Cursor> {
    let mut read = Read { limit: limit.min(ROWS), ..first.clone() };
    loop {
        let page = block_on(store.read(read))?;
        if !page.events.is_empty() {
            show(&page.events)?;
        }
        limit -= page.events.len();
        if !page.more || limit == 0 {
            return Ok(page.cursor);
        }
        let from = Start::Excluding(Point::Cursor(page.cursor));
        read = Read { from, limit: limit.min(ROWS), ..first.clone() };
    }
}
