use bytes::Bytes;
use leftfold_api::{NewEvent, Recorded, Timestamp};
use leftfold_cluster::ledger::{Ledger, Stamp};
use leftfold_cluster::record::{Decoder, Encoder};
use leftfold_kafka::{Batch, Record, StoredBatch};
use leftfold_store::OwnAppend;
use uuid::Uuid;

/// The first stamp of the records in these tests.
pub(super) const FIRST: Stamp = Stamp { term: 3, number: 1042 };
/// The commit time of the events in these tests.
pub(super) const COMMITTED: Timestamp = Timestamp(1_772_366_400_123_456);

pub(super) fn encoder() -> Encoder {
    Encoder::new("/leftfold/shop")
}

/// Returns a decoder that expects [`FIRST`] at this offset.
pub(super) fn decoder(next_offset: i64) -> Decoder {
    let last = Stamp { number: FIRST.number - 1, ..FIRST };
    Decoder::resume(Ledger::resume(last), next_offset)
}

/// Returns a batch as a broker has it.
pub(super) fn stored(base_offset: i64, records: Vec<Record>) -> StoredBatch {
    let bytes = Batch::of(0, records).encode();
    let mut batch = StoredBatch::decode_all(bytes).unwrap().remove(0);
    batch.base_offset = base_offset;
    batch.last_offset += base_offset;
    batch.records.iter_mut().for_each(|stored| stored.offset += base_offset);
    batch
}

/// Returns an append of events of one stream, from this version on.
pub(super) fn append(first: u64, stream: &str, version: u64, events: &[NewEvent]) -> OwnAppend {
    let event = |(at, event): (u64, &NewEvent)| {
        Recorded::from_parts(stream, version + at, first + at, COMMITTED, event).unwrap()
    };
    OwnAppend {
        first,
        append_id: 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736,
        commit_time: COMMITTED,
        events: (0..).zip(events).map(event).collect(),
        checkpoints: Vec::new(),
    }
}

/// Returns an event that uses every field.
pub(super) fn full_event() -> NewEvent {
    NewEvent {
        schema_version: 2,
        ..NewEvent::json("OrderPlaced", r#"{"total":120}"#)
            .id(Uuid::from_u128(0x0192_d3a4_0000_7000_8000_0000_0000_0001))
            .event_time(Timestamp(1_772_366_399_000_000))
            .correlation("checkout-7")
            .causation("cart-7")
            .tag("customer", "42")
            .tag("note", "a=b")
            .metadata(Bytes::from_static(b"{\"user\":\"eve\"}"))
    }
}
