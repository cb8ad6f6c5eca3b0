use leftfold_api::{
    Direction, IndexInfo, Invalid, Page, Query, Read, ReadError, Recorded, StreamInfo, Streams,
    StreamsPage, Subscribe,
};

use crate::event::recorded;
use crate::invalid::{answer, missing};
use crate::manage::retention;
use crate::place::{self, bytes, cursor, optional_cursor};
use crate::{PackedEvents, query, v1};

impl From<&Read> for v1::ReadRequest {
    /// Asks for one page, packed.
    fn from(read: &Read) -> Self {
        let direction = match read.direction {
            Direction::Forward => v1::Direction::Forward,
            Direction::Backward => v1::Direction::Backward,
        };
        v1::ReadRequest {
            query: Some(v1::Query::from(&read.query)),
            begin: place::begin(read.from.clone()),
            direction: direction as i32,
            limit: (read.limit != usize::MAX).then_some(read.limit as u64),
            at_least: read.at_least.clone().map(bytes),
            all_pages: false,
            form: v1::Form::Packed as i32,
        }
    }
}

impl TryFrom<v1::ReadRequest> for Read {
    type Error = Invalid;

    fn try_from(request: v1::ReadRequest) -> Result<Self, Invalid> {
        let direction = match v1::Direction::try_from(request.direction) {
            Ok(v1::Direction::Unspecified | v1::Direction::Forward) => Direction::Forward,
            Ok(v1::Direction::Backward) => Direction::Backward,
            Err(_) => return Err(missing("direction that is known")),
        };
        let limit =
            request.limit.map_or(usize::MAX, |limit| limit.try_into().unwrap_or(usize::MAX));
        Ok(Read {
            query: query::query(request.query)?,
            from: place::from(request.begin)?,
            direction,
            limit,
            at_least: optional_cursor(request.at_least)?,
            with_ordinals: false,
        })
    }
}

impl From<&Subscribe> for v1::SubscribeRequest {
    /// Asks for packed events.
    fn from(subscribe: &Subscribe) -> Self {
        v1::SubscribeRequest {
            query: Some(v1::Query::from(&subscribe.query)),
            begin: place::begin(subscribe.from.clone()),
            form: v1::Form::Packed as i32,
        }
    }
}

impl TryFrom<v1::SubscribeRequest> for Subscribe {
    type Error = Invalid;

    fn try_from(request: v1::SubscribeRequest) -> Result<Self, Invalid> {
        let query = query::query(request.query)?;
        Ok(Subscribe { from: place::from(request.begin)?, ..Subscribe::to(query) })
    }
}

/// Events in the form that was asked for.
pub(crate) fn in_form(
    events: Vec<Recorded>,
    form: v1::Form,
) -> (Vec<v1::RecordedEvent>, Option<PackedEvents>) {
    match form {
        v1::Form::Packed if events.is_empty() => (Vec::new(), None),
        v1::Form::Packed => (Vec::new(), Some(PackedEvents::new(events))),
        v1::Form::Fields | v1::Form::Unspecified => {
            (events.iter().map(v1::RecordedEvent::from).collect(), None)
        }
    }
}

/// Events in whichever form they came.
pub(crate) fn out_of_form(
    events: Vec<v1::RecordedEvent>,
    packed: Option<PackedEvents>,
) -> Result<Vec<Recorded>, ReadError> {
    match packed {
        Some(packed) if events.is_empty() => Ok(packed.into_events()?),
        Some(_) => Err(answer("it holds events in two forms").into()),
        None => Ok(events.into_iter().map(recorded).collect::<Result<_, _>>()?),
    }
}

/// A part of a page; the last part says where the page ends and whether there is more.
pub fn page_part(
    events: Vec<Recorded>,
    form: v1::Form,
    end: Option<(leftfold_api::Cursor, bool)>,
) -> v1::ReadResponse {
    let (events, packed) = in_form(events, form);
    let (cursor, more) =
        (end.clone().map(|(cursor, _)| bytes(cursor)), end.is_some_and(|(_, more)| more));
    v1::ReadResponse { events, packed, cursor, more }
}

/// Adds a part to the events of a page; gives the page when it was the last.
pub fn append_page(
    events: &mut Vec<Recorded>,
    part: v1::ReadResponse,
) -> Result<Option<Page>, ReadError> {
    events.extend(out_of_form(part.events, part.packed)?);
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
            after: streams.after.clone().map(bytes),
            limit: streams.limit as u64,
        }
    }
}

impl TryFrom<v1::ListStreamsRequest> for Streams {
    type Error = Invalid;

    fn try_from(request: v1::ListStreamsRequest) -> Result<Self, Invalid> {
        let (category, after) = (request.category, optional_cursor(request.after)?);
        Ok(Streams { category, after, limit: request.limit.try_into().unwrap_or(usize::MAX) })
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
        let query = Some(v1::Query::from(&info.query));
        v1::IndexInfo { name: info.name, query, ready: info.ready, events: info.events }
    }
}

impl TryFrom<v1::IndexInfo> for IndexInfo {
    type Error = Invalid;

    fn try_from(info: v1::IndexInfo) -> Result<Self, Invalid> {
        let query: Query = query::query(info.query)?;
        Ok(IndexInfo {
            name: info.name,
            query,
            partitioning: None,
            ready: info.ready,
            events: info.events,
        })
    }
}
