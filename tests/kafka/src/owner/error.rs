use thiserror::Error;

use crate::wire::WireError;

/// Why an owner can't go on.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum OwnerError {
    /// A newer claim is in the log, or the broker knows a newer epoch. What was not acknowledged may
    /// have landed before that claim: the log tells.
    #[error("term {term} is over: {why}")]
    Deposed {
        /// The term that was this owner's.
        term: u64,
        /// How it was noticed.
        why: String,
    },
    /// An append may or may not have landed. Nothing more is written in this term.
    #[error("it is not known whether the append landed: {0}; claim again and look it up")]
    Doubt(WireError),
    /// Another claim came first; read on and try again.
    #[error("another claim came first")]
    Overtaken,
    /// No event was written; a claim may have been, which nobody will follow up.
    #[error(transparent)]
    Wire(#[from] WireError),
}
