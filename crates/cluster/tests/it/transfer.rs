//! A store goes into the eight partitions of two nodes, and back.

use std::sync::Arc;

use leftfold_api::{
    Append, EventStore, Expected, NewEvent, Query, Read, ReadError, Recorded, Timestamp,
};
use leftfold_io::fake::{FakeDisk, ManualClock, SeededRandom};
use leftfold_store::transfer::{AppendingImport, ExportItem, ExportTotal, export};
use leftfold_store::{Embedded, ImportEvent, Options};
use pollster::block_on;

use crate::many::Spread;

const STREAMS: u64 = 24;

/// The events of a store, the last versions of streams whose last events are dropped, and the digest.
#[derive(Default)]
struct Export {
    events: Vec<ImportEvent>,
    ends: Vec<(String, u64)>,
    total: Option<ExportTotal>,
}

fn export_of(store: &impl EventStore) -> Export {
    let mut all = Export::default();
    let walked: Result<(), ReadError> = block_on(export(store, Query::System, |item| {
        match item {
            ExportItem::Event { position, event } => all.events.push(import_event(position, event)),
            ExportItem::End { stream, last_version, .. } => {
                all.ends.push((stream.to_owned(), last_version));
            }
            ExportItem::Total(total) => all.total = Some(total),
            ExportItem::Checkpoint { .. } => {}
        }
        Ok(())
    }));
    walked.unwrap();
    all
}

fn import_event(position: u64, event: &Recorded) -> ImportEvent {
    ImportEvent {
        position,
        stream: event.stream().to_owned(),
        version: event.version(),
        commit_time: event.commit_time(),
        event_time: event.event_time(),
        event: event.into(),
    }
}

fn source() -> Embedded {
    let clock = Arc::new(ManualClock::at(1_000_000));
    let random = Arc::new(SeededRandom::new(5));
    let disk = Arc::new(FakeDisk::new());
    let store = Embedded::open_on(disk, clock.clone(), random, Options::default()).unwrap();
    for round in 0..4 {
        for n in 0..STREAMS {
            clock.advance(1_000);
            let event = NewEvent::json("Counted", "{}").tag("round", round.to_string());
            let event = if n % 2 == 0 { event.event_time(Timestamp(round)) } else { event };
            block_on(store.append(Append::new().event(format!("counter-{n}"), event))).unwrap();
        }
    }
    block_on(store.delete_stream("counter-3", Expected::Any)).unwrap();
    store
}

async fn import(target: &Spread, export: &Export) -> leftfold_store::ImportReport {
    let mut import = AppendingImport::new(leftfold_cluster::many::PartitionedStore::clone(target));
    for event in &export.events {
        import.add(event.clone()).await.unwrap();
    }
    for (stream, last_version) in &export.ends {
        import.end_stream(stream, *last_version).await.unwrap();
    }
    import.total(export.total.unwrap());
    import.finish().await.unwrap()
}

#[test]
fn an_import_through_any_node_fills_all_partitions_and_its_export_has_the_same_digest() {
    let exported = export_of(&source());
    assert_eq!(exported.ends, [("counter-3".to_owned(), 3)]);
    let spread = Spread::through_the_second();
    let report = block_on(import(&spread, &exported));
    assert!(report.is_complete, "{report:?}");
    assert_eq!((report.imported, report.holes), (4 * (STREAMS - 1), 4));
    let again = block_on(import(&spread, &exported));
    assert_eq!((again.imported, again.repeated, again.holes), (0, report.imported, 0));

    let head = block_on(spread.head()).unwrap();
    assert!(head.positions().iter().all(|position| *position > 0), "{head:?}");
    let back = export_of(&*spread);
    let (of_source, of_target) = (exported.total.unwrap(), back.total.unwrap());
    assert_eq!((of_target.digest, of_target.partitions), (of_source.digest, 8));
    // A placeholder is an event of the log that no node shows, and its stream goes on behind it.
    let append = Append::new().event("counter-3", NewEvent::new("Counted", ""));
    assert_eq!(block_on(spread.append(append)).unwrap().streams[0].first, 4);
    let shown = block_on(spread.read(Read::forward(Query::stream("counter-3")))).unwrap();
    assert_eq!(shown.events.iter().map(Recorded::version).collect::<Vec<_>>(), [4]);
}
