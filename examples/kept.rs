//! With `--keep` the store of each program stays and can be read; otherwise nothing is left behind.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::path::Path;
use std::process::Command;

use leftfold::{Embedded, Options, Query, Read};

const PROGRAMS: [(&str, &[&str]); 14] = [
    (env!("CARGO_BIN_EXE_bank"), &[]),
    (env!("CARGO_BIN_EXE_cart"), &[]),
    (env!("CARGO_BIN_EXE_error-processor"), &[]),
    (env!("CARGO_BIN_EXE_invoices"), &[]),
    (env!("CARGO_BIN_EXE_kafka-consumers"), &[]),
    (env!("CARGO_BIN_EXE_notify"), &[]),
    (env!("CARGO_BIN_EXE_orders"), &["--one-process"]),
    (env!("CARGO_BIN_EXE_products"), &[]),
    (env!("CARGO_BIN_EXE_protobuf"), &[]),
    (env!("CARGO_BIN_EXE_sql-views"), &["customers"]),
    (env!("CARGO_BIN_EXE_tutorial"), &[]),
    (env!("CARGO_BIN_EXE_tweets"), &["400"]),
    (env!("CARGO_BIN_EXE_warehouse"), &[]),
    (env!("CARGO_BIN_EXE_web"), &[]),
];

fn run(program: &str, arguments: &[&str], temporary: &Path) -> String {
    let mut command = Command::new(program);
    let output = command.args(arguments).env("TMPDIR", temporary).output().unwrap();
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_kept_store_can_be_read_with_the_line_that_is_printed() {
    for (program, arguments) in PROGRAMS {
        let temporary = tempfile::tempdir().unwrap();
        let printed = run(program, &[arguments, &["--keep"]].concat(), temporary.path());
        assert!(printed.lines().any(|line| line.starts_with("-- ")), "{program}: {printed}");
        let last = printed.lines().last().unwrap();
        let rest = last.strip_prefix("leftfold --data ").unwrap();
        let (dir, query) = rest.split_once(" read ").unwrap();
        assert!(Path::new(dir).starts_with(temporary.path()), "{program}: {last}");
        let store = Embedded::open_existing(dir, Options::default()).unwrap();
        let query: Query = query.trim_matches('\'').parse().unwrap();
        let page = store.blocking().read(Read::forward(query)).unwrap();
        assert!(!page.events.is_empty(), "{program}: {last}");
    }
}

#[test]
fn without_it_nothing_is_left_behind() {
    let temporary = tempfile::tempdir().unwrap();
    run(env!("CARGO_BIN_EXE_products"), &[], temporary.path());
    // Its services are killed.
    run(env!("CARGO_BIN_EXE_orders"), &[], temporary.path());
    assert_eq!(fs::read_dir(temporary.path()).unwrap().count(), 0);
}
