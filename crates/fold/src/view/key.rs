//! Keys as bytes whose order is that of the keys.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// The end of a list. It is less than the first byte of any value, so shorter lists come first.
const END: u8 = 0;
const NULL: u8 = 1;
const FALSE: u8 = 2;
const TRUE: u8 = 3;
const NEGATIVE: u8 = 4;
const POSITIVE: u8 = 5;
const TEXT: u8 = 6;
const LIST: u8 = 7;
/// What follows a zero byte within a text, and at its end.
const WITHIN: u8 = 0xFF;
const TEXT_END: u8 = 1;
/// The maximum depth of lists.
const DEPTH: usize = 8;

/// Encodes a key: a text, an integer, a boolean, or a tuple of those.
pub(super) fn encode(key: &impl Serialize) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    push(&mut bytes, &to_value(key)?, DEPTH)?;
    Ok(bytes)
}

/// Encodes the beginning of keys that are tuples: a tuple of their first elements.
pub(super) fn encode_prefix(first: &impl Serialize) -> Result<Vec<u8>, String> {
    let mut bytes = encode(first)?;
    match (bytes.first().copied(), bytes.pop()) {
        (Some(LIST), Some(END)) => Ok(bytes),
        _ => Err("the beginning of a tuple is a tuple, such as (room,)".to_owned()),
    }
}

/// Decodes what [`encode`] has encoded.
pub(super) fn decode<K: DeserializeOwned>(bytes: &[u8]) -> Result<K, String> {
    match take(bytes, DEPTH) {
        Some((value, [])) => serde_json::from_value(value).map_err(|error| error.to_string()),
        _ => Err("the bytes are no key".to_owned()),
    }
}

/// Returns the text of a key for messages.
pub(super) fn show(key: &impl Serialize) -> String {
    serde_json::to_string(key).unwrap_or_else(|error| format!("({error})"))
}

fn to_value(key: &impl Serialize) -> Result<Value, String> {
    serde_json::to_value(key).map_err(|error| error.to_string())
}

fn push(bytes: &mut Vec<u8>, value: &Value, depth: usize) -> Result<(), String> {
    match value {
        Value::Null => bytes.push(NULL),
        Value::Bool(value) => bytes.push(if *value { TRUE } else { FALSE }),
        Value::Number(number) => match (number.as_u64(), number.as_i64()) {
            (Some(number), _) => {
                bytes.push(POSITIVE);
                bytes.extend_from_slice(&number.to_be_bytes());
            }
            (None, Some(number)) => {
                bytes.push(NEGATIVE);
                bytes.extend_from_slice(&number.to_be_bytes());
            }
            (None, None) => return Err(format!("{number} in a key is no 64-bit integer")),
        },
        Value::String(text) => {
            bytes.push(TEXT);
            for byte in text.bytes() {
                bytes.push(byte);
                if byte == 0 {
                    bytes.push(WITHIN);
                }
            }
            bytes.extend_from_slice(&[0, TEXT_END]);
        }
        Value::Array(values) => {
            let depth = depth.checked_sub(1).ok_or("a key has too many lists in lists")?;
            bytes.push(LIST);
            values.iter().try_for_each(|value| push(bytes, value, depth))?;
            bytes.push(END);
        }
        Value::Object(_) => {
            return Err("a key is a text, an integer, a boolean or a tuple, not a struct with \
                        named fields"
                .to_owned());
        }
    }
    Ok(())
}

fn take(bytes: &[u8], depth: usize) -> Option<(Value, &[u8])> {
    let (kind, rest) = bytes.split_first()?;
    match *kind {
        NULL => Some((Value::Null, rest)),
        FALSE => Some((Value::Bool(false), rest)),
        TRUE => Some((Value::Bool(true), rest)),
        NEGATIVE => {
            let (number, rest) = rest.split_first_chunk()?;
            Some((i64::from_be_bytes(*number).into(), rest))
        }
        POSITIVE => {
            let (number, rest) = rest.split_first_chunk()?;
            Some((u64::from_be_bytes(*number).into(), rest))
        }
        TEXT => take_text(rest),
        LIST => take_list(rest, depth.checked_sub(1)?),
        _ => None,
    }
}

fn take_text(mut bytes: &[u8]) -> Option<(Value, &[u8])> {
    let mut text = Vec::new();
    loop {
        let zero = bytes.iter().position(|byte| *byte == 0)?;
        let (before, rest) = bytes.split_at_checked(zero)?;
        text.extend_from_slice(before);
        match rest {
            [_, WITHIN, rest @ ..] => {
                text.push(0);
                bytes = rest;
            }
            [_, TEXT_END, rest @ ..] => return Some((String::from_utf8(text).ok()?.into(), rest)),
            _ => return None,
        }
    }
}

fn take_list(mut bytes: &[u8], depth: usize) -> Option<(Value, &[u8])> {
    let mut values = Vec::new();
    loop {
        if let [END, rest @ ..] = bytes {
            return Some((values.into(), rest));
        }
        let (value, rest) = take(bytes, depth)?;
        values.push(value);
        bytes = rest;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn encoded_keys_have_the_order_of_the_keys(
            mut keys in prop::collection::vec(
                any::<(String, i64, Option<bool>, (u8, String))>(),
                0..10,
            ),
        ) {
            keys.sort();
            let encoded: Vec<_> = keys.iter().map(|key| encode(key).unwrap()).collect();
            prop_assert!(encoded.is_sorted());
            for (key, bytes) in keys.iter().zip(&encoded) {
                prop_assert_eq!(key, &decode(bytes).unwrap());
                prop_assert!(bytes.starts_with(&encode_prefix(&(&key.0, key.1)).unwrap()));
            }
        }

        #[test]
        fn texts_and_numbers_are_ordered(
            mut texts in prop::collection::vec(any::<String>(), 0..10),
            mut numbers in prop::collection::vec(any::<u64>(), 0..10),
        ) {
            texts.sort();
            numbers.sort();
            prop_assert!(texts.iter().map(|text| encode(text).unwrap()).is_sorted());
            prop_assert!(numbers.iter().map(|number| encode(number).unwrap()).is_sorted());
        }

        #[test]
        fn bytes_that_are_no_key_are_refused(bytes: Vec<u8>) {
            if let Ok(key) = decode::<Value>(&bytes) {
                prop_assert_eq!(encode(&key).unwrap(), bytes);
            }
        }
    }

    #[test]
    fn what_has_no_order_is_no_key() {
        assert!(encode(&1.5).unwrap_err().contains("64-bit"));
        assert!(encode(&serde_json::json!({ "a": 1 })).unwrap_err().contains("named fields"));
        assert!(encode_prefix(&"a").unwrap_err().contains("tuple"));
        let mut deep = serde_json::json!(1);
        (0..9).for_each(|_| deep = serde_json::json!([deep]));
        assert!(encode(&deep).unwrap_err().contains("too many"));
    }
}
