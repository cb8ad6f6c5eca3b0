//! The errors of a mapping file.

/// A mapping that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MappingError {
    /// The text is not TOML or has an unknown key, type or value. The message shows the line and
    /// what is allowed there.
    // Not a source: the sentence holds all of it, and a chain would print it again.
    #[error("the mapping cannot be read: {0}")]
    Syntax(Box<toml::de::Error>),
    /// A key contradicts another key or names something that does not exist.
    #[error("{place}: {problem}")]
    Invalid {
        /// The key, such as `field.amount.pattern`.
        place: String,
        /// The mistake, and what is allowed.
        problem: String,
    },
}

impl MappingError {
    pub(crate) fn at(place: impl Into<String>, problem: impl Into<String>) -> MappingError {
        MappingError::Invalid { place: place.into(), problem: problem.into() }
    }
}
