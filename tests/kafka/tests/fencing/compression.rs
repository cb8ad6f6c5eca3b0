//! Compressed batches: the broker reads ours, and the client reads the broker's.

use leftfold_kafka::Compression;
use leftfold_kafka_testing::wire::{Batch, Isolation, Record};

use crate::support::{TestCluster, WITHIN, fresh, now, one_broker};

/// Writes batches with each of our compressions, and reads them from a topic with this setting.
fn check(world: &TestCluster, setting: &str) {
    let settings = [("compression.type", setting)];
    let partition = world.client.create_topic(&fresh("topic"), &[1], &settings).unwrap();
    let producer = world.take_over(&fresh("owner"));
    let leader = world.client.leader(&partition).unwrap();
    let records: Vec<_> = (0..200).map(|n| Record::new(format!("event {n}").repeat(20))).collect();
    let mut sequence = 0;
    for compression in [Compression::None, Compression::Lz4, Compression::Zstd] {
        let batch = Batch::of(now(), records.clone()).from(producer, sequence);
        sequence = batch.next_sequence();
        let bytes = batch.compressed(compression).encode();
        leader.produce(&partition, bytes, WITHIN).unwrap().wait().unwrap();
    }
    let found = world.batches(&partition);
    let found = found.iter().flat_map(|batch| &batch.records).map(|stored| stored.record.clone());
    assert_eq!(found.collect::<Vec<_>>(), vec![records; 3].concat(), "{setting}");
    assert_eq!(world.end(&partition, Isolation::Uncommitted), 600);
}

#[test]
fn batches_are_read_whatever_compression_they_have_in_the_log() {
    for setting in ["producer", "uncompressed", "gzip", "snappy", "lz4", "zstd"] {
        check(one_broker(), setting);
    }
}
