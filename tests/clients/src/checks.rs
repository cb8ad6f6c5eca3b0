//! What must hold of the records that clients have read.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, ensure};

use crate::event::{Event, Record};
use crate::murmur2::murmur2;
use crate::paths::PARTITIONS;

/// Checks that each number is there once.
pub(crate) fn check_numbers(
    records: &[Record],
    expected: std::ops::Range<u64>,
) -> anyhow::Result<()> {
    let (mut missing, mut repeated) = (expected.clone().collect::<BTreeSet<u64>>(), Vec::new());
    for number in records.iter().filter_map(Record::number) {
        if !missing.remove(&number) {
            repeated.push(number);
        }
    }
    let is_whole = missing.is_empty() && repeated.is_empty();
    let first = |numbers: &mut dyn Iterator<Item = u64>| numbers.take(10).collect::<Vec<_>>();
    ensure!(
        is_whole,
        "of {expected:?}, {} are missing, first {:?}, and {} repeated or too much, first {:?}",
        missing.len(),
        first(&mut missing.iter().copied()),
        repeated.len(),
        first(&mut repeated.iter().copied()),
    );
    Ok(())
}

/// Checks that the offsets of each partition are dense and come in order.
pub(crate) fn check_offsets(records: &[Record]) -> anyhow::Result<()> {
    let mut next = BTreeMap::<i32, i64>::new();
    for record in records {
        let next = next.entry(record.partition).or_default();
        ensure!(record.offset == *next, "expected offset {next}, found {record:?}");
        *next += 1;
    }
    Ok(())
}

/// Checks that each key has the partition that Kafka gives it, and that its numbers ascend.
pub(crate) fn check_keys(records: &[Record]) -> anyhow::Result<()> {
    let mut last = BTreeMap::new();
    for record in records {
        let key = record.key.as_deref().with_context(|| format!("no key: {record:?}"))?;
        let partition = (murmur2(key.as_bytes()) & 0x7fff_ffff) % PARTITIONS;
        ensure!(
            u32::try_from(record.partition) == Ok(partition),
            "key {key} belongs to partition {partition}: {record:?}"
        );
        let before = last.insert(key, record.number());
        ensure!(before < Some(record.number()), "key {key} is out of order: {record:?}");
    }
    Ok(())
}

/// Checks that what the producer was told is what a consumer finds.
pub(crate) fn check_delivered(events: &[Event], records: &[Record]) -> anyhow::Result<()> {
    let found: BTreeMap<_, _> =
        records.iter().map(|record| ((record.partition, record.offset), record.number())).collect();
    for event in events {
        let Event::Delivered { partition, offset, n } = event else { continue };
        let number = found.get(&(*partition, *offset));
        let number = number.with_context(|| format!("{event:?} is not there"))?;
        ensure!(n.is_none() || n == number, "{event:?} is the record with number {number:?}");
    }
    Ok(())
}

/// Checks that nothing is read again after it was committed, by the same member or by another one.
pub(crate) fn check_commits(before: &[Event], after: &[Event]) -> anyhow::Result<()> {
    let mut committed = BTreeMap::new();
    for (n, event) in before.iter().chain(after).enumerate() {
        match event {
            Event::Committed(offsets) => committed.extend(offsets),
            // Members of the past may have run side by side with those of `after`.
            Event::Record(record) if n >= before.len() => {
                let committed = committed.get(&record.partition).copied().unwrap_or_default();
                ensure!(
                    record.offset >= committed,
                    "{record:?} comes again, {committed} was committed"
                );
            }
            _ => {}
        }
    }
    Ok(())
}
