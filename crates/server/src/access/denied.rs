use thiserror::Error;

/// Why a request is not served.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Denied {
    /// It is not known who asks.
    #[error("{0}")]
    Unauthenticated(String),
    /// It is known who asks, and that one may not.
    #[error("{0}")]
    Forbidden(String),
    /// Who asks can't be found out now.
    #[error("{0}; try again later")]
    Busy(&'static str),
}

impl Denied {
    /// A stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Denied::Unauthenticated(_) => "unauthenticated",
            Denied::Forbidden(_) => "forbidden",
            Denied::Busy(_) => "rate_limited",
        }
    }

    /// Whether the same request may succeed later.
    pub fn can_retry(&self) -> bool {
        matches!(self, Denied::Busy(_))
    }
}
