//! The events of a parcel in Protobuf, written by hand.

use leftfold::{
    Command, Event, EventQuery, Kind, Payload, Query, State, StreamState, Unencodable, WrongShape,
};
use prost::Message;
use serde::Deserialize;

/// The media type of Protobuf.
const PROTOBUF: &str = "application/x-protobuf";
/// The key of the tag with the receiver.
const RECEIVER: &str = "receiver";

const POSTED: Kind = Kind { event_type: "parcel.Posted", version: 2 };
const SCANNED: Kind = Kind { event_type: "parcel.Scanned", version: 2 };
const DELIVERED: Kind = Kind { event_type: "parcel.Delivered", version: 1 };

/// The events of a parcel. Version 1 of the first two was JSON.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Parcel {
    Posted(Posted),
    Scanned(Scanned),
    Delivered,
}

/// `message Posted { string receiver = 1; uint32 grams = 2; }`
#[derive(Clone, PartialEq, Message, Deserialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Posted {
    #[prost(string, tag = "1")]
    pub receiver: String,
    #[prost(uint32, tag = "2")]
    pub grams: u32,
}

/// `message Scanned { string depot = 1; }`
#[derive(Clone, PartialEq, Message, Deserialize)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Scanned {
    #[prost(string, tag = "1")]
    pub depot: String,
}

impl Event for Parcel {
    const KINDS: &'static [Kind] = &[POSTED, SCANNED, DELIVERED];

    fn kind(&self) -> &'static Kind {
        match self {
            Parcel::Posted(_) => &POSTED,
            Parcel::Scanned(_) => &SCANNED,
            Parcel::Delivered => &DELIVERED,
        }
    }

    fn tags(&self) -> Vec<(String, String)> {
        match self {
            Parcel::Posted(Posted { receiver, .. }) => vec![(RECEIVER.into(), receiver.clone())],
            Parcel::Scanned(_) | Parcel::Delivered => vec![],
        }
    }

    fn encode(&self) -> Result<Payload<'static>, Unencodable> {
        let data = match self {
            Parcel::Posted(posted) => posted.encode_to_vec(),
            Parcel::Scanned(scanned) => scanned.encode_to_vec(),
            Parcel::Delivered => Vec::new(),
        };
        Ok(Payload::new(PROTOBUF, data))
    }

    fn decode(
        event_type: &str,
        version: u16,
        payload: &Payload<'_>,
    ) -> Result<Option<Self>, WrongShape> {
        let known = Self::KINDS.iter().find(|kind| kind.event_type == event_type);
        let Some(Kind { version: known, .. }) = known else { return Ok(None) };
        if version > *known {
            return Err(WrongShape::Newer { known: *known, found: version });
        }
        Ok(Some(match event_type {
            "parcel.Posted" => Parcel::Posted(message(payload)?),
            "parcel.Scanned" => Parcel::Scanned(message(payload)?),
            _ => {
                payload.expect(PROTOBUF)?;
                Parcel::Delivered
            }
        }))
    }
}

/// Decodes a message; an event of an older release is JSON.
fn message<M>(payload: &Payload<'_>) -> Result<M, WrongShape>
where
    M: Message + Default + serde::de::DeserializeOwned,
{
    if payload.is_json() {
        return serde_json::from_slice(&payload.data)
            .map_err(|error| WrongShape::payload(error.to_string()));
    }
    payload.expect(PROTOBUF)?;
    M::decode(&*payload.data).map_err(|error| WrongShape::payload(error.to_string()))
}

impl Parcel {
    /// Selects the events of parcels to a receiver.
    pub fn by_receiver(receiver: &str) -> EventQuery<Self> {
        EventQuery::all().and(EventQuery::untyped(Query::tag(RECEIVER, receiver)))
    }

    /// Returns the name of the stream of a parcel.
    pub fn stream(number: u32) -> String {
        format!("parcel-{number}")
    }
}

/// Where a parcel is.
#[derive(Debug, Default, PartialEq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Place {
    pub grams: u32,
    pub depot: Option<String>,
    pub is_delivered: bool,
}

impl State for Place {
    type Event = Parcel;

    fn apply(&mut self, event: &Parcel) {
        match event {
            Parcel::Posted(posted) => self.grams = posted.grams,
            Parcel::Scanned(scanned) => self.depot = Some(scanned.depot.clone()),
            Parcel::Delivered => self.is_delivered = true,
        }
    }
}

/// A depot scans a parcel.
#[expect(missing_docs, reason = "the names say it")]
pub struct Scan {
    pub parcel: u32,
    pub depot: &'static str,
}

/// The parcel is delivered already.
#[derive(Debug, PartialEq, thiserror::Error)]
#[error("the parcel is delivered already")]
pub struct AlreadyDelivered;

impl Command for Scan {
    type Event = Parcel;
    type Error = AlreadyDelivered;
    type Reads = StreamState<Place>;

    fn reads(&self) -> StreamState<Place> {
        StreamState::of(Parcel::stream(self.parcel))
    }

    fn decide(&self, place: &Place) -> Result<Vec<Parcel>, AlreadyDelivered> {
        match place.is_delivered {
            true => Err(AlreadyDelivered),
            false => Ok(vec![Parcel::Scanned(Scanned { depot: self.depot.to_owned() })]),
        }
    }
}
