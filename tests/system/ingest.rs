//! S01: the nightly batch.

use std::fs;
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use leftfold_connect::sample::{NightOptions, write_camt, write_night};
use serde_json::Value;

use crate::binary::{Killed, command, run, stdout};

fn camt(dir: &Path, bytes: u64) -> PathBuf {
    let path = dir.join("night.xml");
    let mut out = BufWriter::new(fs::File::create(&path).unwrap());
    write_camt(&mut out, bytes, 7).unwrap();
    out.flush().unwrap();
    path
}

/// All events without what differs from run to run.
fn events(data: &Path) -> Vec<Value> {
    let mut events: Vec<Value> =
        stdout(data, &["read"]).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for event in &mut events {
        event.as_object_mut().unwrap().remove("commit_time");
        // The same records come from files of several names.
        event["metadata"].as_object_mut().unwrap().remove("file");
    }
    events
}

#[test]
fn a_night_is_taken_once_however_often_it_comes() {
    let dir = tempfile::tempdir().unwrap();
    let options = NightOptions { accounts: 30, entries: 2_000, ..NightOptions::default() };
    let night = write_night(&dir.path().join("files"), &options)
        .or_else(|_| {
            fs::create_dir_all(dir.path().join("files"))?;
            write_night(&dir.path().join("files"), &options)
        })
        .unwrap();
    let data = dir.path().join("data");
    let rejects = dir.path().join("rejects.ndjson");
    let mut args = vec!["ingest", "--map", "camt.053", "--rejects", rejects.to_str().unwrap()];
    args.extend(night.files.iter().chain([&night.duplicate]).map(|file| file.to_str().unwrap()));

    let output = run(&data, &args);
    assert_eq!(output.status.code(), Some(3), "some records were rejected");
    let rejected = night.malformed + night.duplicate_malformed;
    let sum_of = |printed: Vec<u8>| {
        let printed = String::from_utf8(printed).unwrap();
        let last: Value = serde_json::from_str(printed.lines().last().unwrap()).unwrap();
        ["ingested", "repeated", "rejected"].map(|name| last[name].as_u64().unwrap())
    };
    assert_eq!(sum_of(output.stdout), [night.good, night.duplicates, rejected]);
    let written = fs::read_to_string(&rejects).unwrap();
    assert_eq!(written.lines().count() as u64, rejected);
    for line in written.lines() {
        let reject: Value = serde_json::from_str(line).unwrap();
        let keys = ["file", "line", "reason", "message", "record"];
        assert!(keys.iter().all(|key| !reject[key].is_null()), "{line}");
    }

    let before = events(&data);
    args.push("--append-rejects");
    let output = run(&data, &args);
    assert_eq!(sum_of(output.stdout), [0, night.good + night.duplicates, rejected]);
    assert_eq!(events(&data), before);

    let ledger = stdout(&data, &["ingest", "log", "camt.053"]);
    let ledger: Vec<Value> =
        ledger.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(ledger.len(), 2 * (night.files.len() + 1));
    let sum = |name: &str| ledger.iter().map(|entry| entry[name].as_u64().unwrap()).sum::<u64>();
    assert_eq!((sum("ingested"), sum("rejected")), (night.good, 2 * rejected));
    let (first, again) = (&ledger[0], &ledger[night.files.len() + 1]);
    assert_eq!((&first["sha256"], &first["bytes"]), (&again["sha256"], &again["bytes"]));

    args.extend(["-o", "json"]);
    let output = String::from_utf8(run(&data, &args).stdout).unwrap();
    let lines: Vec<Value> =
        output.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), night.files.len() + 2, "one for each file, and the sum");
    assert_eq!((&lines[0]["complete"], &lines[0]["ingested"]), (&true.into(), &0.into()));
    let repeated = night.good + night.duplicates;
    let sum = serde_json::json!({
        "ingested": 0, "repeated": repeated, "kept": 0, "rejected": rejected, "corrected": 0,
        "warnings": 0
    });
    assert_eq!(lines.last(), Some(&sum));
}

/// kill -9 after a different share of the file each time; then once to the end.
#[test]
fn killed_at_any_point_and_run_again_gives_the_same_store() {
    let dir = tempfile::tempdir().unwrap();
    let file = camt(dir.path(), 6_000_000);
    let (data, whole) = (dir.path().join("data"), dir.path().join("whole"));
    let args = ["ingest", file.to_str().unwrap(), "--map", "camt.053"];
    stdout(&whole, &args);
    let expected = events(&whole);
    assert!(expected.len() > 5_000);
    let (mut killed_inside, total) = (0, expected.len() as u64);
    for share in 1..=8u64 {
        let pipe = dir.path().join(format!("pipe-{share}"));
        // The reader gets a part of the file and then nothing, until it is killed.
        let made = std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
        assert!(made.success(), "mkfifo comes with coreutils");
        let mut ingest = Killed(
            command(&data, &["ingest", pipe.to_str().unwrap(), "--map", "camt.053"])
                .stdout(Stdio::null())
                .spawn()
                .unwrap(),
        );
        let mut text = BufReader::new(fs::File::open(&file).unwrap()).take(share * 700_000);
        let mut feed = fs::OpenOptions::new().write(true).open(&pipe).unwrap();
        std::io::copy(&mut text, &mut feed).unwrap();
        // Whatever has been done with it by now: this is the point.
        ingest.0.kill().unwrap();
        ingest.0.wait().unwrap();
        let now = events(&data).len() as u64;
        killed_inside += u64::from(now > 0 && now < total);
    }
    assert!(killed_inside > 2, "most kills came in the middle: {killed_inside}");
    stdout(&data, &args);
    assert_eq!(events(&data), expected);
    assert!(stdout(&data, &["verify"]).contains("\"wrong\":0"));
}

/// Memory does not grow with the file: the kernel keeps the high-water mark.
#[test]
fn a_large_file_is_read_in_little_memory() {
    // Up to four segments, whose postings are in memory while the disk is busy.
    const LIMIT_KB: u64 = 200_000;
    let dir = tempfile::tempdir().unwrap();
    let file = camt(dir.path(), 240_000_000);
    let args = ["ingest", file.to_str().unwrap(), "--map", "camt.053"];
    let mut ingest =
        command(&dir.path().join("data"), &args).stdout(Stdio::piped()).spawn().unwrap();
    let status = format!("/proc/{}/status", ingest.id());
    let mut peak = 0;
    // Sampled as long as it runs; the last sample before the end has seen nearly all of it.
    while ingest.try_wait().unwrap().is_none() {
        let text = fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find(|line| line.starts_with("VmHWM:"));
        let kb = line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok());
        peak = peak.max(kb.unwrap_or(0));
        std::thread::yield_now();
    }
    let mut printed = String::new();
    ingest.stdout.take().unwrap().read_to_string(&mut printed).unwrap();
    let last: Value = serde_json::from_str(printed.lines().last().unwrap()).unwrap();
    assert_eq!((&last["repeated"], &last["rejected"]), (&0.into(), &0.into()), "{printed}");
    assert!(peak > 10_000 && peak < LIMIT_KB, "peak resident memory was {peak} kB");
}
