//! Kafka's codes for the errors of the store and of access.

use leftfold_api::{AppendError, Failure, ReadError};
use leftfold_kafka::ResponseError;

use crate::access::Denial;
use crate::limits::PageError;

/// Returns the code of a denial of a topic.
pub(super) fn of_denial(denial: &Denial) -> ResponseError {
    match denial {
        Denial::IndexChanged(_) | Denial::Busy(_) => ResponseError::LeaderNotAvailable,
        _ => ResponseError::TopicAuthorizationFailed,
    }
}

/// Returns the code of a failure of the store: clients try again.
pub(super) fn of_failure(failure: &Failure) -> ResponseError {
    match failure {
        Failure::NotOwner => ResponseError::NotLeaderOrFollower,
        _ => ResponseError::KafkaStorageError,
    }
}

/// Returns the code of a read that failed.
pub(super) fn of_read(error: &ReadError) -> ResponseError {
    match error {
        ReadError::Invalid(invalid) => match invalid.code {
            "index_unknown" | "partition_unknown" => ResponseError::UnknownTopicOrPartition,
            "index_building" => ResponseError::LeaderNotAvailable,
            "start_ahead" => ResponseError::OffsetOutOfRange,
            _ => ResponseError::InvalidRequest,
        },
        ReadError::Failure(failure) => of_failure(failure),
        _ => ResponseError::UnknownServerError,
    }
}

/// Returns the code of a page that could not be had.
pub(super) fn of_page(error: &PageError) -> ResponseError {
    match error {
        PageError::Read(error) => of_read(error),
        PageError::Late | PageError::Full => ResponseError::KafkaStorageError,
    }
}

/// Returns the code of a definition that was refused.
pub(super) fn of_definition(error: &AppendError) -> ResponseError {
    match error {
        AppendError::Invalid(invalid) => match invalid.code {
            "index_partitions_invalid" => ResponseError::InvalidPartitions,
            "name_invalid" | "name_reserved" => ResponseError::InvalidTopicException,
            "too_many_indexes" => ResponseError::PolicyViolation,
            _ => ResponseError::InvalidConfig,
        },
        AppendError::Conflict(_) | AppendError::Overlap(_) => ResponseError::TopicAlreadyExists,
        AppendError::Failure(failure) => of_failure(failure),
        _ => ResponseError::UnknownServerError,
    }
}
