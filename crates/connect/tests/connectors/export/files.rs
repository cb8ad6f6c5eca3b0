//! Events are written into files, each exactly once.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use leftfold_api::Query;
use leftfold_connect::connectors::{ConnectorDefinition, ConnectorPhase, ConnectorStart};

use super::lake::*;
use crate::support::World;

#[tokio::test(flavor = "multi_thread")]
async fn events_are_written_into_a_directory_for_each_day() {
    let (world, lake) = (World::new().await, Lake::new());
    append(&world.store, "order-1", 0, 3).await;
    append(&world.store, "order-2", 1, 2).await;
    append(&world.store, "cart-1", 1, 2).await;
    append(&world.store, "order-1", 0, 1).await;
    world.add(&lake.export("format = \"ndjson\"")).await;
    until_events(&world, 6).await;
    let query = || Query::category("order");
    check_equal(lake.path(), &read_all(&world.store, query()).await);
    let first = [
        "date=2026-11-30/part-lake-0000000000.ndjson",
        "date=2026-12-01/part-lake-0000000001.ndjson",
    ];
    assert_eq!(names(lake.path()), first);
    // Later ones are in other files: those that are there never change.
    let before = files(lake.path());
    append(&world.store, "order-3", 1, 2).await;
    until_events(&world, 8).await;
    let after = files(lake.path());
    assert!(before.iter().all(|(path, bytes)| after.get(path) == Some(bytes)));
    assert_eq!(after.len(), 3);
    check_equal(lake.path(), &read_all(&world.store, query()).await);
    let status = world.connectors.status("lake").await.unwrap();
    assert_eq!(status.gauges.unwrap().lag_micros, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_closed_when_it_is_full_or_when_its_time_has_come() {
    let (mut world, lake) = (World::new().await, Lake::new());
    append(&world.store, "order-1", 0, 25).await;
    let text = lake.export("format = \"ndjson\"\nrows = 10\npartition = \"none\"");
    world.add(&text.replace("10ms", "1h")).await;
    // Files that are full take the others with them, so that the place is behind whole batches.
    until_events(&world, 25).await;
    let rows: Vec<_> = files(lake.path())
        .values()
        .map(|bytes| bytes.split(|byte| *byte == b'\n').count() - 1)
        .collect();
    assert_eq!(rows, [10, 10, 5]);
    append(&world.store, "order-1", 0, 3).await;
    // One that is not full waits for its time, or for the end of the run.
    let deadline = Instant::now() + Duration::from_millis(300);
    while Instant::now() < deadline {
        assert_eq!(files(lake.path()).len(), 3);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    world.stop().await;
    assert_eq!(files(lake.path()).len(), 4);
    check_equal(lake.path(), &read_all(&world.store, Query::category("order")).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_compressed_and_csv_has_the_columns_of_the_definition() {
    for (compress, extension) in [("none", "csv"), ("gzip", "csv.gz"), ("zstd", "csv.zst")] {
        let (world, lake) = (World::new().await, Lake::new());
        append(&world.store, "order-1", 0, 2).await;
        let columns = "columns = [[\"id\", \"{stream}@{version}\"], [\"a note\", \"{data.note}\"], [\"shop\", \"{tag.shop?}\"]]";
        let more =
            format!("format = \"csv\"\npartition = \"none\"\ncompress = \"{compress}\"\n{columns}");
        world.add(&lake.export(&more)).await;
        until_events(&world, 2).await;
        let files = files(lake.path());
        let (path, bytes) = files.first_key_value().unwrap();
        assert_eq!(path, Path::new(&format!("part-lake-0000000000.{extension}")));
        let wanted = "id,a note,shop\norder-1@0,\"a,\"\"b\"\"\",\norder-1@1,\"a,\"\"b\"\"\",\n";
        assert_eq!(text_of(path, bytes), wanted);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_days_at_once_keep_few_files_open() {
    let (world, lake) = (World::new().await, Lake::new());
    for round in 0..2 {
        for day in 0..70 {
            append(&world.store, &format!("order-{round}"), day, 1).await;
        }
    }
    world.add(&lake.export("format = \"ndjson\"\ncompress = \"zstd\"")).await;
    until_events(&world, 140).await;
    check_equal(lake.path(), &read_all(&world.store, Query::category("order")).await);
}

/// What a crash leaves behind: files that are not finished, and files that the state does not have yet.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_crash_leaves_behind_is_removed_and_nothing_else() {
    let (mut world, lake) = (World::new().await, Lake::new());
    append(&world.store, "order-1", 0, 3).await;
    world.add(&lake.export("format = \"ndjson\"")).await;
    until_events(&world, 3).await;
    world.interrupt().await;
    let day = lake.path().join("date=2026-11-30");
    let (whole, cut) =
        (day.join("part-lake-0000000001.ndjson"), day.join("part-lake-0000000002.ndjson.gz"));
    fs::copy(day.join("part-lake-0000000000.ndjson"), &whole).unwrap();
    fs::write(&cut, "{\"cut").unwrap();
    let unfinished = lake.path().join("_leftfold/lake.unfinished/part-lake-0000000001.ndjson");
    fs::write(&unfinished, "{\"cut").unwrap();
    fs::write(lake.path().join("_leftfold/lake.json.tmp"), "{\"cut").unwrap();
    let others = ["notes.ndjson", "part-lake-2-0000000009.ndjson", "part-0000000009.ndjson"];
    for other in others {
        fs::write(day.join(other), "").unwrap();
    }
    world.start().await;
    until(async || !unfinished.exists() && !whole.exists() && !cut.exists()).await;
    append(&world.store, "order-1", 0, 2).await;
    until_events(&world, 2).await;
    assert!(others.iter().all(|other| day.join(other).exists()));
    for other in others {
        fs::remove_file(day.join(other)).unwrap();
    }
    assert_eq!(files(lake.path()).len(), 2);
    check_equal(lake.path(), &read_all(&world.store, Query::category("order")).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reset_asks_for_another_directory_as_events_would_be_there_twice() {
    let (world, lake) = (World::new().await, Lake::new());
    append(&world.store, "order-1", 0, 3).await;
    world.add(&lake.export("format = \"ndjson\"")).await;
    until_events(&world, 3).await;
    world.connectors.reset("lake").await.unwrap();
    let status = world.until("lake", |it| it.phase == ConnectorPhase::Failed).await;
    assert_eq!(status.code.as_deref(), Some("connector_unusable"));
    assert!(status.failure.unwrap().contains("before it was reset"));
    let other = Lake::new();
    let text = other.export("format = \"ndjson\"");
    world.connectors.replace(&ConnectorDefinition::parse(&text).unwrap()).await.unwrap();
    until_events(&world, 3).await;
    check_equal(other.path(), &read_all(&world.store, Query::category("order")).await);

    // Without its state it does not know what it has written; with a damaged one neither.
    for damage in [|state: &Path| fs::remove_file(state), |state: &Path| fs::write(state, "{")] {
        world.connectors.pause("lake").await.unwrap();
        until(async || {
            // The run before holds its files until it has ended.
            let path = other.path().join("_leftfold/lake.lock");
            fs::File::open(path).unwrap().try_lock().is_ok()
        })
        .await;
        damage(&other.path().join("_leftfold/lake.json")).unwrap();
        world.connectors.resume("lake").await.unwrap();
        world.until("lake", |it| it.phase == ConnectorPhase::Failed).await;
        assert_eq!(files(other.path()).len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_that_cannot_be_written_is_tried_again() {
    let (world, lake) = (World::new().await, Lake::new());
    let in_the_way = lake.path().join("date=2026-11-30");
    fs::write(&in_the_way, "").unwrap();
    append(&world.store, "order-1", 0, 3).await;
    append(&world.store, "order-1", 1, 3).await;
    world.add(&lake.export("format = \"ndjson\"")).await;
    let status = world.until("lake", |it| it.phase == ConnectorPhase::Retrying).await;
    assert!(status.failure.unwrap().contains(&lake.path().display().to_string()));
    append(&world.store, "order-2", 0, 3).await;
    fs::remove_file(&in_the_way).unwrap();
    until_events(&world, 9).await;
    check_equal(lake.path(), &read_all(&world.store, Query::category("order")).await);

    let missing = lake.export("format = \"ndjson\"").replace("\"\nevery", "/none\"\nevery");
    world.connectors.replace(&ConnectorDefinition::parse(&missing).unwrap()).await.unwrap();
    let status = world.until("lake", |it| it.phase == ConnectorPhase::Retrying).await;
    assert!(status.failure.unwrap().contains("/none: "));
    assert!(!lake.path().join("none").exists(), "a directory that is not mounted is not made");
}

/// The disk is full when the state is written: the files are there, and the state does not have them.
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_tried_again_and_no_event_is_twice() {
    for format in ["ndjson", "parquet"] {
        fill_the_disk(&format!("format = \"{format}\"")).await;
    }
}

#[cfg(target_os = "linux")]
async fn fill_the_disk(format: &str) {
    let (world, lake) = (World::new().await, Lake::new());
    append(&world.store, "order-1", 0, 3).await;
    world.add(&lake.export(format)).await;
    until_events(&world, 3).await;
    let state = lake.path().join("_leftfold/lake.json.tmp");
    std::os::unix::fs::symlink("/dev/full", &state).unwrap();
    append(&world.store, "order-1", 0, 3).await;
    append(&world.store, "order-2", 1, 3).await;
    let status = world.until("lake", |it| it.phase == ConnectorPhase::Retrying).await;
    assert!(status.failure.unwrap().contains("No space left on device"));
    append(&world.store, "order-2", 0, 3).await;
    fs::remove_file(&state).unwrap();
    until_events(&world, 9).await;
    check_equal(lake.path(), &read_all(&world.store, Query::category("order")).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_without_a_column_stops_the_export_or_is_left_out() {
    for (on_error, rows) in [("stop", 2), ("skip", 4)] {
        let (world, lake) = (World::new().await, Lake::new());
        append(&world.store, "order-1", 0, 2).await;
        world.append("order-2", "OrderPlaced", "{\"other\":1}").await;
        append(&world.store, "order-1", 0, 2).await;
        let more = "format = \"csv\"\npartition = \"none\"\ncolumns = { note = \"{data.note}\" }";
        let text = lake
            .export(more)
            .replace("[file-export]", &format!("on_error = \"{on_error}\"\n[file-export]"));
        world.add(&text).await;
        if on_error == "stop" {
            let status = world.until("lake", |it| it.phase == ConnectorPhase::Failed).await;
            let failure = status.failure.unwrap();
            assert!(failure.contains("order-2") && failure.contains("column note"), "{failure}");
        } else {
            let is_done = |skipped| {
                move |gauges: leftfold_connect::connectors::Gauges| {
                    (gauges.events, gauges.skipped) == (rows, skipped)
                }
            };
            world.until("lake", |it| it.gauges.is_some_and(is_done(1))).await;
        }
        // What is before it is there.
        let text: String =
            files(lake.path()).iter().map(|(path, bytes)| text_of(path, bytes)).collect();
        assert_eq!(text.lines().filter(|line| *line != "note").count() as u64, rows);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_begins_where_it_is_told() {
    let (world, lake) = (World::new().await, Lake::new());
    let first = world.append("order-1", "OrderPlaced", "{}").await;
    let definition = ConnectorDefinition::parse(&lake.export("format = \"ndjson\"")).unwrap();
    let start = ConnectorStart::After(first.cursor.to_string());
    world.connectors.add(&definition, start).await.unwrap();
    append(&world.store, "order-1", 0, 2).await;
    until_events(&world, 2).await;
    let events = read_all(&world.store, Query::category("order")).await;
    check_equal(lake.path(), &events[1..]);
}

/// A second process, or a run that has not ended yet, would write the same files.
#[tokio::test(flavor = "multi_thread")]
async fn only_one_run_writes_an_export() {
    let (world, other, lake) = (World::new().await, World::new().await, Lake::new());
    append(&world.store, "order-1", 0, 2).await;
    append(&other.store, "order-1", 0, 2).await;
    world.add(&lake.export("format = \"ndjson\"")).await;
    until_events(&world, 2).await;
    other.add(&lake.export("format = \"ndjson\"")).await;
    let status = other.until("lake", |it| it.phase == ConnectorPhase::Retrying).await;
    assert!(status.failure.unwrap().contains("another run of the connector"));
    // Another store has another history, whose events are not those of the files.
    world.connectors.remove("lake").await.unwrap();
    let status = other.until("lake", |it| it.phase == ConnectorPhase::Failed).await;
    assert_eq!(status.code.as_deref(), Some("view_of_other_history"));
    check_equal(lake.path(), &read_all(&world.store, Query::category("order")).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_of_an_export_says_whether_the_directory_can_be_written() {
    let (world, lake) = (World::new().await, Lake::new());
    let text = lake.export("format = \"ndjson\"");
    let check = world.connectors.test(&ConnectorDefinition::parse(&text).unwrap()).await;
    assert!(check.is_ok() && fs::read_dir(lake.path()).unwrap().next().is_none(), "{check:?}");
    let missing = text.replace("\"\nevery", "/none\"\nevery");
    let check = world.connectors.test(&ConnectorDefinition::parse(&missing).unwrap()).await;
    assert!(!check.is_ok() && check.findings[0].detail.contains("/none: "), "{check:?}");
}

#[test]
fn a_wrong_definition_of_an_export_is_refused_with_a_sentence() {
    let valid = definition(Path::new("/out"), "format = \"ndjson\"");
    ConnectorDefinition::parse(&valid).unwrap();
    for (from, to, part) in [
        ("query = \"category:order\"\n", "", "query is missing"),
        ("/out", "out", "directory: expected a path that begins with /"),
        ("\"ndjson\"", "\"orc\"", "[file-export]: "),
        ("\"ndjson\"", "\"parquet\"\ncompress = \"gzip\"", "expected zstd or none"),
        (
            "\"ndjson\"",
            "\"parquet\"\ncolumns = { date = \"{time}\" }",
            "readers call the directories date",
        ),
        ("\"ndjson\"", "\"parquet\"\ncolumns = [[\"a\", \"{id}\", \"text\"]]", "is no type"),
        ("\"ndjson\"", "\"csv\"\ncolumns = [[\"a\", \"{id}\", \"int64\"]]", "a type is for"),
        ("\"ndjson\"", "\"csv\"", "columns is missing"),
        ("\"ndjson\"", "\"ndjson\"\ncolumns = { id = \"{id}\" }", "columns is for"),
        ("\"ndjson\"", "\"csv\"\ncolumns = { id = \"{idd}\" }", "no field of an event"),
        ("\"ndjson\"", "\"ndjson\"\nrows = 0", "rows: expected 1 to"),
        ("10ms", "1ms", "every: expected at least"),
        (
            "[file-export]",
            "delivery = \"at-least-once\"\n[file-export]",
            "delivery: for a connector of the kind",
        ),
    ] {
        let refused = ConnectorDefinition::parse(&valid.replace(from, to)).unwrap_err().to_string();
        assert!(refused.contains(part), "{to}: {refused}");
    }
}
