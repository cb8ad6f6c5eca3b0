use thiserror::Error;

/// A record that counts cannot be read. It is never skipped: copies of the partition would differ.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "the record at offset {offset} cannot be read: {reason}. Check which programs may write to the topic, and that \
     all nodes run the same release"
)]
pub struct RecordError {
    /// The record's offset.
    pub offset: i64,
    /// What was expected and what was found.
    pub reason: String,
}

impl RecordError {
    /// Returns the stable code.
    pub fn code(&self) -> &'static str {
        "record_unreadable"
    }
}

/// An append cannot be written as records without loss. Nothing was written.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("the event at position {position} cannot be written as a record of Kafka: {reason}")]
pub struct EncodeError {
    /// The event's position.
    pub position: u64,
    /// The part that a record cannot hold.
    pub reason: &'static str,
}
