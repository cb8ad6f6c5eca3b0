//! What hostile questions take, by the greatest memory of the process. A binary of its own with one test: the memory is
//! that of the whole process.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::fs;
use std::time::Duration;

use leftfold::Coded;
use leftfold_views::{AskLimits, ask, limit_memory};

/// The limit of an answer.
const BYTES: usize = 1 << 20;
/// What a question takes at most: its arguments, the result, a copy of it and the answer; and the caches.
const MOST: usize = 8 * BYTES + (8 << 20);
/// The limits of SQLite in the whole process.
const CACHES: u64 = 16 << 20;
const ALL: u64 = 64 << 20;

/// Returns a line of the process's status in bytes: `VmRSS`, or the greatest since the last reset, `VmHWM`.
fn memory(name: &str) -> usize {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    let kib: usize = line.split_whitespace().next().unwrap().parse().unwrap();
    kib << 10
}

/// Asks a question; returns its code and how much memory the process took more than before.
fn run(sql: &str) -> (Result<usize, &'static str>, usize) {
    let time = Duration::from_secs(120);
    let limits = AskLimits { bytes: BYTES, time, ..AskLimits::default() };
    fs::write("/proc/self/clear_refs", "5").unwrap();
    let before = memory("VmRSS:");
    let answer = ask(&[], sql, limits);
    let taken = memory("VmHWM:").saturating_sub(before);
    (answer.map(|answer| answer.rows.len()).map_err(|error| error.code()), taken)
}

#[test]
fn a_question_takes_a_small_multiple_of_its_limit() {
    const ROWS: &str =
        "with recursive n(i) as (values (1) union all select i + 1 from n limit 200000)";
    let large = Err("view_answer_too_large");
    // What is there once, whatever is asked.
    _ = run("select json_group_array(1), 1 order by 1");
    for (sql, expected) in [
        (format!("{ROWS} select length(json_group_array(hex(zeroblob(100000)))) from n"), large),
        (format!("{ROWS} select length(json_group_array(i)) from n"), large),
        (format!("{ROWS} select length(jsonb_group_array(i)) from n"), large),
        (format!("{ROWS} select length(json_group_object(i, hex(zeroblob(9999)))) from n"), large),
        (format!("{ROWS} select length(jsonb_group_object(i, i)) from n"), large),
        (
            format!(
                "{ROWS} select sum(length(x)) from (select json_group_array(hex(zeroblob(99999))) over (order by i) x from n)"
            ),
            large,
        ),
        (format!("{ROWS} select length(group_concat(i)) from n"), large),
        (format!("{ROWS} select length(string_agg(hex(zeroblob(99999)), ',')) from n"), large),
        ("select length(printf('%.*c', 2000000000, 'x'))".to_owned(), large),
        ("select length(zeroblob(2000000000))".to_owned(), large),
        ("select length(hex(zeroblob(2000000)))".to_owned(), large),
        ("select length(replace(hex(zeroblob(4000000)), '0', '00000000'))".to_owned(), large),
        (format!("{ROWS} select hex(zeroblob(400000)) from n"), large),
        // These are sorted and compared on disk.
        (format!("{ROWS} select i, printf('%160d', i) x from n order by x limit 3"), Ok(3)),
        (format!("{ROWS} select count(distinct printf('%160d', i)) from n"), Ok(1)),
        (format!("{ROWS} select printf('%160d', i), count(*) from n group by 1 limit 3"), Ok(3)),
    ] {
        let (answer, taken) = run(&sql);
        let start = &sql[..sql.len().min(160)];
        assert_eq!(answer, expected, "{start}");
        assert!(taken < MOST, "{} MiB: {start}", taken >> 20);
    }
    // What no limit of a connection bounds meets the wall of the process, and so does what is shared.
    limit_memory(CACHES, ALL).unwrap();
    let many = "x, ".repeat(198);
    let of_rows = (0..300).map(|at| format!("hex(zeroblob(500000 - {at})), ")).collect::<String>();
    for sql in [
        format!("select length(json_array({many}1)) from (select hex(zeroblob(500000)) x)"),
        format!("select length(concat({many}1)) from (select hex(zeroblob(500000)) x)"),
        format!("select {of_rows}1"),
        format!("select {}1 from (select zeroblob(1000000) x)", "x, ".repeat(1_000)),
    ] {
        let (answer, taken) = run(&sql);
        assert_eq!(answer, large, "{}", &sql[..80]);
        assert!(taken < usize::try_from(ALL).unwrap() + MOST, "{} MiB", taken >> 20);
    }
    assert_eq!(run("select 1").0, Ok(1));
}
