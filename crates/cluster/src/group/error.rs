use thiserror::Error;

/// The bytes of a member's report or of the routes cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum MetadataError {
    /// The bytes are of a version that this node does not know.
    #[error(
        "{what} has version {found}, expected {expected}; run the same release of Leftfold on all nodes"
    )]
    Version {
        /// The kind of bytes.
        what: &'static str,
        /// The version found.
        found: u32,
        /// The version that this node knows.
        expected: u32,
    },
    /// There are too many bytes.
    #[error("{what} has {size} bytes, expected at most {limit}")]
    TooLarge {
        /// The kind of bytes.
        what: &'static str,
        /// The number of bytes.
        size: usize,
        /// The limit.
        limit: usize,
    },
    /// The name of a node is not allowed.
    #[error("the node's name is {name:?}, expected 1 to {limit} letters, digits and any of . _ -")]
    Name {
        /// The name, perhaps cut.
        name: String,
        /// The most bytes of a name.
        limit: usize,
    },
    /// The number of partitions is not allowed.
    #[error("the cluster has {found} partitions, expected 1 to {limit}")]
    Partitions {
        /// The number of partitions.
        found: u32,
        /// The most partitions of a cluster.
        limit: u32,
    },
    /// The bytes are damaged, or of another program that uses the same group.
    #[error("{what} cannot be read: {why}; no other program may use the cluster's group")]
    Malformed {
        /// The kind of bytes.
        what: &'static str,
        /// The reason.
        why: String,
    },
}

impl MetadataError {
    pub(super) fn malformed(what: &'static str, why: impl ToString) -> Self {
        MetadataError::Malformed { what, why: why.to_string() }
    }
}
