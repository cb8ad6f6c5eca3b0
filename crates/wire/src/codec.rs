use std::marker::PhantomData;

use bytes::Buf;
use leftfold_api::{Invalid, ReadError};
use prost::Message;
use tonic::Status;
use tonic::codec::{BufferSettings, Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};

use crate::{guard, to_status, v1};

/// Bytes of an idle call's buffer: ten thousand idle subscriptions must take little memory.
const IDLE_BYTES: usize = 512;
/// Bytes of messages that are sent together, about, if they are ready at the same time.
const BATCH_BYTES: usize = 64 << 10;

/// Encodes and decodes messages.
#[derive(Debug)]
pub struct WireCodec<T, U>(PhantomData<(T, U)>);

impl<T, U> Default for WireCodec<T, U> {
    fn default() -> Self {
        WireCodec(PhantomData)
    }
}

impl<T, U> Codec for WireCodec<T, U>
where
    T: Message + 'static,
    U: Incoming + Send + 'static,
{
    type Encode = T;
    type Decode = U;
    type Encoder = WireEncoder<T>;
    type Decoder = WireDecoder<U>;

    fn encoder(&mut self) -> WireEncoder<T> {
        WireEncoder(PhantomData)
    }

    fn decoder(&mut self) -> WireDecoder<U> {
        WireDecoder(PhantomData)
    }
}

/// Encodes messages.
#[derive(Debug)]
pub struct WireEncoder<T>(PhantomData<T>);

impl<T: Message> Encoder for WireEncoder<T> {
    type Item = T;
    type Error = Status;

    fn encode(&mut self, message: T, buf: &mut EncodeBuf<'_>) -> Result<(), Status> {
        // Reserved at once: growing the buffer would copy a large message again.
        buf.reserve(message.encoded_len());
        message.encode_raw(buf);
        Ok(())
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::new(IDLE_BYTES, BATCH_BYTES)
    }
}

/// Decodes messages.
#[derive(Debug)]
pub struct WireDecoder<U>(PhantomData<U>);

impl<U> Default for WireDecoder<U> {
    fn default() -> Self {
        WireDecoder(PhantomData)
    }
}

/// Decodes a message, unless it would take much more memory than it has bytes.
///
/// # Errors
/// The status `INVALID_ARGUMENT`.
pub fn decode<U: Message + Default + 'static>(bytes: impl Buf) -> Result<U, Status> {
    guard::check::<U>(bytes.chunk()).map_err(refused)?;
    U::decode(bytes).map_err(|error| {
        Status::invalid_argument(format!(
            "expected a message of leftfold.v1, found bytes that are none: {error}"
        ))
    })
}

/// Returns the status of a message that the guard refuses.
pub(crate) fn refused(invalid: Invalid) -> Status {
    to_status(tonic::Code::InvalidArgument, v1::Problem::from(&ReadError::from(invalid)))
}

/// What a codec makes of the bytes of a message.
pub trait Incoming: Sized {
    /// Takes the bytes of a message, which are contiguous.
    ///
    /// # Errors
    /// The status `INVALID_ARGUMENT`.
    fn receive(bytes: &mut impl Buf) -> Result<Self, Status>;
}

impl<U: Message + Default + 'static> Incoming for U {
    fn receive(bytes: &mut impl Buf) -> Result<Self, Status> {
        decode(bytes)
    }
}

impl<U: Incoming + Send + 'static> Decoder for WireDecoder<U> {
    type Item = U;
    type Error = Status;

    fn decode(&mut self, buf: &mut DecodeBuf<'_>) -> Result<Option<U>, Status> {
        U::receive(buf).map(Some)
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::new(IDLE_BYTES, BATCH_BYTES)
    }
}
