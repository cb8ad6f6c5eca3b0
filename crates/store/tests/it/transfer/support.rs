//! Exports stores and imports them, as the command does.

use std::sync::Arc;

use leftfold_api::{
    Append, AppendError, CheckpointMove, Cursor, EventStore, Expected, IndexDefinition, NewEvent,
    Query, Read, ReadError, Retention, RetentionRule, Timestamp,
};
use leftfold_io::fake::{FakeDisk, ManualClock, SeededRandom};
use leftfold_partitioned::Partitioned;
use leftfold_store::transfer::{AppendingImport, ExportItem, ExportTotal, export};
use leftfold_store::{Embedded, Import, ImportEvent, ImportReport, Options};
use pollster::block_on;

pub(crate) const STREAMS: u64 = 24;
const NOW: i64 = 1_900_000_000_000_000;

#[derive(Debug, Clone)]
pub(crate) enum Line {
    Event(Box<ImportEvent>),
    End(u64, String, u64),
    Checkpoint(String, Option<u32>),
    Total(ExportTotal),
}

pub(crate) fn partitioned(partitions: usize, seed: u64) -> Partitioned {
    leftfold_partitioned::create(partitions, seed, &Options::default()).unwrap()
}

pub(crate) fn lines(store: &impl EventStore, query: Query) -> Vec<Line> {
    let mut lines = Vec::new();
    let walked: Result<(), ReadError> = block_on(export(store, query, |item| {
        lines.push(match item {
            ExportItem::Event { position, event } => Line::Event(Box::new(ImportEvent {
                position,
                stream: event.stream().to_owned(),
                version: event.version(),
                commit_time: event.commit_time(),
                event_time: event.event_time(),
                event: event.into(),
            })),
            ExportItem::End { position, stream, last_version } => {
                Line::End(position, stream.to_owned(), last_version)
            }
            ExportItem::Checkpoint { name, partition, .. } => {
                Line::Checkpoint(name.to_owned(), partition)
            }
            ExportItem::Total(total) => Line::Total(total),
        });
        Ok(())
    }));
    walked.unwrap();
    lines
}

pub(crate) fn total(lines: &[Line]) -> ExportTotal {
    match lines.last() {
        Some(Line::Total(total)) => *total,
        other => panic!("the last line is {other:?}"),
    }
}

/// Feeds lines to an import by appends.
pub(crate) fn feed(
    import: &mut AppendingImport<Partitioned>,
    lines: &[Line],
) -> Result<(), AppendError> {
    lines.iter().try_for_each(|line| match line.clone() {
        Line::Event(event) => block_on(import.add(*event)),
        Line::End(_, stream, last) => block_on(import.end_stream(&stream, last)),
        Line::Checkpoint(name, partition) => block_on(import.checkpoint(&name, partition)),
        Line::Total(total) => {
            import.total(total);
            Ok(())
        }
    })
}

/// Imports lines by appends.
pub(crate) fn append(store: &Partitioned, lines: &[Line]) -> Result<ImportReport, AppendError> {
    let mut import = AppendingImport::new(store.clone());
    feed(&mut import, lines)?;
    block_on(import.finish())
}

/// Imports lines into a directory, and opens it.
pub(crate) fn copy(lines: &[Line]) -> (Embedded, ImportReport) {
    let disk = FakeDisk::new();
    let clock = Arc::new(ManualClock::at(NOW));
    let random = |seed| Arc::new(SeededRandom::new(seed));
    let on = || Arc::new(disk.clone());
    let mut import = Import::open_on(on(), clock.clone(), random(3), Options::default()).unwrap();
    for line in lines.iter().cloned() {
        match line {
            Line::Event(event) => import.add(*event).unwrap(),
            Line::End(at, stream, last) => import.end_stream(at, &stream, last).unwrap(),
            Line::Checkpoint(name, partition) => import.checkpoint(&name, partition).unwrap(),
            Line::Total(total) => import.total(total),
        }
    }
    let report = import.finish().unwrap();
    (Embedded::open_on(on(), clock, random(4), Options::default()).unwrap(), report)
}

/// Appends an event to each stream.
pub(crate) fn append_round(store: &impl EventStore, round: u64) {
    for n in 0..STREAMS {
        let event = NewEvent::json("Counted", format!("{{\"round\":{round}}}"))
            .tag("round", round.to_string())
            .event_time(Timestamp(i64::try_from(round * 100 + n).unwrap()));
        let event = NewEvent { correlation: Some(format!("c-{n}")), ..event };
        let append = Append::new().event(format!("counter-{n}"), event);
        block_on(store.append(append)).unwrap();
    }
}

/// Sets the checkpoint of a reader that has seen all so far.
pub(crate) fn move_to_head(store: &impl EventStore, name: &str) {
    let to = block_on(store.head()).unwrap();
    let expected = block_on(store.checkpoint(name)).unwrap();
    let to = CheckpointMove { name: name.to_owned(), expected, to };
    block_on(store.append(Append::new().checkpoint(to))).unwrap();
}

/// Fills a store with events, readers, definitions and streams whose events are dropped.
pub(crate) fn fill(store: &impl EventStore) {
    (0..3).for_each(|round| append_round(store, round));
    move_to_head(store, "reader-1");
    (3..5).for_each(|round| append_round(store, round));
    let fours = IndexDefinition::new("fours", "tag:round=4".parse().unwrap());
    let newest = |count| Retention { max_count: Some(count), ..Retention::default() };
    let rule = RetentionRule {
        name: "short".to_owned(),
        query: Query::stream("counter-3"),
        retention: newest(2),
    };
    block_on(async {
        store.define_index(fours).await.unwrap();
        store.set_retention("counter-0", newest(2)).await.unwrap();
        store.delete_stream("counter-1", Expected::Any).await.unwrap();
        store.tombstone_stream("counter-2", Expected::Any).await.unwrap();
        store.set_retention_rule(rule).await.unwrap();
    });
    move_to_head(store, "reader-2");
}

/// Returns the events that a read of a category shows after a cursor, as streams and versions.
pub(crate) fn shown_after(store: &impl EventStore, cursor: Cursor) -> Vec<(String, u64)> {
    let mut read = Read::forward(Query::category("counter")).after(cursor);
    let mut all = Vec::new();
    loop {
        let page = block_on(store.read(read.clone())).unwrap();
        all.extend(page.events.iter().map(|event| (event.stream().to_owned(), event.version())));
        if !page.more {
            all.sort();
            return all;
        }
        read = read.after(page.cursor);
    }
}

/// Returns what the reader with a checkpoint has not seen yet.
pub(crate) fn unseen(store: &impl EventStore, name: &str) -> Vec<(String, u64)> {
    let cursor = block_on(store.checkpoint(name)).unwrap().unwrap();
    shown_after(store, cursor)
}
