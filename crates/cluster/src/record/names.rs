//! The names of headers.

/// The version of CloudEvents.
pub(super) const SPEC_VERSION: &str = "ce_specversion";
/// The event's id.
pub(crate) const ID: &str = "ce_id";
/// The cluster.
pub(super) const SOURCE: &str = "ce_source";
/// The event type.
pub(super) const TYPE: &str = "ce_type";
/// The event time.
pub(super) const TIME: &str = "ce_time";
/// The media type of the value.
pub(super) const CONTENT_TYPE: &str = "content-type";
/// The start of the names of our own headers.
pub(super) const OWN: &str = "lf-";
/// The event's number in its stream.
pub(super) const VERSION: &str = "lf-version";
/// Says [`GIVEN`] if the event time was given.
pub(super) const TIME_ORIGIN: &str = "lf-time";
/// The value of [`TIME_ORIGIN`].
pub(super) const GIVEN: &str = "given";
/// The version of the payload's schema.
pub(super) const SCHEMA: &str = "lf-schema";
/// The correlation id.
pub(super) const CORRELATION: &str = "lf-correlation";
/// The causation id.
pub(super) const CAUSATION: &str = "lf-causation";
/// A tag.
pub(super) const TAG: &str = "lf-tag";
/// The metadata.
pub(super) const METADATA: &str = "lf-metadata";
/// The append's id.
pub(super) const APPEND: &str = "lf-append";
/// The commit time.
pub(super) const COMMIT_TIME: &str = "lf-commit-time";
/// A checkpoint that the append moves.
pub(super) const CHECKPOINT: &str = "lf-checkpoint";
