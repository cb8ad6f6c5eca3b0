use leftfold_api::{
    Cursor, Direction, IndexInfo, Invalid, Page, Query, Read, ReadError, ReadLevel, RecordFormat,
    Recorded, StreamInfo, Streams, StreamsPage, Subscribe,
};

use crate::form::{self, EventForm};
use crate::invalid::missing;
use crate::point::{self, bytes, cursor, optional_cursor};
use crate::settings::{partitioning, retention};
use crate::{query, v1};

impl From<&Read> for v1::ReadRequest {
    /// Asks for one page of packed events.
    fn from(read: &Read) -> Self {
        let direction = match read.direction {
            Direction::Forward => v1::Direction::Forward,
            Direction::Backward => v1::Direction::Backward,
        };
        v1::ReadRequest {
            query: Some(v1::Query::from(&read.query)),
            begin: point::begin(read.from.clone()),
            direction: direction as i32,
            limit: (read.limit != usize::MAX).then_some(read.limit as u64),
            at_least: read.at_least.clone().map(bytes),
            all_pages: false,
            form: v1::Form::Packed as i32,
            with_ordinals: read.with_ordinals,
            records: Some(RecordFormat::current().into()),
            level: v1::ReadLevel::from(read.level) as i32,
        }
    }
}

impl TryFrom<v1::ReadRequest> for Read {
    type Error = Invalid;

    fn try_from(request: v1::ReadRequest) -> Result<Self, Invalid> {
        form::check(request.records.as_ref())?;
        let direction = match v1::Direction::try_from(request.direction) {
            Ok(v1::Direction::Unspecified | v1::Direction::Forward) => Direction::Forward,
            Ok(v1::Direction::Backward) => Direction::Backward,
            Err(_) => return Err(missing("direction that is known")),
        };
        let limit =
            request.limit.map_or(usize::MAX, |limit| limit.try_into().unwrap_or(usize::MAX));
        Ok(Read {
            query: query::query(request.query)?,
            from: point::from(request.begin)?,
            direction,
            limit,
            max_bytes: usize::MAX,
            at_least: optional_cursor(request.at_least)?,
            level: level(request.level)?,
            with_ordinals: request.with_ordinals,
        })
    }
}

impl From<ReadLevel> for v1::ReadLevel {
    fn from(level: ReadLevel) -> Self {
        match level {
            ReadLevel::Committed => v1::ReadLevel::Committed,
            ReadLevel::Local => v1::ReadLevel::Local,
            ReadLevel::Linearizable => v1::ReadLevel::Linearizable,
        }
    }
}

fn level(number: i32) -> Result<ReadLevel, Invalid> {
    match v1::ReadLevel::try_from(number) {
        Ok(v1::ReadLevel::Unspecified | v1::ReadLevel::Committed) => Ok(ReadLevel::Committed),
        Ok(v1::ReadLevel::Local) => Ok(ReadLevel::Local),
        Ok(v1::ReadLevel::Linearizable) => Ok(ReadLevel::Linearizable),
        // A level that this release does not know may be a stronger one.
        Err(_) => Err(missing("read level that is known")),
    }
}

impl From<&Subscribe> for v1::SubscribeRequest {
    /// Asks for packed events.
    fn from(subscribe: &Subscribe) -> Self {
        v1::SubscribeRequest {
            query: Some(v1::Query::from(&subscribe.query)),
            begin: point::begin(subscribe.from.clone()),
            form: v1::Form::Packed as i32,
            with_ordinals: subscribe.with_ordinals,
            records: Some(RecordFormat::current().into()),
        }
    }
}

impl TryFrom<v1::SubscribeRequest> for Subscribe {
    type Error = Invalid;

    fn try_from(request: v1::SubscribeRequest) -> Result<Self, Invalid> {
        form::check(request.records.as_ref())?;
        let query = query::query(request.query)?;
        let (from, with_ordinals) = (point::from(request.begin)?, request.with_ordinals);
        Ok(Subscribe { query, from, with_ordinals })
    }
}

/// Makes a message of some events of a page; the last message has the page's end: the cursor, and
/// whether more may follow.
pub fn page_part(
    events: Vec<Recorded>,
    form: &EventForm,
    end: Option<(Cursor, bool)>,
) -> v1::ReadResponse {
    let (events, packed) = form.encode(events);
    let more = end.as_ref().is_some_and(|(_, more)| *more);
    let cursor = end.map(|(cursor, _)| bytes(cursor));
    v1::ReadResponse { events, packed, cursor, more }
}

/// Adds a message to the events of a page; returns the page after its last message.
///
/// # Errors
/// `protocol_error`, `cursor_invalid`.
pub fn append_page(
    events: &mut Vec<Recorded>,
    part: v1::ReadResponse,
) -> Result<Option<Page>, ReadError> {
    events.extend(form::decode(part.events, part.packed)?);
    let Some(end) = part.cursor else { return Ok(None) };
    Ok(Some(Page { events: std::mem::take(events), cursor: cursor(&end)?, more: part.more }))
}

impl From<StreamInfo> for v1::StreamInfo {
    fn from(info: StreamInfo) -> Self {
        v1::StreamInfo {
            name: info.name,
            version: info.version,
            first_position: info.first_position,
            last_position: info.last_position,
            retention: Some(info.retention.into()),
            tombstoned: info.tombstoned,
        }
    }
}

impl From<v1::StreamInfo> for StreamInfo {
    fn from(info: v1::StreamInfo) -> Self {
        StreamInfo {
            name: info.name,
            version: info.version,
            first_position: info.first_position,
            last_position: info.last_position,
            retention: retention(info.retention),
            tombstoned: info.tombstoned,
        }
    }
}

impl From<&Streams> for v1::ListStreamsRequest {
    fn from(streams: &Streams) -> Self {
        v1::ListStreamsRequest {
            category: streams.category.clone(),
            system: streams.system,
            after: streams.after.clone().map(bytes),
            limit: streams.limit as u64,
        }
    }
}

impl TryFrom<v1::ListStreamsRequest> for Streams {
    type Error = Invalid;

    fn try_from(request: v1::ListStreamsRequest) -> Result<Self, Invalid> {
        let (category, after) = (request.category, optional_cursor(request.after)?);
        let limit = request.limit.try_into().unwrap_or(usize::MAX);
        Ok(Streams { category, system: request.system, after, limit })
    }
}

impl From<StreamsPage> for v1::ListStreamsResponse {
    fn from(page: StreamsPage) -> Self {
        let streams = page.streams.into_iter().map(v1::StreamInfo::from).collect();
        v1::ListStreamsResponse { streams, cursor: bytes(page.cursor), more: page.more }
    }
}

impl TryFrom<v1::ListStreamsResponse> for StreamsPage {
    type Error = Invalid;

    fn try_from(response: v1::ListStreamsResponse) -> Result<Self, Invalid> {
        let streams = response.streams.into_iter().map(StreamInfo::from).collect();
        Ok(StreamsPage { streams, cursor: cursor(&response.cursor)?, more: response.more })
    }
}

impl From<IndexInfo> for v1::IndexInfo {
    fn from(info: IndexInfo) -> Self {
        v1::IndexInfo {
            name: info.name,
            query: Some(v1::Query::from(&info.query)),
            ready: info.ready,
            events: info.events,
            partitioning: info.partitioning.map(v1::Partitioning::from),
        }
    }
}

impl TryFrom<v1::IndexInfo> for IndexInfo {
    type Error = Invalid;

    fn try_from(info: v1::IndexInfo) -> Result<Self, Invalid> {
        let query: Query = query::query(info.query)?;
        Ok(IndexInfo {
            name: info.name,
            query,
            partitioning: info.partitioning.map(partitioning).transpose()?,
            ready: info.ready,
            events: info.events,
        })
    }
}
