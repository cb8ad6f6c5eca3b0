//! The messages of a connection with PostgreSQL.
//!
//! tokio-postgres has no mode in which both sides copy, which replication needs. This is as much of the protocol as that mode
//! takes: frames, and simple queries before it.

use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use postgres_protocol::message::frontend;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;
use tokio_postgres::error::SqlState;

use super::super::super::ConnectorError;
use super::super::rows::MOST_PAYLOAD;
use super::reader::Reader;

/// How long PostgreSQL may take to accept what is sent.
const SEND: Duration = Duration::from_secs(10);
/// How long it may take to answer a query.
const ANSWER: Duration = Duration::from_secs(20);
/// The most bytes of a message that are kept: those of the longest row that is no error, and of its other columns.
const MOST_KEPT: usize = MOST_PAYLOAD + (8 << 20);
/// The bytes that are read at a time, at most.
const READ: usize = 64 << 10;
/// The most messages of an answer that is not the replication itself.
pub(super) const MOST_MESSAGES: usize = 100;

/// What a connection is made of: a socket, with or without TLS.
pub(super) trait Transport: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Transport for T {}

/// A connection with PostgreSQL.
pub(super) struct Wire {
    transport: Box<dyn Transport>,
    input: BytesMut,
    /// The bytes of a message that are still to be left out.
    discard: usize,
}

/// A message of the server.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) tag: u8,
    /// What was kept of its bytes.
    pub(super) body: Bytes,
    /// How many it had.
    pub(super) length: usize,
}

impl Wire {
    pub(super) fn new(transport: Box<dyn Transport>) -> Self {
        Wire { transport, input: BytesMut::new(), discard: 0 }
    }

    /// Sends messages.
    pub(super) async fn send(&mut self, bytes: &[u8]) -> Result<(), ConnectorError> {
        let sending = async {
            self.transport.write_all(bytes).await?;
            self.transport.flush().await
        };
        match timeout(SEND, sending).await {
            Ok(sent) => sent.map_err(|error| lost(&error)),
            Err(_) => Err(ConnectorError::unavailable("PostgreSQL does not take what is sent")),
        }
    }

    /// Waits for the next message. Nothing is lost if it is dropped before.
    pub(super) async fn receive(&mut self) -> Result<Frame, ConnectorError> {
        loop {
            if let Some(frame) = self.take_frame()? {
                return Ok(frame);
            }
            self.input.reserve(READ);
            let read = self.transport.read_buf(&mut self.input).await;
            if read.map_err(|error| lost(&error))? == 0 {
                return Err(ConnectorError::unavailable("the connection to PostgreSQL was lost"));
            }
        }
    }

    /// Waits for the next message, which must come in time.
    pub(super) async fn answer(&mut self) -> Result<Frame, ConnectorError> {
        self.answer_within(ANSWER).await
    }

    async fn answer_within(&mut self, limit: Duration) -> Result<Frame, ConnectorError> {
        timeout(limit, self.receive())
            .await
            .map_err(|_| ConnectorError::unavailable("PostgreSQL did not answer in time"))?
    }

    fn take_frame(&mut self) -> Result<Option<Frame>, ConnectorError> {
        let left_out = self.discard.min(self.input.len());
        self.input.advance(left_out);
        self.discard -= left_out;
        let mut head = self.input.get(..5).unwrap_or_default();
        let (Ok(tag), Ok(length)) = (head.try_get_u8(), head.try_get_u32()) else {
            return Ok(None);
        };
        let length = usize::try_from(length).ok().and_then(|length| length.checked_sub(4));
        let length = length.ok_or_else(malformed)?;
        let kept = length.min(MOST_KEPT);
        if self.discard > 0 || self.input.len() < kept.saturating_add(5) {
            return Ok(None);
        }
        self.input.advance(5);
        self.discard = length - kept;
        Ok(Some(Frame { tag, body: self.input.split_to(kept).freeze(), length }))
    }

    /// Runs a statement, and returns the rows of its answer.
    pub(super) async fn query(
        &mut self,
        sql: &str,
    ) -> Result<Vec<Vec<Option<String>>>, ConnectorError> {
        self.query_within(sql, ANSWER).await
    }

    /// Runs a statement that may take longer than others.
    pub(super) async fn query_within(
        &mut self,
        sql: &str,
        limit: Duration,
    ) -> Result<Vec<Vec<Option<String>>>, ConnectorError> {
        let mut message = BytesMut::new();
        frontend::query(sql, &mut message).map_err(|error| lost(&error))?;
        self.send(&message).await?;
        let (mut rows, mut failure) = (Vec::new(), None);
        for _ in 0..MOST_MESSAGES {
            let frame = self.answer_within(limit).await?;
            match frame.tag {
                b'D' => rows.push(row_of(frame.body).ok_or_else(malformed)?),
                b'E' => failure = Some(Refusal::of(frame.body)),
                b'Z' => return failure.map_or(Ok(rows), |refusal| Err(refusal.error())),
                _ => {}
            }
        }
        Err(malformed())
    }
}

fn row_of(body: Bytes) -> Option<Vec<Option<String>>> {
    let mut reader = Reader::new(body);
    let mut row = Vec::new();
    for _ in 0..reader.u16()? {
        row.push(match reader.u32()? {
            u32::MAX => None,
            length => {
                let bytes = reader.bytes(usize::try_from(length).ok()?)?;
                Some(String::from_utf8_lossy(&bytes).into_owned())
            }
        });
    }
    Some(row)
}

/// An error that the server has sent.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) code: SqlState,
    pub(super) message: String,
}

impl Refusal {
    pub(super) fn of(body: Bytes) -> Self {
        let mut reader = Reader::new(body);
        let (mut code, mut message) = (String::new(), String::new());
        while let (Some(field @ 1..), Some(text)) = (reader.byte(), reader.text()) {
            match field {
                b'C' => code = text,
                b'M' => message = text,
                _ => {}
            }
        }
        Refusal { code: SqlState::from_code(&code), message }
    }

    /// Returns what it means for a connector that replicates.
    pub(super) fn error(&self) -> ConnectorError {
        let message = &self.message;
        match self.code {
            // The slot is in use, which may end.
            SqlState::OBJECT_IN_USE => ConnectorError::unavailable(format!(
                "PostgreSQL: {message}. If another connector reads the slot, give this one another slot"
            )),
            // An invalidated slot, a missing one or a missing publication, and WAL that was removed.
            SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE
            | SqlState::UNDEFINED_OBJECT
            | SqlState::UNDEFINED_FILE
            | SqlState::INSUFFICIENT_PRIVILEGE => ConnectorError::unusable(format!(
                "PostgreSQL: {message}. Test the connector: it says what must be there"
            )),
            _ => match self.code.code().get(..2) {
                Some("22" | "42") => ConnectorError::unusable(format!("PostgreSQL: {message}")),
                _ => ConnectorError::unavailable(format!("PostgreSQL: {message}")),
            },
        }
    }
}

pub(super) fn malformed() -> ConnectorError {
    ConnectorError::unusable("PostgreSQL has sent a message that is not as the protocol says")
}

fn lost(error: &std::io::Error) -> ConnectorError {
    ConnectorError::unavailable(format!("the connection to PostgreSQL was lost ({})", error.kind()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_long_message_is_cut_and_the_next_one_is_whole() {
        let (near, far) = tokio::io::duplex(1 << 20);
        let mut wire = Wire::new(Box::new(near));
        let writing = tokio::spawn(async move {
            let mut far = far;
            for length in [3, MOST_KEPT + 100_000, 2] {
                let announced = u32::try_from(length + 4).unwrap();
                far.write_all(b"d").await.unwrap();
                far.write_all(&announced.to_be_bytes()).await.unwrap();
                far.write_all(&vec![b'x'; length]).await.unwrap();
            }
            far.write_all(b"Z\0\0\0\x03").await.unwrap();
        });
        for (kept, length) in [(3, 3), (MOST_KEPT, MOST_KEPT + 100_000), (2, 2)] {
            let frame = wire.receive().await.unwrap();
            assert_eq!((frame.tag, frame.body.len(), frame.length), (b'd', kept, length));
        }
        assert!(wire.receive().await.is_err());
        writing.await.unwrap();
    }
}
