use std::marker::PhantomData;

use bytes::Buf;
use leftfold_api::ReadError;
use prost::Message;
use tonic::Status;
use tonic::codec::{BufferSettings, Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};

use crate::{guard, to_status, v1};

/// Bytes that a call takes while it has nothing to say: ten thousand idle subscriptions are to cost
/// little.
const IDLE_BYTES: usize = 512;
/// Messages that are ready at the same time are sent together, up to about so many bytes.
const TOGETHER: usize = 64 << 10;

/// How messages become bytes and back.
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
    U: Message + Default + 'static,
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

/// Makes bytes of messages.
#[derive(Debug)]
pub struct WireEncoder<T>(PhantomData<T>);

impl<T: Message> Encoder for WireEncoder<T> {
    type Item = T;
    type Error = Status;

    fn encode(&mut self, message: T, buf: &mut EncodeBuf<'_>) -> Result<(), Status> {
        // At once, and not by doubling: that would copy a large message once more.
        buf.reserve(message.encoded_len());
        message.encode_raw(buf);
        Ok(())
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::new(IDLE_BYTES, TOGETHER)
    }
}

/// Makes messages of bytes.
#[derive(Debug)]
pub struct WireDecoder<U>(PhantomData<U>);

impl<U> Default for WireDecoder<U> {
    fn default() -> Self {
        WireDecoder(PhantomData)
    }
}

/// Reads a message, unless it would take much more memory than it has bytes.
pub fn decode<U: Message + Default + 'static>(bytes: impl Buf) -> Result<U, Status> {
    guard::check::<U>(bytes.chunk()).map_err(|invalid| {
        to_status(tonic::Code::InvalidArgument, v1::Problem::from(&ReadError::from(invalid)))
    })?;
    U::decode(bytes)
        .map_err(|error| Status::invalid_argument(format!("the message can't be read: {error}")))
}

impl<U: Message + Default + 'static> Decoder for WireDecoder<U> {
    type Item = U;
    type Error = Status;

    fn decode(&mut self, buf: &mut DecodeBuf<'_>) -> Result<Option<U>, Status> {
        // Received messages lie in one piece.
        decode(buf).map(Some)
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::new(IDLE_BYTES, TOGETHER)
    }
}
