use leftfold_api::{Invalid, ReadError, RecordFormat, Recorded};

use crate::event::recorded;
use crate::invalid::answer;
use crate::{PackedEvents, v1};

/// The form in which a client receives events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EventForm {
    /// As fields, for every language.
    Fields,
    /// As the bytes of the log, if the client reads them; otherwise as fields.
    Packed(RecordFormat),
}

impl EventForm {
    fn new(form: v1::Form, records: Option<v1::RecordFormat>) -> Self {
        match form {
            v1::Form::Packed => EventForm::Packed(
                records.map_or_else(RecordFormat::release_0_1, RecordFormat::from),
            ),
            v1::Form::Fields | v1::Form::Unspecified => EventForm::Fields,
        }
    }

    /// Returns the form that a read asks for.
    pub fn of_read(request: &v1::ReadRequest) -> Self {
        EventForm::new(request.form(), request.records.clone())
    }

    /// Returns the form that a subscription asks for.
    pub fn of_subscription(request: &v1::SubscribeRequest) -> Self {
        EventForm::new(request.form(), request.records.clone())
    }

    /// Encodes the events of one message. One event that the client does not read as bytes makes
    /// fields of all: a message has one form.
    pub(crate) fn encode(
        &self,
        events: Vec<Recorded>,
    ) -> (Vec<v1::RecordedEvent>, Option<PackedEvents>) {
        match self {
            _ if events.is_empty() => (Vec::new(), None),
            EventForm::Packed(format) if events.iter().all(|e| format.can_read(e.record())) => {
                (Vec::new(), Some(PackedEvents::new(events)))
            }
            _ => (events.iter().map(v1::RecordedEvent::from).collect(), None),
        }
    }
}

/// Decodes the events of one message, in either form.
pub(crate) fn decode(
    events: Vec<v1::RecordedEvent>,
    packed: Option<PackedEvents>,
) -> Result<Vec<Recorded>, ReadError> {
    match packed {
        Some(packed) if events.is_empty() => Ok(packed.into_events()?),
        Some(_) => Err(answer("it holds events in two forms").into()),
        None => Ok(events.into_iter().map(recorded).collect::<Result<_, _>>()?),
    }
}

impl From<v1::RecordFormat> for RecordFormat {
    /// Flags and codecs beyond those of any release are dropped: a record can't have them.
    fn from(format: v1::RecordFormat) -> Self {
        RecordFormat {
            version: format.version.max(1),
            flags: (format.flags & u32::from(u16::MAX)) as u16,
            codecs: format.codecs.into_iter().filter_map(|codec| codec.try_into().ok()).collect(),
        }
    }
}

impl From<RecordFormat> for v1::RecordFormat {
    fn from(format: RecordFormat) -> Self {
        v1::RecordFormat {
            version: format.version,
            flags: format.flags.into(),
            codecs: format.codecs.into_iter().map(u32::from).collect(),
        }
    }
}

/// Refuses a request that asks for more codecs than there can be.
pub(crate) fn check(format: Option<&v1::RecordFormat>) -> Result<(), Invalid> {
    const MAX_CODECS: usize = 256;
    match format {
        Some(format) if format.codecs.len() > MAX_CODECS => Err(crate::invalid::request(format!(
            "the record format has {} codecs; at most {MAX_CODECS} exist",
            format.codecs.len()
        ))),
        _ => Ok(()),
    }
}
