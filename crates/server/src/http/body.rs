//! Bodies of requests, compressed or not. Their limits hold for what they have once they are decompressed.

use std::io::{self, Write};
use std::sync::Arc;

use axum::extract::Request;
use axum::http::HeaderMap;
use axum::http::header::CONTENT_ENCODING;
use bytes::{Bytes, BytesMut};
use flate2::write::MultiGzDecoder;
use http_body_util::BodyExt;
use zstd::stream::raw::{DParameter, Decoder as ZstdFrames};
use zstd::stream::zio::Writer as ZstdDecoder;

use super::problem::Problem;
use crate::access::Caller;
use crate::limits::{BODIES_FULL, Client, Lease};
use crate::state::State;
use crate::views::MAX_SQL_BODY;

/// The largest window of zstd, as a power of two: 8 MiB, as RFC 9659 says. A decoder allocates it whatever
/// the size of the body.
const WINDOW_LOG: u32 = 23;

/// The least memory that is reserved for a body.
const LEAST: usize = 16 << 10;

/// Reserved memory for a body.
pub(super) type Memory = Option<Lease>;

/// Receives a body, and decompresses it.
///
/// # Errors
/// `encoding_unsupported`, `body_invalid`, `body_too_large`, `server_overloaded`.
pub(super) async fn receive(
    request: Request,
    state: &Arc<State>,
    most: Most,
) -> Result<(Bytes, Memory), Problem> {
    let client = Caller::of(request.extensions())?.client();
    let mut decoder = Decoder::of(request.headers(), Received::new(state.clone(), client, most))?;
    let (mut body, mut received) = (request.into_body(), 0);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| {
            Problem::new("body_invalid", format!("the body could not be received: {error}"))
        })?;
        let Some(data) = frame.data_ref() else { continue };
        received += data.len() as u64;
        if received > most.bytes {
            return Err(most.exceeded());
        }
        decoder.push(data)?;
    }
    let received = decoder.finish()?;
    Ok((received.bytes.freeze(), received.memory))
}

/// The most bytes of a body.
#[derive(Debug, Clone, Copy)]
pub(super) struct Most {
    pub(super) bytes: u64,
    /// The setting or the reason that limits it.
    of: &'static str,
}

impl Most {
    /// Returns the limit of every body.
    pub(super) fn of_all(state: &State) -> Self {
        Most { bytes: state.config.body_bytes.0, of: "limits.body_bytes" }
    }

    /// Returns the limit of a body with a definition, or a query of views.
    pub(super) fn of_definition(state: &State) -> Self {
        let most = Most::of_all(state);
        match most.bytes < MAX_SQL_BODY {
            true => most,
            false => Most { bytes: MAX_SQL_BODY, of: "of SQL and TOML" },
        }
    }

    pub(super) fn exceeded(self) -> Problem {
        let Most { bytes, of } = self;
        let message = format!("the body has more than {bytes} bytes, which is the limit ({of})");
        Problem::new("body_too_large", message)
    }
}

/// What has been received, decompressed. Its memory is reserved before it is taken.
struct Received {
    state: Arc<State>,
    client: Client,
    bytes: BytesMut,
    memory: Memory,
    most: Most,
    /// Bytes that its decoder takes.
    window: usize,
    /// Why no more is taken.
    refusal: Option<Problem>,
}

impl Received {
    fn new(state: Arc<State>, client: Client, most: Most) -> Self {
        let (bytes, memory) = (BytesMut::new(), None);
        Received { state, client, bytes, memory, most, window: 0, refusal: None }
    }

    fn push(&mut self, data: &[u8]) -> Result<(), Problem> {
        let length = self.bytes.len() + data.len();
        if length as u64 > self.most.bytes {
            return Err(self.most.exceeded());
        }
        let room = self.bytes.capacity();
        if length > room || self.memory.is_none() {
            // Doubled each time, so that a large body reserves memory only a few times.
            let room = length.max(2 * room).max(LEAST);
            self.reserve(room + self.window)?;
            self.bytes.reserve(room - self.bytes.len());
        }
        self.bytes.extend_from_slice(data);
        Ok(())
    }

    /// Reserves so much memory in all.
    fn reserve(&mut self, bytes: usize) -> Result<(), Problem> {
        let pool = &self.state.limits.bodies;
        let has_room = match &mut self.memory {
            Some(memory) => memory.resize(bytes.max(memory.units())),
            none => {
                *none = pool.take(&self.client, bytes);
                none.is_some()
            }
        };
        has_room.then_some(()).ok_or_else(memory_full)
    }
}

/// Returns the refusal of a body, or of its parsed form, for which there is no memory.
pub(super) fn memory_full() -> Problem {
    Problem::new("server_overloaded", format!("{BODIES_FULL}; try again later"))
}

/// The end of a decoder.
impl Write for Received {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        match self.push(data) {
            Ok(()) => Ok(data.len()),
            Err(problem) => {
                self.refusal = Some(problem);
                Err(io::ErrorKind::FileTooLarge.into())
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

enum Decoder {
    // Boxed: they differ much in size.
    Identity(Box<Received>),
    Gzip(Box<MultiGzDecoder<Received>>),
    Zstd(Box<ZstdDecoder<Received, ZstdFrames<'static>>>),
}

impl Decoder {
    fn of(headers: &HeaderMap, mut received: Received) -> Result<Self, Problem> {
        let encoding =
            headers.get(CONTENT_ENCODING).map_or(&b"identity"[..], |name| name.as_bytes());
        let is = |name: &str| encoding.eq_ignore_ascii_case(name.as_bytes());
        if headers.get_all(CONTENT_ENCODING).iter().count() <= 1 {
            if is("identity") {
                return Ok(Decoder::Identity(Box::new(received)));
            }
            if is("gzip") || is("x-gzip") {
                return Ok(Decoder::Gzip(Box::new(MultiGzDecoder::new(received))));
            }
            if is("zstd") {
                let failed = |error: io::Error| Problem::new("internal_error", error.to_string());
                let mut frames = ZstdFrames::new().map_err(failed)?;
                frames.set_parameter(DParameter::WindowLogMax(WINDOW_LOG)).map_err(failed)?;
                received.window = 1 << WINDOW_LOG;
                received.reserve(received.window)?;
                return Ok(Decoder::Zstd(Box::new(ZstdDecoder::new(received, frames))));
            }
        }
        let message = "the body's content-encoding is not supported: send it as gzip, as zstd, or \
                       without one";
        Err(Problem::new("encoding_unsupported", message))
    }

    fn push(&mut self, data: &[u8]) -> Result<(), Problem> {
        let written = match self {
            Decoder::Identity(received) => return received.push(data),
            Decoder::Gzip(decoder) => decoder.write_all(data),
            Decoder::Zstd(decoder) => decoder.write_all(data),
        };
        written.map_err(|_| self.problem())
    }

    fn finish(mut self) -> Result<Received, Problem> {
        let ended = match &mut self {
            Decoder::Identity(_) => Ok(()),
            Decoder::Gzip(decoder) => decoder.try_finish(),
            // It says whether the last frame is whole.
            Decoder::Zstd(decoder) => decoder.finish(),
        };
        ended.map_err(|_| self.problem())?;
        match self {
            Decoder::Identity(received) => Ok(*received),
            Decoder::Gzip(decoder) => decoder.finish().map_err(|_| not_decoded()),
            Decoder::Zstd(decoder) => Ok(decoder.into_inner().0),
        }
    }

    fn problem(&mut self) -> Problem {
        let received = match self {
            Decoder::Identity(received) => received,
            Decoder::Gzip(decoder) => decoder.get_mut(),
            Decoder::Zstd(decoder) => decoder.writer_mut(),
        };
        received.refusal.take().unwrap_or_else(not_decoded)
    }
}

fn not_decoded() -> Problem {
    let message =
        "the body could not be decompressed: expected it whole, and as its content-encoding says";
    Problem::new("body_invalid", message)
}
