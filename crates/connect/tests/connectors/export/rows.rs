//! Rows of Parquet, as another reader than ours finds them.

use bytes::Bytes;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::Field;
use serde_json::{Value, json};

pub(crate) fn open(bytes: Vec<u8>) -> SerializedFileReader<Bytes> {
    SerializedFileReader::new(Bytes::from(bytes)).unwrap()
}

/// Returns the rows of a file. JSON is parsed, times are in microseconds.
pub(crate) fn rows(bytes: Vec<u8>) -> Vec<Value> {
    let reader = open(bytes);
    let rows = reader.get_row_iter(None).unwrap().map(|row| {
        let columns = row.unwrap().into_columns().into_iter();
        Value::Object(columns.map(|(name, field)| (name.clone(), value(&name, &field))).collect())
    });
    rows.collect()
}

fn value(name: &str, field: &Field) -> Value {
    match field {
        Field::Null => Value::Null,
        Field::Bool(value) => json!(value),
        Field::Long(value) | Field::TimestampMicros(value) => json!(value),
        Field::Double(value) => json!(value),
        Field::Str(text) if matches!(name, "data" | "metadata") => {
            serde_json::from_str(text).unwrap()
        }
        Field::Str(text) => json!(text),
        Field::Bytes(bytes) => json!(bytes.data()),
        Field::ListInternal(list) => {
            list.elements().iter().map(|element| value("", element)).collect()
        }
        other => panic!("{other}"),
    }
}
