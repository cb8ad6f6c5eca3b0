//! The guard and the decoder agree on all requests.

mod limits;

use std::collections::BTreeSet;

use bytes::Bytes;
use proptest::prelude::*;

use super::layout::{Kind, Shape};
use super::samples::{self, Change, Plan, Sample};
use super::*;
use crate::serving::SUPPORTED;

const LIMITS: Limits = Limits { string_bytes: 32 << 10, tags: 16, decoded_bytes: 64 << 20 };

/// Returns all decoded requests and versions.
fn versions() -> impl Iterator<Item = (i16, i16)> {
    SUPPORTED.iter().flat_map(|request| {
        let versions = (request.min..=request.max).filter(|version| request.is_decoded(*version));
        versions.map(|version| (request.api_key(), version))
    })
}

fn plans() -> impl Iterator<Item = Plan> {
    [(0, 0), (1, 0), (1, 1), (3, 2), (1, 14)].into_iter().flat_map(|(elements, unknown_tags)| {
        [None, Some(Change::AllNull)].map(|change| Plan { elements, unknown_tags, change })
    })
}

fn sample(api_key: i16, version: i16, plan: Plan) -> Sample {
    samples::sample(api_key, version, plan).unwrap()
}

/// Checks that the decoder decodes whole what the guard accepts; returns the guard's answer.
fn check_agreement(api_key: i16, version: i16, body: &[u8]) -> Result<Weight, Refusal> {
    let weight = check(api_key, version, body, &LIMITS)?;
    match samples::decode(api_key, version, Bytes::copy_from_slice(body)) {
        Ok((_, rest)) => assert!(rest.is_empty(), "{api_key} v{version}: {body:?}"),
        Err(error) => panic!("{api_key} v{version}: {error}: {body:?}"),
    }
    Ok(weight)
}

#[test]
fn every_version_of_every_request_is_accepted_and_decoded_whole() {
    for (api_key, version) in versions() {
        for plan in plans() {
            let body = sample(api_key, version, plan).body;
            let found = check_agreement(api_key, version, &body);
            assert!(found.is_ok(), "{api_key} v{version}: {found:?} {plan:?}");
        }
    }
}

/// The codec encodes the decoded request to the same bytes, so it reads the same fields as the guard.
#[test]
fn the_codec_encodes_a_sample_to_the_same_bytes() {
    for (api_key, version) in versions() {
        for plan in plans().filter(|plan| plan.change.is_none()) {
            let body = sample(api_key, version, plan).body;
            let again = samples::recode(api_key, version, body.clone().into()).unwrap();
            assert_eq!(again, body, "{api_key} v{version}: {plan:?}");
        }
    }
}

#[test]
fn the_layouts_have_all_fields_of_the_codec() {
    fn visit(shape: &'static Shape, seen: &mut BTreeSet<&'static str>) {
        seen.insert(shape.name);
        let printed = (shape.print)();
        let fields = printed.lines().filter_map(|line| line.strip_prefix("    "));
        let fields = fields.filter(|line| !line.starts_with([' ', '}', ']', ')']));
        let fields = fields.filter_map(|line| line.split(':').next());
        let fields: BTreeSet<_> = fields.filter(|name| *name != "unknown_tagged_fields").collect();
        let known: BTreeSet<_> = shape.fields.iter().map(|field| field.name).collect();
        assert_eq!(known, fields, "{}", shape.name);
        for field in shape.fields {
            let mut kind = &field.kind;
            while let Kind::Array(element) = kind {
                kind = element;
            }
            if let Kind::Struct(shape) = kind {
                visit(shape, seen);
            }
        }
    }
    let mut seen = BTreeSet::new();
    for request in &SUPPORTED {
        visit(requests::shape(request.api_key()).unwrap(), &mut seen);
    }
    assert!(seen.len() > 60, "{seen:?}");
}

#[test]
fn null_is_accepted_where_the_codec_accepts_it() {
    for (api_key, version) in versions() {
        for number in 0.. {
            let change = Some(Change::Null(number));
            let plan = Plan { elements: 1, change, ..Plan::default() };
            let Sample { body, changed } = sample(api_key, version, plan);
            let Some((field, is_nullable)) = changed else { break };
            let found = check(api_key, version, &body, &LIMITS);
            let decoded = samples::decode(api_key, version, body.into());
            assert_eq!(decoded.is_ok(), is_nullable, "{api_key} v{version}: {field}");
            match is_nullable {
                true => assert!(found.is_ok(), "{api_key} v{version}: {found:?}"),
                false => assert_eq!(found, Err(Refusal::InvalidLength { field })),
            }
        }
    }
}

#[test]
fn every_truncated_body_is_refused() {
    for (api_key, version) in versions() {
        for plan in plans() {
            let body = sample(api_key, version, plan).body;
            for length in 0..body.len() {
                let found = check(api_key, version, &body[..length], &LIMITS);
                assert!(found.is_err(), "{api_key} v{version}: {length} of {body:?}");
            }
        }
    }
}

#[test]
fn bytes_after_the_end_are_refused() {
    for (api_key, version) in versions() {
        for plan in plans() {
            let mut body = sample(api_key, version, plan).body;
            body.push(0);
            let found = check(api_key, version, &body, &LIMITS);
            assert_eq!(found, Err(Refusal::TrailingBytes(1)), "{api_key} v{version}");
        }
    }
}

#[test]
fn a_changed_byte_is_refused_or_decoded_whole() {
    for (api_key, version) in versions() {
        for (elements, unknown_tags) in [(0, 1), (1, 1), (2, 0)] {
            let plan = Plan { elements, unknown_tags, change: None };
            let mut body = sample(api_key, version, plan).body;
            for at in 0..body.len() {
                let byte = body[at];
                for changed in [0, 1, 0x7f, 0xff, byte ^ 1, byte ^ 0x80, byte.wrapping_add(2)] {
                    body[at] = changed;
                    _ = check_agreement(api_key, version, &body);
                }
                body[at] = byte;
            }
        }
    }
}

#[test]
fn every_array_that_claims_more_than_the_body_can_hold_is_refused() {
    let mut refused = BTreeSet::new();
    for (api_key, version) in versions() {
        for number in 0.. {
            let mut changed = None;
            for claimed in [i32::MAX, i32::MAX - 1, 1 << 24, 100_000] {
                let change = Some(Change::Elements(number, claimed));
                let sample =
                    sample(api_key, version, Plan { elements: 1, unknown_tags: 1, change });
                let Some((name, _)) = sample.changed else { break };
                changed = sample.changed;
                let found = check(api_key, version, &sample.body, &LIMITS);
                let is_refused = matches!(
                    found,
                    Err(Refusal::ArrayTooLong { field, found, .. })
                        if field == name && found == claimed as usize
                );
                assert!(is_refused, "{api_key} v{version} {name}: {found:?}");
            }
            match changed {
                Some((name, _)) => refused.insert((api_key, name)),
                None => break,
            };
        }
    }
    assert!(refused.len() > 40, "{refused:?}");
}

fn any_version() -> impl Strategy<Value = (i16, i16)> {
    prop::sample::select(versions().collect::<Vec<_>>())
}

fn any_plan() -> impl Strategy<Value = Plan> {
    (0..4usize, 0..3u32, any::<bool>()).prop_map(|(elements, unknown_tags, is_null)| Plan {
        elements,
        unknown_tags,
        change: is_null.then_some(Change::AllNull),
    })
}

proptest! {
    #[test]
    fn any_bytes_are_refused_or_decoded_whole(
        (api_key, version) in any_version(),
        body in prop::collection::vec(prop_oneof![0..4u8, any::<u8>()], 0..200),
    ) {
        _ = check_agreement(api_key, version, &body);
    }

    #[test]
    fn changed_requests_are_refused_or_decoded_whole(
        (api_key, version) in any_version(),
        plan in any_plan(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..3u8), 1..8),
    ) {
        let mut body = sample(api_key, version, plan).body;
        for (at, byte, kind) in changes {
            let at = at.index(body.len() + 1);
            match kind {
                0 => body.insert(at, byte),
                1 if at < body.len() => body[at] = byte,
                _ if at < body.len() => drop(body.remove(at)),
                _ => {}
            }
        }
        _ = check_agreement(api_key, version, &body);
    }
}
