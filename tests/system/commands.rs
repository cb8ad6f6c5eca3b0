use std::io::{BufRead, BufReader};
use std::process::Stdio;

use leftfold::{Append, CheckpointMove, Embedded, Options};
use serde_json::{Value, json};

use crate::binary::{Killed, command, run, stderr, stdout};

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn appends_and_reads_back() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path();
    let id = "6fa459ea-ee8a-3ca4-894e-db77e160355e";
    let append = [
        "append",
        "order-1",
        "OrderPlaced",
        r#"{"total":"9.90"}"#,
        "--expect",
        "no-stream",
        "--id",
        id,
        "--tag",
        "customer=42",
        "--event-time",
        "2026-03-01T10:00:00Z",
        "--correlation",
        "c1",
    ];
    let first = lines(&stdout(data, &append)).remove(0);
    assert_eq!((&first["position"], &first["repeated"]), (&json!(1), &json!(false)));
    let again = lines(&stdout(data, &append)).remove(0);
    assert_eq!((&again["position"], &again["repeated"]), (&json!(1), &json!(true)));

    let conflict = stderr(data, &["append", "order-1", "Paid", "--expect", "no-stream"]);
    assert_eq!(
        conflict.trim(),
        "error[wrong_version]: stream order-1 was expected to have no events, but its last version is 0"
    );
    let broken = stderr(data, &["append", "order-1", "Paid", "{bad json"]);
    assert!(broken.starts_with("error[data_invalid]") && broken.contains("--raw"), "{broken}");
    stdout(data, &["append", "bytes-1", "Paid", "{bad json", "--raw"]);
    stdout(data, &["append", "order-1", "Paid", "not json", "--expect", "0"]);

    let events = lines(&stdout(data, &["read", "tag:customer=42 or stream:order-1"]));
    let mut first = events[0].clone();
    assert!(first["commit_time"].as_str().unwrap().starts_with("20"));
    first.as_object_mut().unwrap().remove("commit_time");
    assert_eq!(
        first,
        json!({
            "position": 1, "stream": "order-1", "version": 0, "id": id, "type": "OrderPlaced",
            "event_time": "2026-03-01T10:00:00Z", "correlation": "c1", "tags": ["customer=42"],
            "metadata": null, "data": {"total": "9.90"},
        })
    );
    assert_eq!((&events[1]["data"], &events[1]["version"]), (&json!("not json"), &json!(1)));
    let backward = lines(&stdout(data, &["read", "stream:order-1", "--backward", "--limit", "1"]));
    assert_eq!(backward[0]["version"], json!(1));
    let after = lines(&stdout(data, &["read", "stream:order-1", "--after", "version:0"]));
    assert_eq!(after[0]["version"], json!(1));
    let ahead = stderr(data, &["read", "*", "--from", "committed:2100-01-01"]);
    assert!(ahead.contains("is ahead of the store's clock"), "{ahead}");
}

#[test]
fn lists_indexes_measures_and_verifies() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path();
    for n in 0..5 {
        stdout(
            data,
            &["append", &format!("cart-{}", n % 2), if n == 3 { "Paid" } else { "Added" }],
        );
    }
    stdout(data, &["index", "define", "paid", "type:Paid"]);
    stdout(data, &["append", "cart-7", "Paid"]);
    assert_eq!(lines(&stdout(data, &["read", "index:paid"])).len(), 2);
    let index = lines(&stdout(data, &["index", "list"])).remove(0);
    assert_eq!(index, json!({"index": "paid", "events": 2, "ready": true, "query": "type:Paid"}));
    let streams = lines(&stdout(data, &["streams", "--category", "cart", "--limit", "2"]));
    assert_eq!(streams[1]["stream"], json!("cart-1"));
    let stat = lines(&stdout(data, &["stat"])).remove(0);
    assert_eq!((&stat["events"], &stat["indexes"]), (&json!(6), &json!(1)));
    assert_eq!((&stat["bookkeeping_events"], &stat["last_position"]), (&json!(1), &json!(7)));
    let verified = lines(&stdout(data, &["verify"])).remove(0);
    assert_eq!((&verified["events"], &verified["wrong"]), (&json!(7), &json!(0)));
    stdout(data, &["index", "drop", "paid"]);
    let unknown = stderr(data, &["read", "index:paid"]);
    assert!(unknown.starts_with("error[index_unknown]: there is no index paid"), "{unknown}");
}

#[test]
fn an_index_with_partitions_is_defined_shown_and_read() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path();
    for n in 1..=4 {
        stdout(data, &["append", &format!("order-{n}"), "Placed"]);
    }
    let by_id = ["--partitions", "4", "--partition-by", "stream-id"];
    let define = [&["index", "define", "orders", "category:order"], &by_id[..]].concat();
    stdout(data, &define);
    let by_crc32 = ["--partitions", "2", "--partitioner", "crc32"];
    stdout(data, &[&["index", "define", "plain", "category:order"], &by_crc32[..]].concat());
    let shown = lines(&stdout(data, &["index", "show", "orders"])).remove(0);
    let expected = json!({
        "index": "orders", "events": 4, "ready": true, "query": "category:order",
        "partitions": {"count": 4, "by": "stream-id", "partitioner": "murmur2"},
    });
    assert_eq!(shown, expected);
    let listed = lines(&stdout(data, &["index", "list"]));
    assert_eq!(listed[0], expected);
    assert_eq!(
        listed[1]["partitions"],
        json!({"count": 2, "by": "stream", "partitioner": "crc32"})
    );
    let read = lines(&stdout(data, &["read", "partition:orders/3"]));
    let streams: Vec<_> = read.iter().map(|event| event["stream"].as_str().unwrap()).collect();
    assert_eq!(streams, ["order-1", "order-3"]);
    let unknown = stderr(data, &["index", "show", "none"]);
    assert!(unknown.starts_with("error[index_unknown]: there is no index none"), "{unknown}");
    let unknown = stderr(data, &["read", "partition:orders/4"]);
    assert!(unknown.starts_with("error[partition_unknown]:"), "{unknown}");
    let many = stderr(data, &["index", "define", "many", "*", "--partitions", "1025"]);
    assert!(many.starts_with("error[index_partitions_invalid]:"), "{many}");
    for wrong in [
        &["--partition-by", "stream"][..],
        &["--partitioner", "crc32"],
        &["--partitions", "2", "--partition-by", "x"],
        &["--partitions", "2", "--partitioner", "x"],
    ] {
        let args = [&["index", "define", "wrong", "*"], wrong].concat();
        assert_eq!(command(data, &args).output().unwrap().status.code(), Some(2), "{wrong:?}");
    }
}

#[test]
fn values_of_flags_in_any_script_are_refused_and_do_not_panic() {
    let dir = tempfile::tempdir().unwrap();
    let rule = ["retention", "rule", "debug", "*", "--max-age"];
    for age in
        ["7\u{434}", "\u{434}", "7\u{1f4c5}", "", "d", "-1d", "\u{661}d", "99999999999999999999d"]
    {
        let output = command(dir.path(), &[&rule[..], &[age]].concat()).output().unwrap();
        let words = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{age}: {words}");
    }
    for (flag, value) in [
        ("--expect", "\u{434}"),
        ("--tag", "\u{434}"),
        ("--event-time", "2026-03-0\u{434}"),
        ("--id", "\u{434}"),
    ] {
        let args = ["append", "a-1", "T", "", flag, value];
        assert_eq!(command(dir.path(), &args).output().unwrap().status.code(), Some(2), "{flag}");
    }
    for point in ["\u{434}", "time:\u{434}", "cursor:\u{434}\u{434}", "position:\u{661}", ":"] {
        let args = ["read", "*", "--from", point];
        assert_eq!(command(dir.path(), &args).output().unwrap().status.code(), Some(2), "{point}");
    }
}

#[test]
fn says_what_to_do_about_what_went_wrong() {
    let dir = tempfile::tempdir().unwrap();
    let nowhere = dir.path().join("nowhere");
    let missing = stderr(&nowhere, &["read"]);
    assert!(missing.starts_with("error[store_missing]: there is no store in"), "{missing}");
    assert!(!nowhere.exists());
    let output = command(dir.path(), &["read", "color:red"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let words = String::from_utf8(output.stderr).unwrap();
    assert!(
        words.contains("can't be read at character 1") && words.contains("color:red\n  ^"),
        "{words}"
    );
    let words = stderr(dir.path(), &["ingest", "none.xml", "--map", "camt.053"]);
    assert!(words.contains("none.xml"), "{words}");
    let words = stderr(dir.path(), &["ingest", "none.xml", "--map", "other"]);
    assert!(words.contains("neither a built-in mapping (camt.052, camt.053"), "{words}");
}

/// One process holds the store and prints what comes; a second one is turned away, clearly.
#[test]
fn a_second_process_is_told_that_the_store_is_open() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path();
    stdout(data, &["append", "a-1", "First"]);
    let mut follower =
        Killed(command(data, &["subscribe", "--follow"]).stdout(Stdio::piped()).spawn().unwrap());
    let mut printed = BufReader::new(follower.0.stdout.take().unwrap()).lines();
    assert!(printed.next().unwrap().unwrap().contains("First"));
    let refused = stderr(data, &["append", "a-1", "Second"]);
    assert!(refused.starts_with("error[store_locked]:"), "{refused}");
    assert!(refused.contains("is open in another process; close that one first"), "{refused}");
    assert!(refused.contains("--server URL"), "{refused}");
    let verify = stderr(data, &["verify"]);
    assert!(verify.starts_with("error[store_locked]:"), "{verify}");
    assert!(verify.contains("--server URL"), "{verify}");
    drop(follower);
    stdout(data, &["append", "a-1", "Second", "--expect", "0"]);
}

#[test]
fn backs_up_checks_and_restores() {
    let dir = tempfile::tempdir().unwrap();
    let [data, backup, other] = ["data", "backup", "other"].map(|name| dir.path().join(name));
    let to = ["backup", "--to", backup.to_str().unwrap()];
    let check = ["backup", "--verify", backup.to_str().unwrap()];
    let from = ["restore", "--from", backup.to_str().unwrap()];
    stdout(&data, &["append", "a-1", "First"]);
    let first = lines(&stdout(&data, &to)).remove(0);
    assert_eq!((&first["backup"], &first["files_copied"]), (&json!(1), &json!(3)));
    stdout(&data, &["append", "a-1", "Second"]);
    let second = lines(&stdout(&data, &to)).remove(0);
    assert_eq!((&second["backup"], &second["files_left_out"]), (&json!(2), &json!(0)));
    let checked = lines(&stdout(&data, &check)).remove(0);
    assert_eq!((&checked["head"], &checked["wrong"]), (&second["head"], &json!(0)));
    let restored = lines(&stdout(&other, &from)).remove(0);
    // The same store and position, in another incarnation.
    let parts = |head: &Value| {
        let text = head.as_str().unwrap().to_owned();
        (text[..10].to_owned(), text[10..18].to_owned(), text[18..].to_owned())
    };
    let (before, after) = (parts(&second["head"]), parts(&restored["head"]));
    assert_eq!((&after.0, &after.2), (&before.0, &before.2));
    assert_ne!(after.1, before.1);
    assert_eq!(stdout(&other, &["read"]), stdout(&data, &["read"]));
    let refused = stderr(&other, &from);
    assert!(refused.starts_with("error[restore_not_empty]:"), "{refused}");
    let refused = stderr(&other, &to);
    assert!(refused.starts_with("error[backup_foreign]:"), "{refused}");

    let part = std::fs::read_dir(backup.join("log")).unwrap().next().unwrap().unwrap().path();
    let mut bytes = std::fs::read(&part).unwrap();
    bytes[70] ^= 1;
    std::fs::write(&part, bytes).unwrap();
    let damaged = stderr(&data, &check);
    assert!(damaged.starts_with("error[backup_damaged]: the backup in"), "{damaged}");

    let mut follower =
        Killed(command(&data, &["subscribe", "--follow"]).stdout(Stdio::piped()).spawn().unwrap());
    let mut printed = BufReader::new(follower.0.stdout.take().unwrap()).lines();
    assert!(printed.next().unwrap().unwrap().contains("First"));
    let refused = stderr(&data, &to);
    assert!(refused.starts_with("error[store_locked]:"), "{refused}");
}

#[test]
fn tells_of_damage_and_repairs_it_only_when_told() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path();
    for n in 0..4 {
        stdout(data, &["append", "a-1", &format!("T{n}")]);
    }
    let whole = lines(&stdout(data, &["repair"])).remove(0);
    assert_eq!((&whole["events"], &whole["damaged"]), (&json!(4), &json!(0)));
    let segment = data.join("log/0000000000000001.0.seg");
    let mut bytes = std::fs::read(&segment).unwrap();
    let second = bytes.windows(2).position(|bytes| bytes == b"T1").unwrap();
    bytes[second] ^= 1;
    std::fs::write(&segment, &bytes).unwrap();
    let refused = stderr(data, &["read"]);
    assert!(refused.starts_with("error[data_damaged]:"), "{refused}");
    let told = run(data, &["repair"]);
    assert_eq!(told.status.code(), Some(1));
    assert_eq!(std::fs::read(&segment).unwrap(), bytes);
    let told = lines(&String::from_utf8(told.stdout).unwrap());
    assert_eq!(told[0]["damaged"], json!("log/0000000000000001.0.seg"));
    let lost = json!({"lost": 2, "stream": "a-1", "version": 1, "certain": true});
    assert_eq!(told[1], lost);
    let done = run(data, &["repair", "--quarantine"]);
    assert_eq!(done.status.code(), Some(1), "an event is lost");
    let done = lines(&String::from_utf8(done.stdout).unwrap());
    assert_eq!(done[1], lost);
    let sum = [&done[2]["events_before"], &done[2]["events"], &done[2]["lost_ranges"]];
    assert_eq!(sum, [&json!(4), &json!(3), &json!([[2, 2]])]);
    let names: Vec<String> = serde_json::from_value(done[2]["quarantined"].clone()).unwrap();
    let aside = names.iter().find(|name| name.ends_with("0000000000000001.0.seg")).unwrap();
    assert_eq!(std::fs::read(data.join(aside)).unwrap(), bytes, "the whole file");
    stdout(data, &["append", "a-1", "T4", "--expect", "3"]);
    let left: Vec<_> =
        lines(&stdout(data, &["read"])).iter().map(|e| e["version"].clone()).collect();
    assert_eq!(left, [0, 2, 3, 4]);
    assert_eq!(lines(&stdout(data, &["verify"]))[0]["wrong"], json!(0));
}

/// With the manifest from before the segment was packed, all events are still there.
#[test]
fn repairs_a_store_with_an_old_manifest_and_undoes_it() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path();
    for n in 0..4 {
        stdout(data, &["append", "a-1", &format!("T{n}")]);
    }
    let old = std::fs::read(data.join("MANIFEST")).unwrap();
    stdout(data, &["pack"]);
    stdout(data, &["append", "b-1", "Late"]);
    let events = stdout(data, &["read"]);
    std::fs::write(data.join("MANIFEST"), &old).unwrap();
    assert!(stderr(data, &["read"]).starts_with("error[store_unusable]:"));
    let told = run(data, &["repair"]);
    assert_eq!(
        (told.status.code(), std::fs::read(data.join("MANIFEST")).unwrap()),
        (Some(1), old.clone())
    );
    let done = lines(&stdout(data, &["repair", "--quarantine"]));
    assert!(done[0]["fault"].as_str().unwrap().starts_with("MANIFEST is made again"), "{done:?}");
    let sum = [&done[1]["events_before"], &done[1]["events"], &done[1]["lost"]];
    assert_eq!(sum, [&json!(5), &json!(5), &json!(0)]);
    // Cursors have another incarnation.
    let without_cursor = |text: &str| -> Vec<_> {
        let mut events = lines(text);
        events.iter_mut().for_each(|event| _ = event.as_object_mut().unwrap().remove("cursor"));
        events
    };
    let read = stdout(data, &["read"]);
    assert_eq!(without_cursor(&read), without_cursor(&events));
    assert_eq!(lines(&stdout(data, &["verify"]))[0]["wrong"], json!(0));
    stdout(data, &["repair", "--undo"]);
    assert_eq!(std::fs::read(data.join("MANIFEST")).unwrap(), old);
    stdout(data, &["repair", "--quarantine"]);
    stdout(data, &["append", "b-1", "Later"]);
    let refused = stderr(data, &["repair", "--undo"]);
    assert!(
        refused.starts_with("error[repair_not_undone]:") && refused.contains("1 events"),
        "{refused}"
    );
    stdout(data, &["repair", "--forget"]);
    assert!(!data.join("quarantine").exists());
    let refused = stderr(data, &["repair", "--undo"]);
    assert!(
        refused.starts_with("error[repair_not_undone]: the repair can't be undone: there is none")
    );
}

/// The demo, smaller: it ends with its summary, may be repeated, and touches no other's directory.
#[test]
fn the_demo_runs_to_its_end_and_replaces_only_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let demo = dir.path().join("demo");
    let args = ["demo", "--entries", "2000", "--dir", demo.to_str().unwrap()];
    let first = stdout(dir.path(), &args);
    for words in [
        "is refused: stream till-1 was expected",
        "nothing is lost and nothing is there twice",
        "the ten busiest accounts",
        "from balances order by entries desc",
        "Daily totals by event time",
        "The last entries of account-",
    ] {
        assert!(first.contains(words), "{words} is missing in {first}");
    }
    let last = first.lines().last().unwrap();
    assert!(last.starts_with("ingested=") && !last.contains("repeated=0 "), "{last}");
    assert_eq!(stdout(dir.path(), &args).lines().last(), Some(last), "the same night again");
    let verified = stdout(&demo.join("data"), &["verify"]);
    assert!(verified.contains("\"wrong\":0"), "{verified}");
    let mine = dir.path().join("mine");
    std::fs::create_dir(&mine).unwrap();
    std::fs::write(mine.join("file"), "precious").unwrap();
    let refused = stderr(dir.path(), &["demo", "--dir", mine.to_str().unwrap()]);
    assert!(refused.contains("was not made by a demo; choose another with --dir"), "{refused}");
    assert_eq!(std::fs::read_to_string(mine.join("file")).unwrap(), "precious");
}

#[test]
fn the_view_of_the_demo_passes_its_test() {
    let view = include_str!("../../crates/cli/src/commands/demo.sql");
    let view = leftfold_views::Definition::parse(view).unwrap();
    let reports = view.check().unwrap();
    assert!(reports.len() == 1 && reports[0].passed(), "{reports:#?}");
    assert!(view.unused_paths().is_empty());
}

#[test]
fn says_what_is_kept_deletes_scavenges_and_packs() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path();
    for n in 0..4 {
        for stream in ["cart-1", "cart-2", "order-1"] {
            let data_text = format!(r#"{{"n":{n}}}"#);
            stdout(data, &["append", stream, "Changed", &data_text, "--tag", "level=debug"]);
        }
    }
    let count = |query: &str| lines(&stdout(data, &["read", query])).len();
    stdout(data, &["retention", "set", "cart-1", "--max-count", "1"]);
    stdout(data, &["retention", "rule", "carts", "category:cart", "--max-count", "2"]);
    assert_eq!(
        [count("stream:cart-1"), count("stream:cart-2"), count("stream:order-1")],
        [1, 2, 4]
    );
    stdout(data, &["retention", "rule", "debug", "tag:level=debug", "--max-age", "2y"]);
    let rules = lines(&stdout(data, &["retention", "list"]));
    assert_eq!(rules[0]["max_count"], json!(2));
    assert_eq!(
        (&rules[1]["max_age_seconds"], &rules[1]["query"]),
        (&json!(2 * 365 * 86_400), &json!("tag:level=debug"))
    );
    stdout(data, &["retention", "drop", "carts"]);
    assert_eq!(count("stream:cart-2"), 4);

    stdout(data, &["delete", "order-1", "--expect", "3"]);
    stdout(data, &["delete", "cart-2", "--tombstone"]);
    let kept = lines(&stdout(data, &["streams", "--category", "cart"]));
    let of = |name: &str| kept.iter().find(|stream| stream["stream"] == name).unwrap();
    assert_eq!(of("cart-2")["tombstoned"], json!(true));
    assert_eq!(of("cart-1")["tombstoned"], json!(false));
    assert_eq!([count("stream:order-1"), count("stream:cart-2")], [0, 0]);
    let streams = lines(&stdout(data, &["retention", "list", "--streams"]));
    let streams: Vec<_> =
        streams.iter().map(|stream| [&stream["stream"], &stream["kept"]]).collect();
    let expected = [
        ["cart-1", "the last 1"],
        ["order-1", "nothing: deleted"],
        ["cart-2", "nothing: tombstone"],
    ];
    assert_eq!(
        streams,
        expected.map(|[stream, kept]| [json!(stream), json!(kept)]).each_ref().map(|[a, b]| [a, b])
    );
    let refused = stderr(data, &["append", "cart-2", "Changed"]);
    assert!(refused.starts_with("error[stream_tombstoned]: stream cart-2"), "{refused}");
    let wrong = stderr(data, &["retention", "rule", "bad", "tag:a=b", "--max-count", "1"]);
    assert!(wrong.starts_with("error[retention_invalid]: rule bad: "), "{wrong}");
    let would = lines(&stdout(data, &["scavenge", "--dry-run"])).remove(0);
    let scavenged = lines(&stdout(data, &["scavenge"])).remove(0);
    assert_eq!((&scavenged["events"], &would["events"]), (&json!(3 + 4 + 4), &json!(3 + 4 + 4)));
    let stat = lines(&stdout(data, &["pack", "--packing", "small"])).remove(0);
    assert_eq!((&stat["segments"], &stat["packed_segments"]), (&json!(2), &json!(1)));
    let verified = lines(&stdout(data, &["verify"])).remove(0);
    assert_eq!(verified["wrong"], json!(0));
}

#[test]
fn lists_and_deletes_checkpoints() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path();
    {
        let store = Embedded::open(data, Options::default()).unwrap();
        let to = store.blocking().head();
        for name in ["mails", "bills"] {
            let moved = CheckpointMove { name: name.to_owned(), expected: None, to: to.clone() };
            store.blocking().append(Append::new().checkpoint(moved)).unwrap();
        }
    }
    stdout(data, &["checkpoints", "delete", "mails"]);
    let left = lines(&stdout(data, &["checkpoints"]));
    assert_eq!((left.len(), &left[0]["checkpoint"]), (1, &json!("bills")));
    let unknown = stderr(data, &["checkpoints", "delete", "mails"]);
    assert!(unknown.starts_with("error[checkpoint_unknown]"), "{unknown}");
}

/// What a terminal obeys: commands, and characters that turn or break lines.
#[test]
fn what_is_stored_changes_no_terminal() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path();
    let (stream, event_type) = ("order-\u{202e}1", "T\u{2028}Forged");
    let value = "{\"a\": \"\u{9b}31m\u{7f}\u{2066}\"}";
    stdout(data, &["append", stream, event_type, value, "--tag", "k=\u{2029}"]);
    for args in [
        &["read", "*"][..],
        &["read", "*", "-o", "table"],
        &["streams", "-o", "table"],
        &["index", "list", "-o", "table"],
    ] {
        let printed = stdout(data, args);
        let shown = printed.replace('\n', "");
        assert!(!shown.contains(leftfold::is_unprintable), "{args:?}: {shown:?}");
    }
    let read = lines(&stdout(data, &["read", "*"])).remove(0);
    assert_eq!(read["stream"], stream, "programs read the same name");
    assert_eq!(read["data"]["a"], "\u{9b}31m\u{7f}\u{2066}");
    let refused = stderr(data, &["append", stream, event_type, "--expect", "no-stream"]);
    assert!(!refused.trim().contains(leftfold::is_unprintable), "{refused:?}");
    let named = stderr(data, &["append", "a\u{1b}[2J", event_type]);
    assert!(!named.trim().contains(leftfold::is_unprintable), "{named:?}");
}
