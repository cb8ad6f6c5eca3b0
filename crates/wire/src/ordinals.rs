//! Ordinals: look-ups, and the places that an append's events have in an index.

use leftfold_api::{IndexOrdinal, Invalid, Query, Start};

use crate::{point, query, v1};

impl v1::OrdinalRequest {
    /// Makes the request for the ordinal of the first event that a forward read yields.
    pub fn new(query: &Query, from: Start) -> Self {
        v1::OrdinalRequest { query: Some(v1::Query::from(query)), begin: point::begin(from) }
    }

    /// Returns the query and where the read would begin.
    ///
    /// # Errors
    /// `request_invalid`, `cursor_invalid`, and those of a query.
    pub fn into_parts(self) -> Result<(Query, Start), Invalid> {
        Ok((query::query(self.query)?, point::from(self.begin)?))
    }
}

impl From<Option<IndexOrdinal>> for v1::IndexOrdinal {
    fn from(place: Option<IndexOrdinal>) -> Self {
        let partition = place.map_or(0, |place| place.partition);
        v1::IndexOrdinal { partition, ordinal: place.map(|place| place.ordinal) }
    }
}

impl From<v1::IndexOrdinal> for Option<IndexOrdinal> {
    fn from(place: v1::IndexOrdinal) -> Self {
        let v1::IndexOrdinal { partition, ordinal } = place;
        ordinal.map(|ordinal| IndexOrdinal { partition, ordinal })
    }
}
