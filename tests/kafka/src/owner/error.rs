use thiserror::Error;

use crate::wire::KafkaError;

/// An error that ends an owner's term.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum OwnerError {
    /// A newer claim is in the log, or the broker knows a newer epoch. An append that was not
    /// acknowledged may have landed before that claim; the log shows it.
    #[error("term {term} is over: {why}")]
    Deposed {
        /// The owner's term.
        term: u64,
        /// The evidence.
        why: String,
    },
    /// An append may or may not have landed. The owner writes nothing more in this term.
    #[error("the outcome of the append is unknown: {0}; claim again and look it up")]
    OutcomeUnknown(KafkaError),
    /// Another claim came first; the caller reads on and tries again.
    #[error("another claim came first")]
    Overtaken,
    /// No event was written. A claim without a follow-up may be in the log.
    #[error(transparent)]
    Wire(#[from] KafkaError),
}
