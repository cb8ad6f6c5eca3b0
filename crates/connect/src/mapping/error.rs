//! What is wrong with a mapping, and where.

/// A mapping that cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MappingError {
    /// Not TOML, or a key, a type or a value that mappings do not have. The message shows the
    /// line and says what is allowed there.
    #[error("the mapping cannot be read: {0}")]
    Syntax(#[from] Box<toml::de::Error>),
    /// The parts do not fit together.
    #[error("{place}: {problem}")]
    Invalid {
        /// The key, such as `field.amount.pattern`.
        place: String,
        /// What is wrong and what is allowed.
        problem: String,
    },
}

impl MappingError {
    pub(crate) fn at(place: impl Into<String>, problem: impl Into<String>) -> MappingError {
        MappingError::Invalid { place: place.into(), problem: problem.into() }
    }
}
