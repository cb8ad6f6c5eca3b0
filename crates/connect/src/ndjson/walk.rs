//! Collects the values at the mapping's pointers from one JSON text.

use crate::plan::ndjson::Node;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;

/// The values of one record, as JSON text, by slot.
pub(super) struct RawValues<'a>(pub(super) Vec<Option<&'a str>>);

/// Descends only along the pointers and skips everything else.
pub(super) struct Walk<'p, 'f, 'a> {
    pub(super) node: &'p Node,
    pub(super) found: &'f mut RawValues<'a>,
}

impl<'a> DeserializeSeed<'a> for Walk<'_, '_, 'a> {
    type Value = ();

    fn deserialize<D: Deserializer<'a>>(self, input: D) -> Result<(), D::Error> {
        if self.node.slots.is_empty() {
            return input.deserialize_any(self);
        }
        let raw: &'a RawValue = serde::Deserialize::deserialize(input)?;
        for slot in &self.node.slots {
            self.found.0[*slot] = Some(raw.get());
        }
        if self.node.children.is_empty() {
            return Ok(());
        }
        let mut inner = serde_json::Deserializer::from_str(raw.get());
        inner.deserialize_any(self).map_err(D::Error::custom)
    }
}

impl<'a> Visitor<'a> for Walk<'_, '_, 'a> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<(), A::Error> {
        let mut seen = vec![false; self.node.children.len()];
        while let Some(key) = map.next_key::<Cow<'a, str>>()? {
            let place = self.node.children.iter().position(|(child, _)| *child == key);
            let Some(place) = place else {
                map.next_value::<IgnoredAny>()?;
                continue;
            };
            if std::mem::replace(&mut seen[place], true) {
                return Err(A::Error::custom(format!("the key '{key}' occurs twice")));
            }
            let node = &self.node.children[place].1;
            map.next_value_seed(Walk { node, found: &mut *self.found })?;
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'a>>(self, mut seq: A) -> Result<(), A::Error> {
        for place in 0_usize.. {
            let more = match self.node.child(&place.to_string()) {
                Some(node) => seq.next_element_seed(Walk { node, found: &mut *self.found })?,
                None => seq.next_element::<IgnoredAny>()?.map(|_| ()),
            };
            if more.is_none() {
                break;
            }
        }
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }
}
