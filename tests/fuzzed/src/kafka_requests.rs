//! Requests of Kafka's protocol: the guard refuses the body, or it is decoded whole, within the memory
//! that the guard said.

use bytes::Bytes;
use leftfold_kafka::serving::SUPPORTED;
use leftfold_kafka::serving::guard::samples::{self, Plan};
use leftfold_kafka::serving::guard::{Limits, check};

use crate::ALLOCATOR;

/// Memory that the run may take besides the message: that of a report.
const OTHER_BYTES: usize = 64 << 10;

/// The first byte is the API key, the second the version; the others are the body.
pub(crate) fn run(input: &[u8]) {
    let [api_key, version, body @ ..] = input else { return };
    let (api_key, version) = (i16::from(*api_key), i16::from(*version));
    let Ok(weight) = check(api_key, version, body, &Limits::default()) else { return };
    let body = Bytes::copy_from_slice(body);
    let before = ALLOCATOR.allocated();
    // Exceeding the limit ends the process, even if the memory is freed at once.
    ALLOCATOR.set_limit(before + weight.decoded + OTHER_BYTES).unwrap();
    let (message, rest) = samples::decode(api_key, version, body).unwrap();
    let taken = ALLOCATOR.allocated().saturating_sub(before);
    assert!(rest.is_empty(), "{} bytes are left", rest.len());
    assert!(taken <= weight.decoded, "took {taken} bytes, the guard said {}", weight.decoded);
    drop(message);
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let versions = SUPPORTED.iter().flat_map(|request| {
        (request.min..=request.max).map(|version| (request.api_key(), version))
    });
    let plan = Plan { elements: 2, unknown_tags: 1, change: None };
    let seed = |(api_key, version)| {
        let sample = samples::sample(api_key, version, plan)?;
        Some([&[api_key as u8, version as u8], &sample.body[..]].concat())
    };
    versions.filter_map(seed).collect()
}
