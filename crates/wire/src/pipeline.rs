//! The client's side of many appends over one call: the caller's thread encodes an append once, and
//! the pipeline may send it again.

use bytes::{BufMut, Bytes};
use prost::Message;
use prost::encoding::{self, WireType};
use tonic::Status;
use tonic::codec::{BufferSettings, Codec, EncodeBuf, Encoder};

use crate::codec::WireDecoder;
use crate::v1;

/// The path of the call.
pub const APPEND_MANY: &str = "/leftfold.v1.Store/AppendMany";

/// An encoded append.
#[derive(Debug, Clone)]
pub struct EncodedAppend {
    /// Its number in the call.
    pub number: u64,
    /// An [`v1::AppendRequest`].
    pub append: Bytes,
}

impl EncodedAppend {
    fn encoded_len(&self) -> usize {
        let append = self.append.len();
        let number = encoding::uint64::encoded_len(1, &self.number);
        number + encoding::key_len(2) + encoding::encoded_len_varint(append as u64) + append
    }

    /// Writes the bytes of a [`v1::NumberedAppend`].
    fn encode(&self, buf: &mut impl BufMut) {
        encoding::uint64::encode(1, &self.number, buf);
        encoding::encode_key(2, WireType::LengthDelimited, buf);
        encoding::encode_varint(self.append.len() as u64, buf);
        buf.put_slice(&self.append);
    }
}

/// Encodes an append.
pub fn encode(append: &leftfold_api::Append) -> Bytes {
    v1::AppendRequest::from(append).encode_to_vec().into()
}

/// Sends encoded appends and receives answers.
#[derive(Debug, Default)]
pub struct PipelineCodec;

impl Codec for PipelineCodec {
    type Encode = EncodedAppend;
    type Decode = v1::NumberedAnswer;
    type Encoder = PipelineEncoder;
    type Decoder = WireDecoder<v1::NumberedAnswer>;

    fn encoder(&mut self) -> PipelineEncoder {
        PipelineEncoder
    }

    fn decoder(&mut self) -> Self::Decoder {
        WireDecoder::default()
    }
}

/// Writes the number before the append.
#[derive(Debug)]
pub struct PipelineEncoder;

impl Encoder for PipelineEncoder {
    type Item = EncodedAppend;
    type Error = Status;

    fn encode(&mut self, item: EncodedAppend, buf: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buf.reserve(item.encoded_len());
        item.encode(buf);
        Ok(())
    }

    fn buffer_settings(&self) -> BufferSettings {
        BufferSettings::new(8 << 10, 64 << 10)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_the_bytes_of_the_generated_message() {
        let append = leftfold_api::Append::new()
            .event("a-1", leftfold_api::NewEvent::new("Counted", "1"))
            .expect("a-1", leftfold_api::Expected::NoStream);
        for number in [0, 1, 300, u64::MAX] {
            let ours = EncodedAppend { number, append: encode(&append) };
            let mut bytes = Vec::new();
            ours.encode(&mut bytes);
            let read = v1::NumberedAppend::decode(&bytes[..]).unwrap();
            assert_eq!((bytes.len(), read.number), (ours.encoded_len(), number));
            assert_eq!(read.append, Some(v1::AppendRequest::from(&append)));
        }
    }
}
