//! The messages of the plugin `pgoutput`, in the first version of its protocol: whole transactions, in the order of their
//! commits.

use bytes::{BufMut, Bytes, BytesMut};

use super::lsn::Lsn;
use super::reader::Reader;

/// The microseconds from 1970 to 2000, from where PostgreSQL counts.
const EPOCH: i64 = 946_684_800_000_000;

/// What the server copies to the connector.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Copied {
    /// Up to where the server has read its log; all that was committed before has been sent.
    Keepalive { end: Lsn, wants_answer: bool },
    /// A change, and when it was sent.
    Change { sent_micros: i64, change: Change },
}

/// A message of `pgoutput`.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// The begin of a transaction: where and when it was committed.
    Begin {
        commit: Lsn,
        micros: i64,
        xid: u32,
    },
    /// The end of a transaction, and the position behind it.
    Commit {
        end: Lsn,
    },
    Relation(Relation),
    Insert {
        relation: u32,
        values: Vec<Value>,
    },
    /// Nothing that an outbox needs.
    Other,
}

/// A table as it is from now on.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Relation {
    pub(super) id: u32,
    pub(super) schema: String,
    pub(super) table: String,
    pub(super) columns: Vec<String>,
}

/// The value of a column.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Value {
    Null,
    Text(Bytes),
    /// It was cut, and those behind it with it; its bytes.
    Cut(u32),
}

/// Parses what the server copies. Of a row that was cut, the values up to the cut are there. `None` if it is not as it must
/// be.
pub(super) fn parse(body: Bytes) -> Option<Copied> {
    let mut reader = Reader::new(body);
    match reader.byte()? {
        b'k' => {
            let (end, _sent) = (Lsn(reader.u64()?), reader.u64()?);
            Some(Copied::Keepalive { end, wants_answer: reader.byte()? == 1 })
        }
        b'w' => {
            let (_start, _end, sent_micros) = (reader.u64()?, reader.u64()?, reader.i64()?);
            Some(Copied::Change { sent_micros, change: parse_change(reader)? })
        }
        _ => None,
    }
}

fn parse_change(mut reader: Reader) -> Option<Change> {
    Some(match reader.byte()? {
        b'B' => {
            Change::Begin { commit: Lsn(reader.u64()?), micros: reader.i64()?, xid: reader.u32()? }
        }
        b'C' => {
            let (_flags, _commit) = (reader.byte()?, reader.u64()?);
            Change::Commit { end: Lsn(reader.u64()?) }
        }
        b'R' => Change::Relation(parse_relation(reader)?),
        b'I' => {
            let (relation, b'N') = (reader.u32()?, reader.byte()?) else { return None };
            Change::Insert { relation, values: parse_values(reader)? }
        }
        _ => Change::Other,
    })
}

fn parse_relation(mut reader: Reader) -> Option<Relation> {
    let (id, schema, table) = (reader.u32()?, reader.text()?, reader.text()?);
    let _identity = reader.byte()?;
    let mut columns = Vec::new();
    for _ in 0..reader.u16()? {
        let _is_key = reader.byte()?;
        columns.push(reader.text()?);
        let (_type, _modifier) = (reader.u32()?, reader.u32()?);
    }
    Some(Relation { id, schema, table, columns })
}

fn parse_values(mut reader: Reader) -> Option<Vec<Value>> {
    let count = reader.u16()?;
    let mut values = Vec::with_capacity(count.into());
    for _ in 0..count {
        match reader.byte() {
            Some(b'n') => values.push(Value::Null),
            Some(b't') => {
                let Some(length) = reader.u32() else { break };
                match reader.bytes(usize::try_from(length).ok()?) {
                    Some(text) => values.push(Value::Text(text)),
                    None => {
                        values.push(Value::Cut(length));
                        break;
                    }
                }
            }
            Some(_) => return None,
            None => break,
        }
    }
    Some(values)
}

/// Makes the message that says up to where all is durable. The server answers it.
pub(super) fn confirmation(durable: Lsn, now_micros: i64) -> BytesMut {
    let mut message = BytesMut::with_capacity(64);
    message.put_u8(b'd');
    message.put_u32(4 + 1 + 3 * 8 + 8 + 1);
    message.put_u8(b'r');
    for _ in ["written", "flushed", "applied"] {
        message.put_u64(durable.0);
    }
    message.put_i64(now_micros.saturating_sub(EPOCH));
    message.put_u8(1);
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(body: &[u8]) -> Option<Change> {
        let mut message = vec![b'w'];
        message.extend([0; 24]);
        message.extend(body);
        match parse(message.into())? {
            Copied::Change { change, .. } => Some(change),
            Copied::Keepalive { .. } => None,
        }
    }

    #[test]
    fn changes_are_read() {
        let begin = b"B\0\0\0\0\0\0\0\x07\0\0\0\0\0\0\0\x05\0\0\0\x01";
        assert_eq!(change(begin), Some(Change::Begin { commit: Lsn(7), micros: 5, xid: 1 }));
        let commit = b"C\0\0\0\0\0\0\0\0\x07\0\0\0\0\0\0\0\x08\0\0\0\0\0\0\0\0";
        assert_eq!(change(commit), Some(Change::Commit { end: Lsn(8) }));
        let relation = b"R\0\0\0\x09public\0outbox\0d\0\x01\x01id\0\0\0\0\0\0\0\0\0";
        let found = Relation {
            id: 9,
            schema: "public".to_owned(),
            table: "outbox".to_owned(),
            columns: vec!["id".to_owned()],
        };
        assert_eq!(change(relation), Some(Change::Relation(found)));
        assert_eq!(change(b"T\0\0\0\x01"), Some(Change::Other));
        let insert = b"I\0\0\0\x09N\0\x03nt\0\0\0\x02hit\0\0\0\x09cut";
        let values = vec![Value::Null, Value::Text(Bytes::from_static(b"hi")), Value::Cut(9)];
        assert_eq!(change(insert), Some(Change::Insert { relation: 9, values }));
    }

    #[test]
    fn no_message_makes_it_panic() {
        let insert: &[u8] = b"I\0\0\0\x09N\0\x02nt\0\0\0\x02hi";
        let relation: &[u8] = b"R\0\0\0\x09public\0outbox\0d\0\x01\x01id\0\0\0\0\0\0\0\0\0";
        for message in [insert, relation] {
            for end in 0..message.len() {
                _ = change(&message[..end]);
                for at in 0..end {
                    let mut broken = message[..end].to_vec();
                    broken[at] = 0xff;
                    _ = change(&broken);
                }
            }
        }
        assert_eq!(parse(Bytes::new()), None);
        assert_eq!(parse(Bytes::from_static(b"k\0")), None);
    }
}
