//! What consumers subscribe to, as far as a group must know it.

use std::collections::BTreeSet;

/// The protocol type of consumers.
pub(super) const PROTOCOL_TYPE: &str = "consumer";

/// Returns the topics in the metadata of a consumer; `None` if the bytes are no subscription. All versions
/// begin with what version 0 has: the version, then the topics.
pub(super) fn read_topics(metadata: &[u8]) -> Option<BTreeSet<&[u8]>> {
    let (_version, rest) = metadata.split_first_chunk::<2>()?;
    let (count, mut rest) = rest.split_first_chunk::<4>()?;
    // A topic takes two bytes at least, so the bytes bound the loop.
    let count = usize::try_from(i32::from_be_bytes(*count)).ok()?;
    let mut topics = BTreeSet::new();
    for _ in 0..count {
        let (length, after) = rest.split_first_chunk::<2>()?;
        let length = usize::try_from(i16::from_be_bytes(*length)).ok()?;
        let (topic, after) = after.split_at_checked(length)?;
        topics.insert(topic);
        rest = after;
    }
    Some(topics)
}

/// Returns whether two subscriptions have different topics; `false` if one of them cannot be read.
pub(super) fn differs(one: &[u8], other: &[u8]) -> bool {
    match (read_topics(one), read_topics(other)) {
        (Some(one), Some(other)) => one != other,
        _ => false,
    }
}
