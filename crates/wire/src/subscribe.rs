use bytes::{BufMut, BytesMut};
use leftfold_api::{Cursor, Delivery, ReadError, Recorded};

use crate::place::{self, bytes, cursors};
use crate::read::{in_form, out_of_form};
use crate::v1;

/// A part of what a subscription delivers: events with their cursors, and where it is after them.
pub fn delivery_part(
    events: Vec<(Recorded, Cursor)>,
    form: v1::Form,
    end: Cursor,
    caught_up: bool,
) -> v1::SubscribeResponse {
    let mut cursors = BytesMut::with_capacity(events.len() * end.to_bytes().len());
    events.iter().for_each(|(_, cursor)| cursors.put_slice(&cursor.to_bytes()));
    let (events, packed) = in_form(events.into_iter().map(|(event, _)| event).collect(), form);
    let (cursors, cursor) = (cursors.freeze(), bytes(end));
    v1::SubscribeResponse { events, packed, cursors, cursor, caught_up }
}

/// The deliveries of a part, and where the subscription is after them.
pub fn deliveries(
    part: v1::SubscribeResponse,
) -> Result<(impl Iterator<Item = Delivery> + Send, Cursor), ReadError> {
    let events = out_of_form(part.events, part.packed)?;
    let cursors = cursors(&part.cursors, events.len())?;
    let end = place::cursor(&part.cursor)?;
    let events = events.into_iter().zip(cursors);
    let caught_up = part.caught_up.then_some(Delivery::CaughtUp(end.clone()));
    Ok((events.map(|(event, cursor)| Delivery::Event(event, cursor)).chain(caught_up), end))
}
