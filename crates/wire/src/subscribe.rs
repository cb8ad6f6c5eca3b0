use bytes::{BufMut, BytesMut};
use leftfold_api::{Cursor, Delivery, ReadError, Recorded};

use crate::form::{self, EventForm};
use crate::point::{self, bytes, cursors};
use crate::v1;

/// Makes a message of deliveries: events with their cursors, and the cursor behind all of them.
pub fn delivery_part(
    events: Vec<(Recorded, Cursor)>,
    form: &EventForm,
    end: Cursor,
    caught_up: bool,
) -> v1::SubscribeResponse {
    let mut cursors = BytesMut::with_capacity(events.len() * end.to_bytes().len());
    events.iter().for_each(|(_, cursor)| cursors.put_slice(&cursor.to_bytes()));
    let (events, packed) = form.encode(events.into_iter().map(|(event, _)| event).collect());
    let (cursors, cursor) = (cursors.freeze(), bytes(end));
    v1::SubscribeResponse { events, packed, cursors, cursor, caught_up }
}

/// Returns the deliveries of a message, and the cursor behind them.
///
/// # Errors
/// `protocol_error`, `cursor_invalid`, `request_invalid`.
pub fn deliveries(
    part: v1::SubscribeResponse,
) -> Result<(impl Iterator<Item = Delivery> + Send, Cursor), ReadError> {
    let events = form::decode(part.events, part.packed)?;
    let cursors = cursors(&part.cursors, events.len())?;
    let end = point::cursor(&part.cursor)?;
    let events = events.into_iter().zip(cursors);
    let caught_up = part.caught_up.then_some(Delivery::CaughtUp(end.clone()));
    Ok((events.map(|(event, cursor)| Delivery::Event(event, cursor)).chain(caught_up), end))
}
