//! kill -9 while a view catches up and while it follows: the tables equal those of a fresh rebuild, row for row.
//!
//! `LEFTFOLD_VIEW_KILLS` sets the kills of each kind; the default is 5.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use leftfold::{Append, Embedded, EventStore, NewEvent, Options};
use leftfold_views::Views;
use pollster::block_on;

use crate::binary::{Killed, command, stdout};

/// Adding twice or not at all changes a sum; the list tells the order.
const COUNTS: &str = "-- @view counts
-- @query category:count
create table counts (stream text primary key, n integer, sum text, last integer);
create table entries (position integer primary key, stream text, version integer);

-- @on Counted
insert into counts values (:stream, 1, :data.n, :version)
  on conflict do update set n = n + 1, sum = dec_add(sum, excluded.sum), last = excluded.last;
insert into entries values (:position, :stream, :version);
";

/// The data directory of a process that follows.
const FOLLOWER: &str = "LEFTFOLD_TEST_FOLLOWER";
/// The events before each attempt, and those of each append.
const EVENTS: u64 = 3_000;
const BATCH: u64 = 200;

fn kills() -> u64 {
    std::env::var("LEFTFOLD_VIEW_KILLS").map_or(5, |kills| kills.parse().unwrap())
}

/// A sequence of numbers that look random, from a seed that is printed.
struct Random(u64);

impl Random {
    fn new() -> Self {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        let seed = now.as_nanos() as u64 | 1;
        println!("seed {seed}");
        Random(seed)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

fn counted(from: u64, count: u64) -> Append {
    (from..from + count).fold(Append::new(), |append, n| {
        let event = NewEvent::json("Counted", format!("{{\"n\":{n}.01}}"));
        append.event(format!("count-{}", n % 7), event)
    })
}

/// Appends events that are not the same as those of other attempts.
fn fill(data: &Path, attempt: u64) {
    let store = Embedded::open(data, Options::default()).unwrap();
    let first = attempt * EVENTS / BATCH;
    for batch in first..first + EVENTS / BATCH {
        block_on(store.append(counted(batch * BATCH, BATCH))).unwrap();
    }
}

fn add_view(dir: &Path, data: &Path) {
    let file = dir.join("counts.sql");
    std::fs::write(&file, COUNTS).unwrap();
    stdout(data, &["view", "add", file.to_str().unwrap()]);
}

fn query(data: &Path, sql: &str) -> String {
    stdout(data, &["query", sql, "-o", "csv"])
}

/// Returns all rows of both tables, a thousand in a row of the answer: an answer has a limit of rows.
fn rows(data: &Path) -> String {
    let mut rows = query(data, "select * from counts order by stream");
    for from in (0..).step_by(200_000) {
        let to = from + 200_000;
        let page = query(
            data,
            &format!(
                "select group_concat(position || ' ' || stream || ' ' || version, ';') from
                (select * from entries where position >= {from} and position < {to} order by position)
                group by position / 1000 order by position / 1000"
            ),
        );
        if page.lines().count() == 1 {
            break;
        }
        rows.push_str(&page);
    }
    rows
}

/// Holds the tables against those that are filled anew: definitions are in the store, the tables are not.
fn equals_a_rebuild(data: &Path) {
    let found = rows(data);
    let count = query(data, "select count(*) as n from entries");
    std::fs::remove_dir_all(data.join("views")).unwrap();
    assert!(found == rows(data), "the tables differ from those of a rebuild");
    let events = stdout(data, &["read", "category:count"]);
    assert_eq!(count, format!("n\n{}\n", events.lines().count()));
}

/// Returns the size of the log of the tables: how far they have come.
fn progress(data: &Path) -> u64 {
    let files = data.join("views").read_dir().into_iter().flatten();
    files.filter_map(|file| Some(file.ok()?.metadata().ok()?.len())).sum()
}

#[test]
fn a_view_that_is_killed_while_it_catches_up_equals_a_rebuild() {
    let dir = tempfile::tempdir().unwrap();
    let data = &dir.path().join("store");
    add_view(dir.path(), data);
    let mut random = Random::new();
    let (mut killed, mut attempts) = (0, 0);
    while killed < kills() {
        fill(data, attempts);
        attempts += 1;
        assert!(attempts < 20 * kills(), "{killed} of {attempts} were killed before they ended");
        // The next one begins where the tables are, or from the start.
        if random.below(3) == 0 {
            std::fs::remove_dir_all(data.join("views")).unwrap();
        }
        let more = progress(data) + random.below(150_000);
        let mut query = command(data, &["query", "select count(*) from entries"]);
        let mut query = Killed(query.stdout(Stdio::null()).spawn().unwrap());
        // It is killed when the files have grown so far, if it has not ended before.
        while progress(data) <= more && query.0.try_wait().unwrap().is_none() {
            std::thread::yield_now();
        }
        killed += u64::from(query.0.try_wait().unwrap().is_none());
        drop(query);
    }
    println!("{killed} of {attempts} were killed");
    equals_a_rebuild(data);
}

#[test]
fn a_view_that_is_killed_while_it_follows_equals_a_rebuild() {
    let dir = tempfile::tempdir().unwrap();
    let data = &dir.path().join("store");
    add_view(dir.path(), data);
    let mut random = Random::new();
    for _ in 0..kills() {
        let mut follower = Killed(follower(data));
        let lines = BufReader::new(follower.0.stdout.take().unwrap()).lines();
        let is_appended = |line: &String| line.ends_with("appended");
        let mut lines = lines.map(Result::unwrap).filter(is_appended);
        let wanted = 1 + random.below(60) as usize;
        assert!(lines.nth(wanted).is_some(), "the follower has ended");
        (0..random.below(20_000)).for_each(|_| std::hint::spin_loop());
        drop(follower);
    }
    equals_a_rebuild(data);
}

/// Starts this program again as a process that follows and appends: see [`follows`].
fn follower(data: &Path) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["views_killed::follows", "--exact", "--nocapture"]).env(FOLLOWER, data);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap()
}

/// The process that is killed: its views follow what it appends. In a run of all tests it does nothing.
#[test]
fn follows() {
    let Some(data) = std::env::var_os(FOLLOWER) else { return };
    let store = Arc::new(Embedded::open(&data, Options::default()).unwrap());
    let views = Views::open(store.clone(), Path::new(&data).join("views")).unwrap();
    std::thread::scope(|threads| {
        threads.spawn(|| block_on(views.run()).unwrap());
        for n in 0.. {
            block_on(store.append(counted(n, 1 + n % 3))).unwrap();
            println!("\nappended");
        }
    });
}
