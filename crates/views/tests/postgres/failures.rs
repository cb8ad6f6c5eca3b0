//! Whatever is killed, the rows are those of tables that are filled anew.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use leftfold::Embedded;
use leftfold_postgres_server::Server;
use leftfold_views::{ViewPhase, ViewStart, Views};

use crate::code::Counts;
use crate::support::{Database, PATIENCE, Reader, World, until};

/// Adding twice or not at all changes a sum; the list tells the order.
pub(crate) const COUNTS: &str = "
-- @view counts
-- @query category:count
create table counts (stream text primary key, n bigint, sum numeric, last bigint);
create table entries (position bigint primary key, stream text, version bigint);
-- @on Counted
insert into counts values (:stream, 1, :data.n, :version)
  on conflict (stream) do update set n = counts.n + 1, sum = counts.sum + excluded.sum, last = excluded.last;
insert into entries values (:position, :stream, :version);
";

const KILLS: u64 = 5;
/// The kills of one store: then another one begins, since a rebuild of ever more events takes ever longer.
const KILLS_OF_ROUND: u64 = 20;

/// The directory of a process that is killed.
const HOST: &str = "LEFTFOLD_TEST_POSTGRES_HOST";
/// What its view is made by, if not by SQL.
const IN_RUST: &str = "LEFTFOLD_TEST_POSTGRES_IN_RUST";

/// What a view is made by.
#[derive(Clone, Copy, PartialEq)]
enum By {
    Sql,
    Rust,
}

impl By {
    /// Adds the view, or registers its code.
    async fn define(self, world: &World, views: &Views<Embedded>) {
        match self {
            By::Rust => views.register_in_postgres(Counts::new(world)).await.unwrap(),
            By::Sql if views.status("counts").await.is_ok() => {}
            By::Sql => {
                views.add(&world.definition(COUNTS), ViewStart::Beginning).await.unwrap();
            }
        }
    }
}

pub(crate) async fn append(world: &World, from: u64, count: u64) -> leftfold::Cursor {
    let mut last = leftfold::Cursor::START;
    for n in from..from + count {
        let data = format!(r#"{{"n":{n}.01}}"#);
        last = world.append(&format!("count-{}", n % 7), "Counted", &data).await;
    }
    last
}

/// Waits until a view has a cursor, whatever fails meanwhile.
pub(crate) async fn reach(views: &Views<Embedded>, name: &str, cursor: &leftfold::Cursor) {
    let deadline = Instant::now() + PATIENCE;
    while let Err(error) = views.wait_for_cursor(name, cursor, PATIENCE).await {
        assert!(leftfold::Coded::can_retry(&error) && Instant::now() < deadline, "{error}");
        crate::support::yield_once().await;
    }
}

/// Holds the tables against those of a view that is added now.
pub(crate) async fn equals_a_rebuild(world: &World, views: &Views<Embedded>, reader: &Reader) {
    let last = append(world, 1_000_000, 1).await;
    let fresh = world.definition(&COUNTS.replace("@view counts", "@view fresh"));
    views.add(&fresh, ViewStart::Beginning).await.unwrap();
    reach(views, "fresh", &last).await;
    reach(views, "counts", &last).await;
    for (table, order) in [("counts", "stream"), ("entries", "position")] {
        let rows =
            |view: &str| reader.query(&format!("select * from {view}.{table} order by {order}"));
        let found = rows("counts");
        assert!(!found.is_empty());
        assert!(found == rows("fresh"), "{table} differs from that of a rebuild");
    }
    assert_eq!(reader.schemas(), ["counts", "fresh"]);
}

#[test]
fn nothing_is_lost_or_doubled_when_postgresql_is_killed() {
    kill_postgresql(By::Sql);
}

#[test]
fn a_view_in_rust_loses_and_doubles_nothing_when_postgresql_is_killed() {
    kill_postgresql(By::Rust);
}

fn kill_postgresql(by: By) {
    let mut server = Server::start().unwrap();
    let world = World::new(&server.url());
    world.run(async |views| {
        by.define(&world, views).await;
        let mut last = append(&world, 0, 50).await;
        reach(views, "counts", &last).await;
        for kill in 1..4 {
            // Some of these are on their way when it dies.
            append(&world, kill * 1_000, 300).await;
            server.kill().unwrap();
            last = append(&world, kill * 1_000 + 500, 20).await;
            let status = until(views, "counts", |it| it.phase == ViewPhase::Failed).await;
            assert_eq!(status.code.as_deref(), Some("view_rows_failed"));
            assert!(!status.failure.as_deref().unwrap_or_default().contains("postgres://"));
            server.restart().unwrap();
            reach(views, "counts", &last).await;
            until(views, "counts", |it| it.phase == ViewPhase::Following).await;
        }
        equals_a_rebuild(&world, views, &Reader::new(&server.url())).await;
        // A removal is a fact at once; the tables go when the server is back.
        server.kill().unwrap();
        views.remove("counts").await.unwrap();
        assert!(views.status("counts").await.is_err());
        server.restart().unwrap();
        let reader = Reader::new(&server.url());
        while reader.schemas() != ["fresh"] {
            crate::support::yield_once().await;
        }
    });
}

/// The process that is killed: it catches up, appends, follows, and tells how far it has come.
#[test]
fn host_that_is_killed() {
    let Ok(dir) = std::env::var(HOST) else { return };
    let world = World::at(Path::new(&dir));
    pollster::block_on(append(&world, 500_000, 200));
    println!("\nopened");
    let by = if std::env::var(IN_RUST).is_ok() { By::Rust } else { By::Sql };
    world.run(async |views| {
        by.define(&world, views).await;
        for from in (0..).step_by(40) {
            let last = append(&world, from, 40).await;
            reach(views, "counts", &last).await;
            println!("\nreached {from}");
        }
    });
}

/// Kills a process some time after it has told something: while it catches up, and while it follows.
fn kill_host(dir: &Path, by: By, kill: u64) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "failures::host_that_is_killed", "--nocapture"]);
    command.env(HOST, dir).stdout(Stdio::piped()).stderr(Stdio::null());
    if by == By::Rust {
        command.env(IN_RUST, "1");
    }
    let mut child = command.spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
    let told = lines.filter(|line| line == "opened" || line.starts_with("reached"));
    let wanted = 1 + (kill % 4) as usize;
    assert_eq!(told.take(wanted).count(), wanted, "the host has ended by itself");
    // Moments that are spread over what a batch takes, and the same ones in each run.
    thread::sleep(Duration::from_micros(kill * 7_919 % 60_000));
    child.kill().unwrap();
    child.wait().unwrap();
}

/// `LEFTFOLD_VIEW_KILLS` sets the kills: `cargo xtask kill views`.
#[test]
fn nothing_is_lost_or_doubled_when_the_host_is_killed() {
    kill_hosts(By::Sql);
}

/// `LEFTFOLD_VIEW_KILLS` holds for it, too.
#[test]
fn a_view_in_rust_loses_and_doubles_nothing_when_the_host_is_killed() {
    kill_hosts(By::Rust);
}

fn kill_hosts(by: By) {
    let kills = std::env::var("LEFTFOLD_VIEW_KILLS").map_or(KILLS, |kills| kills.parse().unwrap());
    for first in (0..kills).step_by(KILLS_OF_ROUND as usize) {
        let database = Database::new();
        let dir = World::new(&database.url).close();
        let of_round = first..kills.min(first + KILLS_OF_ROUND);
        println!("kills {of_round:?} of {kills}");
        of_round.for_each(|kill| kill_host(dir.path(), by, kill));
        let world = World::at(dir.path());
        world.run(async |views| {
            by.define(&world, views).await;
            equals_a_rebuild(&world, views, &database.reader).await;
        });
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in from.read_dir().unwrap().map(Result::unwrap) {
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &to.join(entry.file_name())),
            false => _ = std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap(),
        }
    }
}

/// The tables have events that the restored store does not have.
#[test]
fn tables_of_a_store_that_was_restored_are_refused_until_they_are_made_anew() {
    let database = Database::new();
    let world = World::new(&database.url);
    world.run(async |views| {
        views.add(&world.definition(COUNTS), ViewStart::Beginning).await.unwrap();
        let last = append(&world, 0, 10).await;
        reach(views, "counts", &last).await;
    });
    let dir = world.close();
    copy(&dir.path().join("store"), &dir.path().join("backup"));
    let world = World::at(dir.path());
    world.run(async |views| {
        let last = append(&world, 10, 10).await;
        reach(views, "counts", &last).await;
    });
    drop(world);
    std::fs::remove_dir_all(dir.path().join("store")).unwrap();
    copy(&dir.path().join("backup"), &dir.path().join("store"));
    let world = World::at(dir.path());
    world.run(async |views| {
        let last = append(&world, 100, 30).await;
        let status = until(views, "counts", |it| it.phase == ViewPhase::Failed).await;
        assert_eq!(status.code.as_deref(), Some("view_of_other_history"));
        assert_eq!(database.reader.query("select count(*) from counts.entries"), ["20"]);
        views.reset("counts").await.unwrap();
        // The refused tables answer until the new ones do.
        until(views, "counts", |it| it.phase == ViewPhase::Following).await;
        reach(views, "counts", &last).await;
        equals_a_rebuild(&world, views, &database.reader).await;
    });
}

/// A store has the id of no other: two views of one name in one database are kept apart.
#[test]
fn the_schema_of_another_store_is_not_touched() {
    let database = Database::new();
    let (one, two) = (World::new(&database.url), World::new(&database.url));
    one.run(async |views| {
        views.add(&one.definition(COUNTS), ViewStart::Beginning).await.unwrap();
        let last = append(&one, 0, 10).await;
        reach(views, "counts", &last).await;
    });
    two.run(async |views| {
        append(&two, 0, 1).await;
        let error = views.add(&two.definition(COUNTS), ViewStart::Beginning).await.unwrap_err();
        assert_eq!(leftfold::Coded::code(&error), "view_schema_taken");
    });
    assert_eq!(database.reader.query("select count(*) from counts.entries"), ["10"]);
}
