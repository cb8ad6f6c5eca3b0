use leftfold_log::Compression;

use super::core::Core;
use leftfold_api::{Field, Meters, ReadError, Stat, Timestamp, names};

pub(crate) fn meters(core: &Core) -> Meters {
    Meters {
        batches: core.log.batches(),
        syncs: core.log.syncs(),
        log_cache: core.log.cache_hits_and_misses(),
        index_cache: core.index.cache.hits_and_misses(),
        position: core.log.head().position,
        clock_behind_micros: core.log.clock_behind_micros(),
        maintenance_failure: core.maintenance.failure(),
        checkpoints: checkpoints(core),
        checkpoints_allowed: core.limits.checkpoints as u64,
    }
}

fn checkpoints(core: &Core) -> u64 {
    core.definitions.checkpoints.read().len() as u64
}

/// The events and streams of bookkeeping.
#[derive(Default)]
struct Bookkeeping {
    events: u64,
    streams: u64,
}

pub(crate) fn stat(core: &Core) -> Result<Stat, ReadError> {
    let head = core.log.head().position;
    let (header, segments) = (core.log.header(), core.log.segments());
    let files = core.log.other_files();
    let (index, mut bookkeeping) = (core.index.set.load(), Bookkeeping::default());
    for category in names::OF_SYSTEM.iter().chain(&names::OF_LEFTFOLD) {
        bookkeeping.events += index.count(&core.keys.of(Field::Category, category), head)?;
        bookkeeping.streams += index.count(&core.keys.starts_in(category), head)?;
    }
    let events = if core.has_gaps { core.log.count_records()? } else { head };
    Ok(Stat {
        store_id: u128::from_le_bytes(header.store_id),
        created: Timestamp(header.created.get()),
        events: events.saturating_sub(bookkeeping.events),
        streams: index.count(&core.keys.starts(), head)?.saturating_sub(bookkeeping.streams),
        bookkeeping_events: bookkeeping.events,
        last_position: head,
        checkpoints: checkpoints(core),
        checkpoints_allowed: core.limits.checkpoints as u64,
        indexes: core.definitions.indexes.durable().len() as u64,
        segments: segments.len() as u64,
        sealed: segments.iter().filter(|segment| segment.sealed).count() as u64,
        compressed: segments
            .iter()
            .filter(|segment| segment.compression != Compression::Off)
            .count() as u64,
        log_bytes: segments.iter().map(|segment| segment.bytes).sum(),
        index_bytes: files.iter().map(|file| file.length).sum(),
        index_files: files.len() as u64,
        maintenance_failure: core.maintenance.failure(),
        clock_behind_micros: core.log.clock_behind_micros(),
    })
}
