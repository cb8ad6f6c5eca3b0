use thiserror::Error;

/// Why a caller is refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Denial {
    /// The caller is not known.
    #[error("{0}")]
    Unauthenticated(String),
    /// The caller is known and lacks the right.
    #[error("{0}")]
    Forbidden(String),
    /// A named index is not the one any more that the caller was authorized to read.
    #[error("{0}")]
    IndexChanged(String),
    /// The caller can't be authenticated now.
    #[error("{0}; try again later")]
    Busy(&'static str),
}

impl Denial {
    /// Returns a stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Denial::Unauthenticated(_) => "unauthenticated",
            Denial::Forbidden(_) => "forbidden",
            Denial::IndexChanged(_) => "index_changed",
            Denial::Busy(_) => "rate_limited",
        }
    }

    /// Returns whether the same request may succeed later.
    pub fn can_retry(&self) -> bool {
        matches!(self, Denial::Busy(_) | Denial::IndexChanged(_))
    }
}
