//! Events in files of Parquet.

use std::path::Path;

use leftfold_api::{Append, EventStore, NewEvent, Query, Timestamp};
use leftfold_connect::connectors::{ConnectorDefinition, ConnectorPhase};
use parquet::file::reader::FileReader;
use parquet::schema::printer::print_schema;
use serde_json::{Value, json};

use super::lake::*;
use super::rows::{open, rows};
use crate::support::World;

/// What a reader finds of a whole event.
const SCHEMA: &str = "message event {
  REQUIRED INT64 position;
  REQUIRED BYTE_ARRAY stream (STRING);
  REQUIRED INT64 version;
  REQUIRED BYTE_ARRAY id (STRING);
  REQUIRED BYTE_ARRAY type (STRING);
  REQUIRED INT64 event_time (TIMESTAMP(MICROS,true));
  REQUIRED INT64 commit_time (TIMESTAMP(MICROS,true));
  OPTIONAL BYTE_ARRAY correlation (STRING);
  OPTIONAL BYTE_ARRAY causation (STRING);
  REQUIRED group tags (LIST) {
    REPEATED group list {
      REQUIRED BYTE_ARRAY element (STRING);
    }
  }
  OPTIONAL BYTE_ARRAY metadata (JSON);
  OPTIONAL BYTE_ARRAY data (JSON);
  OPTIONAL BYTE_ARRAY data_bytes;
}
";

fn schema(bytes: Vec<u8>) -> String {
    let mut text = Vec::new();
    print_schema(&mut text, open(bytes).metadata().file_metadata().schema());
    String::from_utf8(text).unwrap()
}

/// Returns the bytes of the only file.
fn only_file(directory: &Path) -> Vec<u8> {
    let files = files(directory);
    assert_eq!(files.len(), 1, "{:?}", files.keys());
    files.into_values().next().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_field_of_an_event_is_a_column_with_its_type() {
    let (world, lake) = (World::new().await, Lake::new());
    let full = NewEvent::json("OrderPlaced", "{\"total\":0.10000000000000000555}")
        .event_time(Timestamp(MONDAY + 7))
        .tag("shop", "a")
        .tag("shop", "b=c")
        .metadata("{\"user\":\"u\"}")
        .correlation("c1")
        .causation("c2");
    let binary =
        NewEvent::new("OrderScanned", &[0xff, 0x00, 0x01][..]).event_time(Timestamp(MONDAY));
    let empty = NewEvent::new("OrderClosed", "").event_time(Timestamp(MONDAY)).tag("x", "y");
    let all = Append::new().event("order-1", full).event("order-1", binary).event("order-2", empty);
    world.store.append(all).await.unwrap();
    world.add(&lake.export("format = \"parquet\"")).await;
    until_events(&world, 3).await;
    assert_eq!(names(lake.path()), ["date=2026-11-30/part-lake-0000000000.parquet"]);
    let bytes = only_file(lake.path());
    assert_eq!(schema(bytes.clone()), SCHEMA);
    let found = rows(bytes.clone());
    for (row, event) in found.iter().zip(read_all(&world.store, Query::category("order")).await) {
        assert_eq!(row["position"], event.position());
        assert_eq!(
            (&row["stream"], &row["version"]),
            (&event.stream().into(), &event.version().into())
        );
        assert_eq!(
            (&row["id"], &row["type"]),
            (&event.id().to_string().into(), &event.event_type().into())
        );
        assert_eq!(row["event_time"], event.event_time().0);
        assert_eq!(row["commit_time"], event.commit_time().0);
    }
    let rest = |row: &Value| {
        ["correlation", "causation", "tags", "metadata", "data", "data_bytes"]
            .map(|name| row[name].clone())
    };
    let none = Value::Null;
    assert_eq!(
        rest(&found[0]),
        [
            json!("c1"),
            json!("c2"),
            json!(["shop=a", "shop=b=c"]),
            json!({"user": "u"}),
            json!({"total": 0.1}),
            none.clone()
        ]
    );
    assert_eq!(
        rest(&found[1]),
        [none.clone(), none.clone(), json!([]), none.clone(), none.clone(), json!([255, 0, 1])]
    );
    assert_eq!(
        rest(&found[2]),
        [none.clone(), none.clone(), json!(["x=y"]), none.clone(), none.clone(), none]
    );
    // JSON as it was written, with all digits of its numbers.
    let row = open(bytes).get_row_iter(None).unwrap().next().unwrap().unwrap();
    assert!(row.to_string().contains("0.10000000000000000555"), "{row}");
}

#[tokio::test(flavor = "multi_thread")]
async fn columns_have_the_types_of_the_definition_and_what_is_missing_is_null() {
    let (world, lake) = (World::new().await, Lake::new());
    let data = "{\"total\":12.5,\"count\":3,\"paid\":true,\"due\":\"2026-12-01\",\"note\":\"\"}";
    world.append("order-1", "OrderPlaced", data).await;
    world.append("order-1", "OrderPlaced", "{}").await;
    let columns = "columns = [[\"at\", \"{position}\"], [\"total\", \"{data.total?}\", \"double\"], \
        [\"count\", \"{data.count?}\", \"int64\"], [\"paid\", \"{data.paid?}\", \"bool\"], \
        [\"due\", \"{data.due?}\", \"timestamp\"], [\"note\", \"{data.note?}\"], [\"mark\", \"<{data.note?}>\"]]";
    let more =
        format!("format = \"parquet\"\npartition = \"none\"\ncompress = \"none\"\n{columns}");
    world.add(&lake.export(&more)).await;
    until_events(&world, 2).await;
    let bytes = only_file(lake.path());
    let wanted = "message event {
  OPTIONAL INT64 at;
  OPTIONAL DOUBLE total;
  OPTIONAL INT64 count;
  OPTIONAL BOOLEAN paid;
  OPTIONAL INT64 due (TIMESTAMP(MICROS,true));
  OPTIONAL BYTE_ARRAY note (STRING);
  OPTIONAL BYTE_ARRAY mark (STRING);
}
";
    assert_eq!(schema(bytes.clone()), wanted);
    let positions: Vec<_> = read_all(&world.store, Query::category("order"))
        .await
        .iter()
        .map(|event| event.position())
        .collect();
    let due = MONDAY + DAY;
    assert_eq!(
        rows(bytes),
        [
            json!({"at": positions[0], "total": 12.5, "count": 3, "paid": true, "due": due, "note": "", "mark": "<>"}),
            json!({"at": positions[1], "total": null, "count": null, "paid": null, "due": null, "note": null, "mark": "<>"}),
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_value_of_another_type_stops_the_export_or_is_left_out() {
    for (on_error, wanted) in [("stop", vec![1]), ("skip", vec![1, 3])] {
        let (world, lake) = (World::new().await, Lake::new());
        for total in ["1", "\"a secret\"", "3"] {
            world.append("order-1", "OrderPlaced", &format!("{{\"total\":{total}}}")).await;
        }
        let more = "format = \"parquet\"\npartition = \"none\"\ncolumns = { total = [\"{data.total}\", \"int64\"] }";
        let text = lake
            .export(more)
            .replace("[file-export]", &format!("on_error = \"{on_error}\"\n[file-export]"));
        world.add(&text).await;
        if on_error == "stop" {
            let status = world.until("lake", |it| it.phase == ConnectorPhase::Failed).await;
            let failure = status.failure.unwrap();
            assert!(
                failure.contains("order-1@1: column total: expected a whole number"),
                "{failure}"
            );
            assert!(!failure.contains("secret"), "{failure}");
        } else {
            let is_done = |it: &leftfold_connect::connectors::ConnectorStatus| {
                it.gauges.is_some_and(|gauges| (gauges.events, gauges.skipped) == (2, 1))
            };
            world.until("lake", is_done).await;
        }
        let totals: Vec<_> =
            lines(lake.path()).into_iter().map(|(_, row)| row["total"].clone()).collect();
        assert_eq!(totals, wanted);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_days_at_once_are_in_a_directory_each() {
    let (world, lake) = (World::new().await, Lake::new());
    for day in 0..70 {
        append(&world.store, "order-1", day, 2).await;
    }
    world.add(&lake.export("format = \"parquet\"")).await;
    until_events(&world, 140).await;
    check_equal(lake.path(), &read_all(&world.store, Query::category("order")).await);
}

/// Rows wait in memory for their row group, so a row group is not larger than what may wait.
#[tokio::test(flavor = "multi_thread")]
async fn a_large_file_has_row_groups_that_fit_into_memory() {
    const MOST: i64 = 64 << 20;
    const LARGE: usize = 1 << 20;
    let (world, lake) = (World::new().await, Lake::new());
    for at in 0..99 {
        let data = format!("\"{at}{}\"", "x".repeat(LARGE - 4_096));
        let time = Timestamp(MONDAY + at % 2 * DAY);
        let event = NewEvent::json("OrderPlaced", data).event_time(time);
        world.store.append(Append::new().event("order-1", event)).await.unwrap();
    }
    let text = lake.export("format = \"parquet\"\ncompress = \"none\"\nrows = 50");
    world.add(&text.replace("10ms", "1h")).await;
    until_events(&world, 99).await;
    check_equal(lake.path(), &read_all(&world.store, Query::category("order")).await);
    // The two are open at once: each alone would fit.
    let files = files(lake.path());
    let groups = files.into_values().flat_map(|bytes| open(bytes).metadata().row_groups().to_vec());
    let sizes: Vec<_> = groups.map(|group| group.total_byte_size()).collect();
    assert!(sizes.len() > 2 && sizes.iter().all(|size| *size <= MOST), "{sizes:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_format_or_other_columns_go_on_behind_the_files_that_are_there() {
    let (world, lake) = (World::new().await, Lake::new());
    append(&world.store, "order-1", 0, 3).await;
    let formats = ["ndjson", "parquet", "ndjson"];
    world.add(&lake.export("format = \"ndjson\"")).await;
    for (at, format) in (0..).zip(formats) {
        let text = lake.export(&format!("format = \"{format}\""));
        world.connectors.replace(&ConnectorDefinition::parse(&text).unwrap()).await.unwrap();
        // The run before takes events until it has ended, and this one begins after that.
        world.until("lake", |it| it.gauges.is_some()).await;
        append(&world.store, "order-1", 0, 3).await;
        let all = (at + 2) * 3;
        until(async || lines(lake.path()).len() == all).await;
    }
    check_equal(lake.path(), &read_all(&world.store, Query::category("order")).await);
    let parquet = names(lake.path()).iter().filter(|name| name.ends_with(".parquet")).count();
    assert_eq!(parquet, 1);
}
