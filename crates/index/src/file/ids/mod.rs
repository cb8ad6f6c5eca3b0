//! Event ids: the fingerprint of each one's key, and the offset of its event.
//!
//! Sealing and merging write the fingerprints in order: a directory implies the first bits, a *tag*
//! has the next ones, and a *rest* has the last ones and the offset. A look-up reads the bucket's
//! bounds and its tags, and the rest of each equal tag, so that the tags reject nearly all absent
//! ids. What it finds are candidates: the caller compares the events in the log.

mod find;
mod merge;
mod scan;
mod shape;
mod write;

pub(super) use merge::MergedIds;
pub(super) use scan::Ids;
pub(super) use shape::IdShape;
pub(super) use write::IdWriter;
