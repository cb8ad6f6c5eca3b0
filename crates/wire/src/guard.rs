//! What a message may hold before it is taken apart. A part of two bytes becomes a struct of
//! hundreds: whoever decodes first and counts then has no memory left to count in.

use std::any::TypeId;

use leftfold_api::Invalid;

use crate::v1;

/// Bytes of a request that holds nothing large: a query has at most 64 KiB.
const SMALL: usize = 1 << 20;
/// Events of an append, whatever the store allows.
const EVENTS: usize = 1 << 17;
/// Tags of all of them.
const TAGS: usize = 1 << 20;
/// The number of the field of an event that holds a tag.
const TAG: u64 = 7;
/// Conditions and checkpoint moves of an append.
const CONDITIONS: usize = 1 << 17;
/// Bytes of the queries of an append.
const QUERY_BYTES: usize = 4 << 20;

/// Whether a message of this type may be taken apart.
pub(crate) fn check<U: 'static>(bytes: &[u8]) -> Result<(), Invalid> {
    let is = |id: TypeId| TypeId::of::<U>() == id;
    if is(TypeId::of::<v1::NumberedAppend>()) {
        let append = fields(bytes).filter_map(|(field, content)| (field == 2).then_some(content));
        let mut parts = Parts::default();
        return append.into_iter().try_for_each(|append| parts.add(append));
    }
    if is(TypeId::of::<v1::AppendRequest>()) {
        return Parts::default().add(bytes);
    }
    let small = [
        TypeId::of::<v1::ReadRequest>(),
        TypeId::of::<v1::SubscribeRequest>(),
        TypeId::of::<v1::DefineIndexRequest>(),
        TypeId::of::<v1::SetRuleRequest>(),
    ];
    if small.into_iter().any(is) && bytes.len() > SMALL {
        return Err(too_many("query_too_large", "bytes in the request", bytes.len(), SMALL));
    }
    Ok(())
}

/// What an append is made of.
#[derive(Default)]
struct Parts {
    events: usize,
    tags: usize,
    conditions: usize,
    query_bytes: usize,
}

impl Parts {
    fn add(&mut self, append: &[u8]) -> Result<(), Invalid> {
        for (field, content) in fields(append) {
            match field {
                1 => {
                    self.events += 1;
                    self.tags += fields(content).filter(|(field, _)| *field == TAG).count();
                }
                3 => {
                    self.conditions += 1;
                    self.query_bytes += content.len();
                }
                _ => self.conditions += 1,
            }
            self.check()?;
        }
        Ok(())
    }

    fn check(&self) -> Result<(), Invalid> {
        let limits = [
            ("too_many_events", "events in one append", self.events, EVENTS),
            ("too_many_tags", "tags in one append", self.tags, TAGS),
            ("too_many_conditions", "conditions in one append", self.conditions, CONDITIONS),
            ("query_too_large", "bytes in an append's queries", self.query_bytes, QUERY_BYTES),
        ];
        match limits.into_iter().find(|(_, _, found, allowed)| found > allowed) {
            Some((code, what, found, allowed)) => Err(too_many(code, what, found, allowed)),
            None => Ok(()),
        }
    }
}

fn too_many(code: &'static str, what: &str, found: usize, allowed: usize) -> Invalid {
    Invalid::new(code, format!("{what}: {found}; at most {allowed} are allowed over gRPC"))
}

/// The fields of a message that have a length, with their contents. Ends where the message makes no
/// sense: decoding it says so.
fn fields(mut bytes: &[u8]) -> impl Iterator<Item = (u64, &[u8])> {
    std::iter::from_fn(move || {
        loop {
            let key = varint(&mut bytes)?;
            let skipped = match key & 7 {
                0 => varint(&mut bytes).map(|_| 0)?,
                1 => 8,
                2 => {
                    let length = usize::try_from(varint(&mut bytes)?).ok()?;
                    let (content, rest) = bytes.split_at_checked(length)?;
                    bytes = rest;
                    return Some((key >> 3, content));
                }
                5 => 4,
                // Groups can't be looked over without being gone into; the messages have none.
                _ => return None,
            };
            bytes = bytes.get(skipped..)?;
        }
    })
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}
